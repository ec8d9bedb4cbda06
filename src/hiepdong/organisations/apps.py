from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "hiepdong.organisations"
    label = "organisations"
