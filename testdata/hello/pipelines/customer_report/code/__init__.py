from .customer_report import *
