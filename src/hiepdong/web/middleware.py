"""After a request that wrote, do the reactions at once, so that the next page shows them."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import services


class ReactionsMiddleware:
    """Walk the journal after every POST; whatever remains is walked by `hiepdong work`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "POST":
            services.react(at=timezone.now(), limit=50)
        return response
