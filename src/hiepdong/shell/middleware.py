"""Turn a refusal of the domain into a page or a fragment: 404 for what may not be seen, 403, else 409."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound

from .pages import render_page


class NothingStoredMiddleware:
    """Let no browser keep a page: after the sign-out the back button of a shared laptop shows nothing of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class DomainErrorMiddleware:
    """Catch `DomainError`; everything else is a defect and stays one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Refuse (400) a zero byte: nobody types one, PostgreSQL stores none, and no page should have to know."""
        typed = (value for fields in (request.GET, request.POST) for _, values in fields.lists() for value in values)
        if any(isinstance(value, str) and "\x00" in value for value in (*typed, *kwargs.values())):
            raise SuspiciousOperation("a zero byte in what was sent")

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        status = 404 if isinstance(error, NotFound) else 403 if isinstance(error, NotAllowed) else 409
        context = {
            "code": error.code,
            "message": _(error.message) % error.facts if error.facts else _(error.message),
            "hint": (_(error.hint) % error.facts if error.facts else _(error.hint)) if error.hint else "",
        }
        return render_page(request, "shell/refusal.html", "refusal", context, status=status)
