from prophecy.config import ConfigBase


class Config(ConfigBase):

    def __init__(self, catalog: str=None, landing: str=None, **kwargs):
        self.spark = None
        self.update(catalog, landing)

    def update(self, catalog: str="shop_dev", landing: str="/Volumes/shop_dev/landing/orders", **kwargs):
        prophecy_spark = self.spark
        self.catalog = catalog
        self.landing = landing
        pass
