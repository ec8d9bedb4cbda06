"""Addresses of the machine interface; no page with scripts from elsewhere: the description alone."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from hiepdong.exchange.domain.envelope import each_once
from hiepdong.exchange.files import PieceUnusable
from hiepdong.kernel.errors import DomainError, NotFound

from . import nodes, problems, systems
from .invitations import invitation
from .middleware import PREFIX


class StrictParser(Parser):
    """JSON that can be read in one way only: UTF-8, every member once, no NaN, no text that no database stores."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body; a ValueError or RecursionError becomes 400."""
        text = request.body.decode("utf-8")
        found = json.loads(text, object_pairs_hook=each_once, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half a character
            if "\\u0000" in text:
                _refuse_zero(found)
        return found


def _refuse_constant(word: str) -> None:
    raise ValueError(word)


def _refuse_zero(found: Any) -> None:
    todo = [found]
    while todo:
        each = todo.pop()
        if isinstance(each, str) and "\x00" in each:
            raise ValueError("a zero byte")
        if isinstance(each, dict):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            todo += each


class Api(NinjaAPI):
    """The interface with its description: refusals are problem+json there too, and HEAD has no body."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the description."""
        schema = super().get_openapi_schema(**options)
        for operations in schema["paths"].values():
            for method, operation in operations.items():
                for status, told in operation.get("responses", {}).items():
                    if method == "head":
                        told.pop("content", None)
                    elif int(status) >= 400 and "content" in told:
                        told["content"] = {problems.MEDIA_TYPE: told["content"].popitem()[1]}
                if "responses" in operation:
                    operation["responses"] = dict(sorted(operation["responses"].items(), key=lambda r: int(r[0])))
        return schema


api = Api(
    title="Hiệp đồng",
    version="1",
    description="What other nodes, and the systems of organisations at home here, ask of a node.",
    docs_url=None,
    urls_namespace="api",
    parser=StrictParser(),
)
api.add_router("/exchange", nodes.router)
api.add_router("", systems.router)


@api.exception_handler(DomainError)
def _refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    members: dict[str, Any] = {}
    if isinstance(error, PieceUnusable):
        members["have"] = error.facts["have"]
    if isinstance(error, problems.Invalid):
        members["errors"] = error.facts.get("errors", [])
    return problems.problem(error, **members)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"path": _place(e["loc"]), "found": str(e["msg"])[:200]} for e in error.errors[:20]]
    return problems.problem(problems.Invalid(), errors=errors)


def _place(loc: Sequence[Any]) -> str:
    """Return where something stands: "items.3.position" in a body, "query.limit" elsewhere."""
    inside = loc[2:] if loc[0] == "body" else loc  # the second is the name of our own argument
    return ".".join(map(str, inside)) or "body"


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problems.problem(problems.NotAuthenticated() if error.status_code == 401 else problems.BadRequest())


@api.exception_handler(Http404)
def _absent(request: HttpRequest, error: Http404) -> HttpResponse:
    return problems.problem(NotFound())


@api.exception_handler(OperationalError)
def _database(request: HttpRequest, error: OperationalError) -> HttpResponse:
    return problems.problem(problems.Unavailable())


urlpatterns = [
    path("api/v1/exchange/invitations/<str:token>", invitation, name="invitation"),
    path(PREFIX.removeprefix("/"), api.urls),
]
