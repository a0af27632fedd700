from .revenue_by_day import *
from .conftest import *
from .TestSuite import *
