"""Put the seat of this request on it: the one chosen in the session, else the first one held today."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import queries


class SeatMiddleware:
    """Set `request.seat` (or None) and `request.seats`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        seats = queries.seats_of(request.user.pk, on=timezone.localdate()) if request.user.is_authenticated else []
        chosen = request.session.get("seat_id") if seats else None
        request.seats = seats  # type: ignore[attr-defined]
        request.seat = next((s for s in seats if s.pk == chosen), seats[0] if seats else None)  # type: ignore[attr-defined]
        return self.get_response(request)
