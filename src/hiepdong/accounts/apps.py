from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "hiepdong.accounts"
    label = "accounts"
