from .silver_orders import silver_orders
from .ByDay import ByDay
from .WithWeekAverage import WithWeekAverage
from .gold_revenue_by_day import gold_revenue_by_day
