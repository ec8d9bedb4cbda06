"""Addresses of papers."""

from django.urls import path

from . import link_views, views

app_name = "exchange"
urlpatterns = [
    path("cong-van/<uuid:dispatch_uuid>/", views.dispatch_detail, name="dispatch_detail"),
    path("cong-van/<uuid:dispatch_uuid>/ky-so.jws", views.dispatch_raw, name="dispatch_raw"),
    path("cong-van/<uuid:dispatch_uuid>/tep/<int:pk>/", views.dispatch_file, name="dispatch_file"),
    path("cong-van/<uuid:dispatch_uuid>/xac-nhan/", views.dispatch_acknowledge, name="dispatch_acknowledge"),
    path("cong-van/<uuid:dispatch_uuid>/tra-lai/", views.dispatch_return, name="dispatch_return"),
    path("cong-van/<uuid:dispatch_uuid>/thu-hoi/", views.dispatch_withdraw, name="dispatch_withdraw"),
    path("cong-van/<uuid:dispatch_uuid>/thay-the/", views.dispatch_replace, name="dispatch_replace"),
    path("cong-van/<uuid:dispatch_uuid>/tien-do/", views.dispatch_progress, name="dispatch_progress"),
    path("cong-van/<uuid:dispatch_uuid>/bien-nhan/<int:pk>.jws", views.receipt_raw, name="receipt_raw"),
    path("duong-lien-ket/", link_views.link_list, name="link_list"),
    path("duong-lien-ket/moi/", link_views.link_new, name="link_new"),
    path("duong-lien-ket/khoa/", link_views.key_list, name="key_list"),
    path("duong-lien-ket/khoa/<str:key>/thay/", link_views.key_rotate, name="key_rotate"),
    path("duong-lien-ket/<int:pk>/", link_views.link_detail, name="link_detail"),
    path("duong-lien-ket/<int:pk>/muc/", link_views.link_items, name="link_items"),
    path("duong-lien-ket/<int:pk>/xac-nhan/", link_views.link_confirm, name="link_confirm"),
    path("duong-lien-ket/<int:pk>/trang-thai/", link_views.link_state, name="link_state"),
    path("duong-lien-ket/muc/<int:pk>/cho-qua/", link_views.link_release, name="link_release"),
    path("duong-lien-ket/muc/<int:pk>/bac/", link_views.link_dismiss, name="link_dismiss"),
    path("duong-lien-ket/su-co/<int:pk>/da-xem/", link_views.link_seen, name="link_seen"),
    path("so-cong-van-di/", views.register_out, name="register_out"),
    path("so-cong-van-den/", views.register_in, name="register_in"),
    path("ban-thao/", views.draft_list, name="draft_list"),
    path("ban-thao/moi/", views.notice_new, name="notice_new"),
    path("ban-thao/<uuid:draft_id>/", views.draft_form, name="draft_form"),
    path("ban-thao/<uuid:draft_id>/bo/", views.draft_discard, name="draft_discard"),
    path("kenh-rieng/", views.separate_channel, name="separate_channel"),
]
