from prophecy.config import ConfigBase


class Config(ConfigBase):

    def __init__(self, catalog: str=None, days: int=None, **kwargs):
        self.spark = None
        self.update(catalog, days)

    def update(self, catalog: str="shop_dev", days: int=400, **kwargs):
        prophecy_spark = self.spark
        self.catalog = catalog
        self.days = self.get_int_value(days)
        pass
