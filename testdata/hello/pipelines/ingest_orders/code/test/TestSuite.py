import unittest

from test.ingest_orders.graph.test_ParseOrders import *

if __name__ == "__main__":
    runner = unittest.TextTestRunner()
    runner.run(unittest.TestSuite())
