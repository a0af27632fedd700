from .UDFs import *
