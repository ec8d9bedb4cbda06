"""Addresses of papers."""

from django.urls import path

from . import views

app_name = "exchange"
urlpatterns = [
    path("cong-van/<uuid:dispatch_uuid>/", views.dispatch_detail, name="dispatch_detail"),
    path("cong-van/<uuid:dispatch_uuid>/ky-so.jws", views.dispatch_raw, name="dispatch_raw"),
    path("cong-van/<uuid:dispatch_uuid>/tep/<int:pk>/", views.dispatch_file, name="dispatch_file"),
    path("cong-van/<uuid:dispatch_uuid>/xac-nhan/", views.dispatch_acknowledge, name="dispatch_acknowledge"),
    path("cong-van/<uuid:dispatch_uuid>/tra-lai/", views.dispatch_return, name="dispatch_return"),
    path("cong-van/<uuid:dispatch_uuid>/thu-hoi/", views.dispatch_withdraw, name="dispatch_withdraw"),
    path("cong-van/<uuid:dispatch_uuid>/thay-the/", views.dispatch_replace, name="dispatch_replace"),
    path("so-cong-van-di/", views.register_out, name="register_out"),
    path("so-cong-van-den/", views.register_in, name="register_in"),
    path("ban-thao/", views.draft_list, name="draft_list"),
    path("ban-thao/moi/", views.notice_new, name="notice_new"),
    path("ban-thao/<uuid:draft_id>/", views.draft_form, name="draft_form"),
    path("ban-thao/<uuid:draft_id>/bo/", views.draft_discard, name="draft_discard"),
    path("kenh-rieng/", views.separate_channel, name="separate_channel"),
]
