"""All addresses of a node."""

from django.urls import include, path

from . import views

pages = [
    path("", views.desk, name="desk"),
    path("bang-thuong-xuyen/", views.board, name="board"),
    path("lich/", views.calendar, name="calendar"),
    path("lich/dia-chi/", views.calendar_secret, name="calendar_secret"),
    path("lich/<str:secret>.ics", views.calendar_feed, name="calendar_feed"),
    path("tim/", views.search, name="search"),
    path("tro-giup/", views.help_page, name="help"),
    path("xem-nhu-ngay/", views.choose_moment, name="moment"),
]

urlpatterns = [
    path("", include((pages, "web"))),
    path("", include("hiepdong.accounts.urls")),
    path("", include("hiepdong.territories.urls")),
    path("", include("hiepdong.organisations.urls")),
    path("", include("hiepdong.documents.urls")),
    path("", include("hiepdong.exchange.urls")),
    path("", include("hiepdong.regulations.urls")),
    path("", include("hiepdong.duties.urls")),
    path("", include("hiepdong.reporting.urls")),
    path("", include("hiepdong.review.urls")),
    path("", include("hiepdong.api.urls")),
]
