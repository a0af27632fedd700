import unittest

from test.clean_orders.graph.test_OnlyPaid import *

if __name__ == "__main__":
    runner = unittest.TextTestRunner()
    runner.run(unittest.TestSuite())
