from django.apps import AppConfig


class TerritoriesConfig(AppConfig):
    name = "hiepdong.territories"
    label = "territories"
