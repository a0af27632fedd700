from .bronze_orders import bronze_orders
from .OnlyPaid import OnlyPaid
from .InEuro import InEuro
from .silver_orders import silver_orders
