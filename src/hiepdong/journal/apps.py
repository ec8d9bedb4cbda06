from django.apps import AppConfig


class JournalConfig(AppConfig):
    name = "hiepdong.journal"
    label = "journal"
