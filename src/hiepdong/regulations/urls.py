"""Addresses of regulations."""

from django.urls import path

from . import views

app_name = "regulations"
urlpatterns = [
    path("quy-che/", views.instrument_list, name="instrument_list"),
    path("quy-che/<str:key>/", views.instrument_detail, name="instrument_detail"),
    path("quy-che/<str:key>/<int:version>.toml", views.instrument_file, name="instrument_file"),
]
