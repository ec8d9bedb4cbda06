"""Stand before every request of a machine: size, moment, problem+json for whatever goes wrong further in."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound

from . import limits, problems

PREFIX = "/api/v1/"
OPEN = PREFIX + "openapi.json"
FILES = (PREFIX + "exchange/files/", "/attachments/")


class ApiMiddleware:
    """Judge a request under /api/v1/ by its header lines before anything of its body is read; set `request.at`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        request.at = timezone.now()  # type: ignore[attr-defined]
        try:
            _judge(request)
        except DomainError as error:
            return problems.problem(error)
        return _told(self.get_response(request))


def _judge(request: HttpRequest) -> None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if request.META.get("HTTP_TRANSFER_ENCODING"):
        raise problems.LengthMissing
    if not (length.isascii() and length.isdigit()):
        raise problems.BadRequest
    if len(length) > 12 or int(length) > limits.LARGEST_BODY:
        raise problems.TooLarge(most=limits.LARGEST_BODY)
    if request.method == "POST" and int(length) and request.content_type != "application/json":
        raise problems.NotJson  # so nothing further in reads the body as a form
    if request.path_info == OPEN:
        limits.spend_stranger(request)
    if any(part in request.path_info for part in FILES):
        request.META.pop("HTTP_ACCEPT_ENCODING", None)  # packed, a piece of a file would not be the bytes that it says it is


_BY_STATUS: dict[int, type[DomainError]] = {
    403: NotAllowed,
    404: NotFound,
    405: problems.MethodNotAllowed,
    500: problems.Failed,
    503: problems.Unavailable,
}


def _told(response: HttpResponseBase) -> HttpResponseBase:
    """Return what Django itself refused (no such address, a wrong host name, a defect) as problem+json too."""
    if response.status_code < 400 or response.headers.get("Content-Type") == problems.MEDIA_TYPE:
        return response
    kept = {name: response.headers[name] for name in ("Allow",) if name in response.headers}
    return problems.problem(_BY_STATUS.get(response.status_code, problems.BadRequest)(), headers=kept)
