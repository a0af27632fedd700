from prophecy.config import ConfigBase


class Config(ConfigBase):

    def __init__(self, catalog: str=None, min_amount: float=None, **kwargs):
        self.spark = None
        self.update(catalog, min_amount)

    def update(self, catalog: str="shop_dev", min_amount: float=0.01, **kwargs):
        prophecy_spark = self.spark
        self.catalog = catalog
        self.min_amount = self.get_float_value(min_amount)
        pass
