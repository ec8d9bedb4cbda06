"""Addresses of report forms and figures."""

from django.urls import path

from . import views

app_name = "reporting"
urlpatterns = [
    path("bao-cao/<uuid:draft_id>/", views.report_form, name="report_form"),
    path("so-lieu/", views.figure_list, name="figure_list"),
]
