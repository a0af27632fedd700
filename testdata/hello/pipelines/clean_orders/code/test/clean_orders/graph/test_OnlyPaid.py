from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from argparse import Namespace
from prophecy.test import BaseTestCase
from prophecy.test.utils import *
from clean_orders.graph.OnlyPaid import *
from clean_orders.config.ConfigStore import *


class OnlyPaidTest(BaseTestCase):

    def test_keeps_paid_orders_of_customers(self):
        dfIn0 = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/clean_orders/graph/OnlyPaid/in0/schema.json',
            'test/resources/data/clean_orders/graph/OnlyPaid/in0/data/test_keeps_paid_orders_of_customers.json',
            'in0'
        )
        dfOut = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/clean_orders/graph/OnlyPaid/out/schema.json',
            'test/resources/data/clean_orders/graph/OnlyPaid/out/data/test_keeps_paid_orders_of_customers.json',
            'out'
        )
        dfOutComputed = OnlyPaid(self.spark, dfIn0)
        assertDFEquals(dfOut.select("order_id"), dfOutComputed.select("order_id"), self.maxUnequalRowsToShow)

    def setUp(self):
        BaseTestCase.setUp(self)
        import os
        fabricName = os.environ['FABRIC_NAME']
        Utils.initializeFromArgs(
            self.spark,
            Namespace(
              file = f"configs/resources/config/{fabricName}.json",
              config = None,
              overrideJson = None,
              defaultConfFile = None
            )
        )
