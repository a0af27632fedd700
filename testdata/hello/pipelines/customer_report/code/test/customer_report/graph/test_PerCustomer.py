from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from argparse import Namespace
from prophecy.test import BaseTestCase
from prophecy.test.utils import *
from customer_report.graph.PerCustomer import *
from customer_report.config.ConfigStore import *


class PerCustomerTest(BaseTestCase):

    def test_one_row_for_each_customer_and_week(self):
        dfIn0 = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/customer_report/graph/PerCustomer/in0/schema.json',
            'test/resources/data/customer_report/graph/PerCustomer/in0/data/test_one_row_for_each_customer_and_week.json',
            'in0'
        )
        dfOut = createDfFromResourceFiles(
            self.spark,
            'test/resources/data/customer_report/graph/PerCustomer/out/schema.json',
            'test/resources/data/customer_report/graph/PerCustomer/out/data/test_one_row_for_each_customer_and_week.json',
            'out'
        )
        dfOutComputed = PerCustomer(self.spark, dfIn0)
        assertDFEquals(dfOut.select("customer_id", "spent_eur", "orders"), dfOutComputed.select("customer_id", "spent_eur", "orders"), self.maxUnequalRowsToShow)

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
