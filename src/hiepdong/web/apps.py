from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "hiepdong.web"
    label = "web"
