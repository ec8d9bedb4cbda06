from django.apps import AppConfig


class ShellConfig(AppConfig):
    name = "hiepdong.shell"
    label = "shell"
