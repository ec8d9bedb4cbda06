"""Addresses of reviews."""

from django.urls import path

from . import views

app_name = "review"
urlpatterns = [
    path("tong-ket/", views.review_list, name="review_list"),
    path("tong-ket/lap/", views.review_build, name="review_build"),
    path("tong-ket/<int:review_id>/", views.review_detail, name="review_detail"),
    path("tong-ket/<int:review_id>/lap-lai/", views.review_rebuild, name="review_rebuild"),
    path("tong-ket/<int:review_id>/ho-so/", views.records, name="records"),
    path("tong-ket/<int:review_id>/loi-van/<path:place>/", views.passage_form, name="passage_form"),
    path("tong-ket/<int:review_id>/nguyen-nhan/<path:finding>/", views.causes_form, name="causes_form"),
    path("tong-ket/<int:review_id>/muc/<slug:kind>/them/", views.item_new, name="item_new"),
    path("tong-ket/<int:review_id>/muc/<int:item_id>/", views.item_form, name="item_form"),
    path("tong-ket/<int:review_id>/hoi-nghi/", views.conference_form, name="conference_form"),
    path("tong-ket/<int:review_id>/duyet/", views.approve, name="approve"),
    path("tong-ket/<int:review_id>/gui/", views.send, name="send"),
    path("tong-ket/<int:review_id>/tai-ve/<slug:kind>/", views.download, name="download"),
]
