"""After a request that wrote, do the reactions at once, so that the next page shows them."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import services

logger = logging.getLogger(__name__)


class ReactionsMiddleware:
    """Walk the journal after every POST; whatever remains is walked by `hiepdong work`.

    What was asked for is done and stored by then: a reaction that fails must not tell the one who sent that it was not.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "POST":
            try:
                services.react(at=timezone.now(), limit=50)
            except Exception:
                logger.exception("a reaction failed; its entry stays open and is tried again")
        return response
