from .graph import *
from .pipeline import *
from .udfs import *
from .config import *
