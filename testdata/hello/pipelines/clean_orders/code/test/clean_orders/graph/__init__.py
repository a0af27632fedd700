from .test_OnlyPaid import *
