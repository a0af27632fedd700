from .graph import *
