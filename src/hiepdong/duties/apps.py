from django.apps import AppConfig


class DutiesConfig(AppConfig):
    name = "hiepdong.duties"
    label = "duties"
