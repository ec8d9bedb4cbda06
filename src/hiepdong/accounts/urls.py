"""Addresses of people and seats."""

from django.urls import path

from . import views

app_name = "accounts"
urlpatterns = [
    path("dang-nhap/", views.sign_in, name="sign_in"),
    path("dang-xuat/", views.sign_out, name="sign_out"),
    path("vi-tri/doi/", views.seat_switch, name="seat_switch"),
    path("mat-khau/", views.password, name="password"),
    path("ma-truy-cap/", views.token_list, name="token_list"),
    path("ma-truy-cap/<int:pk>/ket-thuc/", views.token_end, name="token_end"),
    path("vi-tri/", views.seat_list, name="seat_list"),
    path("vi-tri/moi/", views.seat_new, name="seat_new"),
    path("vi-tri/<int:pk>/ket-thuc/", views.seat_end, name="seat_end"),
]
