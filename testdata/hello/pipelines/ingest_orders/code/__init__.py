from .ingest_orders import *
