import unittest

from test.customer_report.graph.test_PerCustomer import *

if __name__ == "__main__":
    runner = unittest.TextTestRunner()
    runner.run(unittest.TestSuite())
