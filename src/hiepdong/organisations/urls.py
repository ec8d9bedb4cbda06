"""Addresses of organisations."""

from django.urls import path

from . import views

app_name = "organisations"
urlpatterns = [
    path("co-quan/", views.organisation_list, name="organisation_list"),
    path("co-quan/<str:key>/", views.organisation_detail, name="organisation_detail"),
]
