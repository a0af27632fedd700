from .test_ParseOrders import *
