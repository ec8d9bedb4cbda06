from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "hiepdong.documents"
    label = "documents"
