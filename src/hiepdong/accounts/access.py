"""Doors of pages: signed in with a seat, or with a seat that may do a thing."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hiepdong.kernel.errors import NotAllowed
from hiepdong.shell.pages import render_page

from .domain.permissions import Action

View = Callable[..., HttpResponseBase]


def seat_required(view: View) -> View:
    """Send strangers to the sign-in page, and tell people without a seat whom to ask."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if request.htmx:  # type: ignore[attr-defined]  # a page behind it holds what was typed: it must not be swapped away
                return render_page(request, "accounts/signed_out.html", "told", {}, status=401)
            return redirect_to_login(request.get_full_path())
        if request.seat is None:  # type: ignore[attr-defined]
            return render_page(request, "accounts/no_seat.html", "", {}, status=403)
        return view(request, *args, **kwargs)

    return guarded


def requires(action: Action) -> Callable[[View], View]:
    """Also refuse seats whose role does not allow the action."""

    def door(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.seat.may(action):  # type: ignore[attr-defined]
                raise NotAllowed
            return view(request, *args, **kwargs)

        return seat_required(guarded)

    return door
