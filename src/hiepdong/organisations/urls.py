"""Addresses of organisations."""

from django.urls import path

from . import views

app_name = "organisations"
urlpatterns = [
    path("sap-xep/", views.reorganisation_list, name="reorganisation_list"),
    path("sap-xep/<str:key>/", views.reorganisation_detail, name="reorganisation_detail"),
    path("co-quan/", views.organisation_list, name="organisation_list"),
    path("co-quan/<str:key>/", views.organisation_detail, name="organisation_detail"),
]
