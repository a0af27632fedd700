from .test_ByDay import *
