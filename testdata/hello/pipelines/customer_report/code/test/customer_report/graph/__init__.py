from .test_PerCustomer import *
