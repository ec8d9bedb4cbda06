from django.apps import AppConfig


class RegulationsConfig(AppConfig):
    name = "hiepdong.regulations"
    label = "regulations"
