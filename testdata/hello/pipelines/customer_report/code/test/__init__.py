from .customer_report import *
from .conftest import *
from .TestSuite import *
