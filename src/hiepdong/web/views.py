"""The desk, the board, the calendar, search."""

from django.http import HttpRequest, HttpResponse

from hiepdong.shell.pages import render_page


def desk(request: HttpRequest) -> HttpResponse:
    """Show the coordination desk of the seat signed in."""
    return render_page(request, "web/desk.html", "", {})
