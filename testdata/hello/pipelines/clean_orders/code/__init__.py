from .clean_orders import *
