from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "hiepdong.reporting"
    label = "reporting"
