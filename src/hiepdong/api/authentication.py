"""Who asks: a linked node by its signature, or a program by the token of a seat. Whoever it is not learns nothing of why."""

import hashlib
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja.security.http import HttpAuthBase, HttpBearer

from hiepdong.accounts import services as accounts_services
from hiepdong.accounts.queries import TokenExpired, api_token_by_secret
from hiepdong.exchange import signed_request
from hiepdong.exchange.links import NodeNotFounded
from hiepdong.exchange.signing import BadSignature
from hiepdong.kernel.errors import NotFound

from . import limits
from .problems import NotAuthenticated

LONGEST = 4096  # characters of the header


class SignedByPeer(HttpAuthBase):
    """`Authorization: Hiepdong <JWS>`: this very request, signed by the key of a linked node, for this node."""

    openapi_scheme = "hiepdong"
    openapi_description = "A JWS of type hiepdong.request+json over method, path with query, and digest of the body."

    def __call__(self, request: HttpRequest) -> int:
        """Return the number of the peer that asks.

        Raises:
            NotAuthenticated: unknown, paused, ended, another request, another node: all the same. TooManyRequests.
        """
        try:
            scheme, _, document = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != self.openapi_scheme or len(document) > LONGEST or not document.isascii():
                raise NotAuthenticated
            query = request.META.get("QUERY_STRING", "")
            path = request.path_info + (f"?{query}" if query else "")
            signed = signed_request.read(document.encode(), method=request.method or "", path=path)
            if hashlib.sha256(request.body).hexdigest() != signed.body:
                raise NotAuthenticated
        except (NotAuthenticated, BadSignature, NodeNotFounded) as error:
            limits.spend_stranger(request)
            raise NotAuthenticated from error
        limits.spend_peer(signed.peer_id)
        return signed.peer_id


class TokenOfSeat(HttpBearer):
    """`Authorization: Bearer <token>`: a program that acts for a seat, with the seat's rights."""

    openapi_description = "A token that a person made for one of their seats."

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        """Return the seat, or raise `NotAuthenticated`, `TokenExpired`, `TooManyRequests`."""
        at = request.at  # type: ignore[attr-defined]
        try:
            if len(token) > LONGEST:
                raise NotFound
            found = api_token_by_secret(token, on=timezone.localdate(at))
        except NotFound as error:
            limits.spend_stranger(request)
            raise NotAuthenticated from error
        except TokenExpired:
            limits.spend_stranger(request)
            raise
        limits.spend_token(found.pk)
        accounts_services.note_token_use(token=found, at=at)
        return found.seat

    def __call__(self, request: HttpRequest) -> Any:
        found = super().__call__(request)
        if found is None:  # no header, or another scheme
            limits.spend_stranger(request)
            raise NotAuthenticated
        return found
