"""Render a page, or only the part of it that htmx asked for."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.functional import cached_property

MOST = 5000


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


class BoundedPaginator(Paginator):
    """Pages of a list that may be endless: it counts to MOST and then says "more than". Nobody turns 100 pages; one filters."""

    @cached_property
    def found(self) -> int:
        """The number of rows, at most one more than MOST."""
        return self.object_list.order_by()[: MOST + 1].count()  # type: ignore[attr-defined]

    @property
    def count(self) -> int:
        """The number of rows that can be turned to."""
        return min(self.found, MOST)

    @property
    def more(self) -> bool:
        """Say whether there are more rows than can be turned to."""
        return self.found > MOST


def page_of(rows: QuerySet, number: int | str | None, size: int) -> Page:
    """Return one page of the rows, in their order, in three queries: count, keys, rows.

    The keys are found first, for themselves: a page far down then joins and reads only the rows it shows.
    """
    page = BoundedPaginator(rows.values_list("pk", flat=True), size).get_page(number)
    order = list(page.object_list)
    found = rows.order_by().in_bulk(order)
    page.object_list = [found[pk] for pk in order]
    return page


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without its token (Django's CSRF_FAILURE_VIEW): a page, or only the refusal for htmx."""
    return render_page(request, "403_csrf.html", "refusal", {}, status=403)
