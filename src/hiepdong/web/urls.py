"""All addresses of a node."""

from django.urls import include, path

from . import views

pages = [
    path("", views.desk, name="desk"),
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
]
