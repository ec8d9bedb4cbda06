"""Render a page, or only the part of it that htmx asked for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def render_page(
    request: HttpRequest, template: str, partial: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return the whole page, or its `{% partialdef partial %}` when htmx asks for a fragment.

    A boosted request and a history restore get the whole page. `Vary: HX-Request` is set in every case.
    """
    htmx = getattr(request, "htmx", None)
    fragment = htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request
    response = render(request, f"{template}#{partial}" if fragment and partial else template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without its token (Django's CSRF_FAILURE_VIEW): a page, or only the refusal for htmx."""
    return render_page(request, "403_csrf.html", "refusal", {}, status=403)
