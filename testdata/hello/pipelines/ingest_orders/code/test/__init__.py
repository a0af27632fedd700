from .ingest_orders import *
from .conftest import *
from .TestSuite import *
