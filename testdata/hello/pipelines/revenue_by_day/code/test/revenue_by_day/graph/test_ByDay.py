from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from argparse import Namespace
from prophecy.test import BaseTestCase
from prophecy.test.utils import *
from revenue_by_day.graph.ByDay import *
from revenue_by_day.config.ConfigStore import *


class ByDayTest(BaseTestCase):

    def test_adds_up_each_day(self):
        dfIn0 = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/revenue_by_day/graph/ByDay/in0/schema.json',
            'test/resources/data/revenue_by_day/graph/ByDay/in0/data/test_adds_up_each_day.json',
            'in0'
        )
        dfOut = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/revenue_by_day/graph/ByDay/out/schema.json',
            'test/resources/data/revenue_by_day/graph/ByDay/out/data/test_adds_up_each_day.json',
            'out'
        )
        dfOutComputed = ByDay(self.spark, dfIn0)
        assertDFEquals(dfOut.select("order_date", "revenue_eur", "orders", "customers"), dfOutComputed.select("order_date", "revenue_eur", "orders", "customers"), self.maxUnequalRowsToShow)

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
