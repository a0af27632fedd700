from .silver_orders import silver_orders
from .customers import customers
from .PerCustomer import PerCustomer
from .WithNames import WithNames
from .TopCustomers import TopCustomers
from .gold_customer_report import gold_customer_report
