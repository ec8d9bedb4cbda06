"""A program at the machine interface: with the token of a seat, or with requests signed by a node."""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from hiepdong.accounts.models import Seat
from hiepdong.accounts.services import make_api_token
from hiepdong.api import limits
from hiepdong.exchange.signed_request import Signer
from support.nodes import Node

BASE = "/api/v1"


class Program:
    """Asks with the token of a seat."""

    def __init__(self, seat: Seat | None = None, *, token: str = "") -> None:
        self.token = token or (make_api_token(name="Phần mềm thử", actor=seat, at=timezone.now()) if seat else "")
        self.client = Client(raise_request_exception=False)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        kind = headers.pop("Content-Type")
        return self.client.generic(method, BASE + path, data, content_type=kind if data else "", headers=headers)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.ask("POST", path, body, **headers)


def signed(
    near: Node, far: Node, method: str, path: str, body: bytes = b"", *, signs: dict[str, Any] | None = None, **headers: str
) -> HttpResponse:
    """Ask `far` in the name of `near`. `signs` says what is signed in the place of what is asked."""
    told = {"method": method, "path": path.removeprefix("/hd"), "body": body} | (signs or {})
    peer = near.peer(told.pop("to", far))
    with near:
        document = Signer(to=peer, at=near.clock()).sign(**told, at=near.clock())
    headers = {"Authorization": f"Hiepdong {document}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    kind = headers.pop("Content-Type", "application/json" if body else "")
    with far:
        answer = Client(raise_request_exception=False).generic(method, path, body, content_type=kind, headers=headers)
        if answer.streaming:
            answer.whole = answer.getvalue()
        return answer


def forget_rates() -> None:
    """Let every bucket be full again."""
    limits.buckets._levels.clear()


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Say that an answer is that refusal, whole; returns it."""
    assert answer.status_code == status, (answer.status_code, answer.content[:300])
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = json.loads(answer.content)
    assert said["code"] == code, said
    assert said["status"] == status
    assert said["type"] == "about:blank"
    assert said["detail"]
    return said
