from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from argparse import Namespace
from prophecy.test import BaseTestCase
from prophecy.test.utils import *
from ingest_orders.graph.ParseOrders import *
from ingest_orders.config.ConfigStore import *


class ParseOrdersTest(BaseTestCase):

    def test_trims_and_types(self):
        dfIn0 = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/ingest_orders/graph/ParseOrders/in0/schema.json',
            'test/resources/data/ingest_orders/graph/ParseOrders/in0/data/test_trims_and_types.json',
            'in0'
        )
        dfOut = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/ingest_orders/graph/ParseOrders/out/schema.json',
            'test/resources/data/ingest_orders/graph/ParseOrders/out/data/test_trims_and_types.json',
            'out'
        )
        dfOutComputed = ParseOrders(self.spark, dfIn0)
        assertDFEquals(dfOut.select("order_id", "currency", "status"), dfOutComputed.select("order_id", "currency", "status"), self.maxUnequalRowsToShow)

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
