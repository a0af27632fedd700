from .raw_orders import raw_orders
from .ParseOrders import ParseOrders
from .LatestPerOrder import LatestPerOrder
from .bronze_orders import bronze_orders
