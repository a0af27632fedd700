from prophecy.config import ConfigBase


class Config(ConfigBase):

    def __init__(self, catalog: str=None, period: str=None, top: int=None, **kwargs):
        self.spark = None
        self.update(catalog, period, top)

    def update(self, catalog: str="shop_dev", period: str="week", top: int=100, **kwargs):
        prophecy_spark = self.spark
        self.catalog = catalog
        self.period = period
        self.top = self.get_int_value(top)
        pass
