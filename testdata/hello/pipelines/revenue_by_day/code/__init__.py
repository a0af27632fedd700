from .revenue_by_day import *
