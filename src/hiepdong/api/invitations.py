"""An invitation at its secret address: for whoever has the address, a node that is not linked yet. No operation of the API."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from hiepdong.exchange import invitation_address
from hiepdong.kernel.errors import NotFound

from . import limits, problems


@require_GET
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Give the signed invitation; 404 for whatever is not there, and who tries many is slowed down."""
    try:
        document = invitation_address.fetch(token=token, at=request.at)  # type: ignore[attr-defined]
    except NotFound as error:
        try:
            limits.spend_stranger(request)
        except problems.TooManyRequests as busy:
            return problems.problem(busy)
        return problems.problem(error)
    response = HttpResponse(document, content_type="application/jose")
    response.headers["Cache-Control"] = "no-store"
    return response
