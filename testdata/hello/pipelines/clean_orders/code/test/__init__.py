from .clean_orders import *
from .conftest import *
from .TestSuite import *
