from .Config import *
from .ConfigStore import *
