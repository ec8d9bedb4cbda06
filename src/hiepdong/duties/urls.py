"""Addresses of duties."""

from django.urls import path

from . import views

app_name = "duties"
urlpatterns = [
    path("nghia-vu/", views.duty_list, name="duty_list"),
    path("nghia-vu/theo-ma/<path:reference>/", views.duty_by_reference, name="duty_by_reference"),
    path("nghia-vu/<int:pk>/", views.duty_detail, name="duty_detail"),
    path("nghia-vu/<int:pk>/viet/", views.duty_write, name="duty_write"),
    path("nghia-vu/<int:pk>/khong-thay-doi/", views.nil_send, name="nil_send"),
    path("nghia-vu/<int:pk>/mien/", views.duty_waive, name="duty_waive"),
    path("nghia-vu/<int:pk>/tam-dung/", views.duty_suspend, name="duty_suspend"),
]
