"""The app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "hiepdong.api"
