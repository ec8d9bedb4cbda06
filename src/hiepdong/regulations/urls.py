"""Addresses of regulations."""

from django.urls import path

from . import views

app_name = "regulations"
urlpatterns = [
    path("quy-che/", views.instrument_list, name="instrument_list"),
    path("quy-che/cho-ky/<str:digest>/", views.proposal_detail, name="proposal_detail"),
    path("quy-che/cho-ky/<str:digest>/ky/", views.proposal_sign, name="proposal_sign"),
    path("quy-che/<str:key>/", views.instrument_detail, name="instrument_detail"),
    path("quy-che/<str:key>/<int:version>.toml", views.instrument_file, name="instrument_file"),
]
