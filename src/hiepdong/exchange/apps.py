from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    name = "hiepdong.exchange"
    label = "exchange"
