from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "hiepdong.review"
    label = "review"
