"""Addresses of report forms and figures."""

from django.urls import path

from . import views

app_name = "reporting"
urlpatterns = [
    path("bao-cao/", views.report_new, name="report_new"),
    path("bao-cao/<uuid:draft_id>/", views.report_form, name="report_form"),
    path("bao-cao/<uuid:draft_id>/xem-truoc/", views.report_preview, name="report_preview"),
    path("so-lieu/", views.figure_list, name="figure_list"),
]
