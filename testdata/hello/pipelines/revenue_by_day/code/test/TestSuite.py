import unittest

from test.revenue_by_day.graph.test_ByDay import *

if __name__ == "__main__":
    runner = unittest.TextTestRunner()
    runner.run(unittest.TestSuite())
