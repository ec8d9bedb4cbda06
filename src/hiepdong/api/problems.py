"""Refusals as problem+json (RFC 9457): the code of the page, a sentence and a hint in the language of the node."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _

from hiepdong.accounts.queries import TokenExpired
from hiepdong.exchange.domain.envelope import InvalidContent
from hiepdong.exchange.domain.links import InvalidItem
from hiepdong.exchange.files import DiskFull
from hiepdong.exchange.intake import NotLinked, TooMuchHeld
from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound, gettext_noop

MEDIA_TYPE = "application/problem+json"


class BadRequest(DomainError):
    """The request cannot be read."""

    code = "api.bad_request"
    message = gettext_noop("The request cannot be read.")
    hint = gettext_noop("The body is JSON in UTF-8, every member once; the description is at /api/v1/openapi.json.")


class NotAuthenticated(DomainError):
    """No signature of a linked node, no valid token. Who it was and why not is not told."""

    code = "api.not_authenticated"
    message = gettext_noop("It is not known who asks.")
    hint = gettext_noop(
        "A linked node signs its request; a program sends Authorization: Bearer with a token that has not been ended."
    )


class MethodNotAllowed(DomainError):
    """The address does not take this method."""

    code = "api.method_not_allowed"
    message = gettext_noop("This address does not take this method.")
    hint = gettext_noop("The header Allow names those that it takes.")


class LengthMissing(DomainError):
    """A body without a length said before it."""

    code = "api.length_missing"
    message = gettext_noop("The length of the body is not said before it.")
    hint = gettext_noop("Send Content-Length; a front server that buffers requests does so by itself.")


class TooLarge(DomainError):
    """More than is taken in one request; it was not read."""

    code = "api.too_large"
    message = gettext_noop("The request has more than %(most)s bytes.")
    hint = gettext_noop("Send fewer items at once; files go in pieces.")


class NotJson(DomainError):
    """A body of another kind."""

    code = "api.not_json"
    message = gettext_noop("The body is not JSON.")
    hint = gettext_noop("Send Content-Type: application/json.")


class Invalid(DomainError):
    """What was sent is JSON, but not what this address takes."""

    code = "api.invalid"
    message = gettext_noop("What was sent does not have the form that this address takes.")
    hint = gettext_noop("The member errors names each place; the description is at /api/v1/openapi.json.")


class TooManyRequests(DomainError):
    """More requests than one may send."""

    code = "api.too_many_requests"
    message = gettext_noop("Too many requests; ask again in %(seconds)s seconds.")
    hint = gettext_noop("Wait as long as the header Retry-After says.")


class RangeUnusable(DomainError):
    """The wanted piece of a file lies behind its end."""

    code = "api.range_unusable"
    message = gettext_noop("The file has %(size)s bytes; the piece asked for lies behind them.")
    hint = gettext_noop("Ask for a piece within the file.")


class Unavailable(DomainError):
    """The node cannot answer now."""

    code = "api.unavailable"
    message = gettext_noop("The node cannot answer at the moment.")
    hint = gettext_noop("Ask again after the time in the header Retry-After; nothing was changed.")


class Failed(DomainError):
    """A defect of this program. What happened stands in the log of the node."""

    code = "api.failed"
    message = gettext_noop("The node could not do this because of a defect.")
    hint = gettext_noop("Tell the administrator of the node when it happened.")


STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (NotFound, 404),
    (NotAllowed, 403),
    (BadRequest, 400),
    (NotAuthenticated, 401),
    (TokenExpired, 401),
    (MethodNotAllowed, 405),
    (LengthMissing, 411),
    (TooLarge, 413),
    (NotJson, 415),
    (RangeUnusable, 416),
    (Invalid, 422),
    (InvalidItem, 422),
    (InvalidContent, 422),
    (TooManyRequests, 429),
    (Failed, 500),
    (Unavailable, 503),
    (TooMuchHeld, 503),
    (DiskFull, 503),
)
RETRY_AFTER_S = {TooMuchHeld: 300, DiskFull: 600, Unavailable: 5}


def status_of(refusal: type[DomainError]) -> int:
    """Return the HTTP status of a kind of refusal; what a page answers with 409 is mostly 409 here too."""
    return next((status for kind, status in STATUS if issubclass(refusal, kind)), 409)


def problem(error: DomainError, *, headers: Mapping[str, str] | None = None, **members: Any) -> JsonResponse:
    """Return a refusal as problem+json.

    A peer whose link is not open gets the very answer of a stranger: it is not told that it is known.
    """
    if isinstance(error, NotLinked):
        error = NotAuthenticated()
    status = status_of(type(error))
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": _text(error.message, error.facts),
        "hint": _text(error.hint, error.facts),
        **members,
    }
    response = JsonResponse(body, status=status, content_type=MEDIA_TYPE, json_dumps_params={"ensure_ascii": False})
    wait = error.facts.get("seconds") if isinstance(error, TooManyRequests) else RETRY_AFTER_S.get(type(error))
    if wait:
        response.headers["Retry-After"] = str(wait)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Hiepdong, Bearer"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def _text(text: str, facts: Mapping[str, Any]) -> str:
    if not text:
        return ""
    return _(text) % facts if facts else _(text)
