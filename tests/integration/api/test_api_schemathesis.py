"""What the description promises holds, whatever is asked: schemathesis over every operation, and bytes that mean nothing."""

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from hiepdong.documents.services import keep_file
from hiepdong.exchange.signed_request import Signer
from support.machine import Program, forget_rates
from support.make import send
from support.nodes import Node, two_nodes

load_all_checks()
# What a body means may be refused although its shape is right: a greeting of another node. Nothing else is let off.
LET_OFF = {"positive_data_acceptance"}
EXAMPLES = 12
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=5),
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


class Authenticated:
    """The node's WSGI application with buckets that are always full, asked by one who is known: `authorise` says by what.

    The description that it gives names no security, so that what is missing is not taken for what was refused;
    test_api_refusals walks every operation without.
    """

    def __init__(self, authorise: Callable[[str, str, bytes], str], *, at: Node | None = None) -> None:
        self.authorise, self.at = authorise, at or nullcontext()
        self.application = get_wsgi_application()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        forget_rates()
        environ.pop("HTTP_ACCEPT_ENCODING", None)  # the test client unpacks nothing
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        query = environ.get("QUERY_STRING", "")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        environ["HTTP_AUTHORIZATION"] = self.authorise(environ["REQUEST_METHOD"], path, body)
        with self.at:
            if path == "/api/v1/openapi.json":
                answer = self._described(environ)
                start_response("200 OK", [("Content-Type", "application/json")])
                return [answer]
            answer = self.application(environ, start_response)
            whole = b"".join(answer)
            answer.close()
            return [whole]

    def _described(self, environ: dict[str, Any]) -> bytes:
        said = json.loads(b"".join(self.application(environ, lambda *_: None)))
        said["components"].pop("securitySchemes")
        for operations in said["paths"].values():
            for operation in operations.values():
                operation.pop("security")
        return json.dumps(said).encode()


def signing(near: Node, far: Node) -> Authenticated:
    """Return the application of `far`, asked by `near`, which signs whatever is asked."""
    peer = near.peer(far)
    with near:
        signer = Signer(to=peer, at=near.clock())

    def authorise(method: str, path: str, body: bytes) -> str:
        with near:
            return "Hiepdong " + signer.sign(method=method, path=path, body=body, at=near.clock())

    return Authenticated(authorise, at=far)


def walk(schema: Any, *, under: str) -> int:
    """Ask every operation whose path begins so, with good and bad data; returns how many operations."""
    checks = [c for name, c in CHECKS._items.items() if name not in LET_OFF]
    walked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if not operation.path.startswith(under) or (under == "/api/v1/" and operation.path.startswith("/api/v1/exchange")):
            continue
        walked += 1
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(20200316)
            @BOUNDED
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                answer = case.call()
                case.validate_response(answer, checks=checks)

            with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():  # nothing to get wrong
                ask()
    return walked


@pytest.mark.django_db(transaction=True)  # a request that ends closes what is left open of a transaction
def test_what_is_described_for_own_systems_holds_whatever_is_asked(small_world):
    small_world.duties()
    send(small_world.signer, [small_world.district], "Báo cáo")
    program = Program(small_world.signer)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", Authenticated(lambda *_: f"Bearer {program.token}"))
    assert walk(schema, under="/api/v1/") >= 10


@pytest.mark.django_db(transaction=True)
def test_what_is_described_between_nodes_holds_whatever_is_asked(tmp_path):
    guard, local = two_nodes(tmp_path)
    with local:
        file = keep_file(data=b"x" * 1000, name="x", media_type="text/plain", at=local.clock())
    local.send("t.huyen-uy", ["t.don-my-ly"], "Kèm tệp", files=[("x", file)])
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", signing(guard, local))
    assert walk(schema, under="/api/v1/exchange") >= 8


# --- bytes that mean nothing -------------------------------------------------------------------------------------------

METHODS = st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE"])
PLACES = st.sampled_from(
    [
        *("exchange/hello", "exchange/items", "exchange/held", "exchange/echo", "exchange/files/" + "0" * 64),
        *("seat", "duties", "duties/a/b", "dispatches/out", "dispatches/in", "drafts", "openapi.json", "", "x"),
        *(f"dispatches/00000000-0000-4000-8000-000000000000{rest}" for rest in ("", "/signed", "/acknowledge")),
        "dispatches/00000000-0000-4000-8000-000000000000/attachments/" + "0" * 64,
    ]
)
KINDS = st.sampled_from(
    ["application/json", "text/plain", "multipart/form-data; boundary=a", "application/json; charset=utf-16", ""]
)
# Half-way to JSON, so that some of it gets past the first door.
LIKE_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "position", "id", "text"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


@pytest.mark.django_db
def test_no_bytes_break_an_operation_and_what_is_refused_is_always_a_problem(small_world):
    program = Program(small_world.signer)

    @seed(20200316)
    @settings(BOUNDED, max_examples=250)
    @given(
        method=METHODS,
        place=PLACES,
        query=st.binary(max_size=30).map(lambda b: b.decode("latin-1")),
        body=st.binary(max_size=60) | LIKE_JSON,
        kind=KINDS,
        authorization=VALUES
        | VALUES.map("Hiepdong {}".format)
        | VALUES.map("Bearer {}".format)
        | st.just(f"Bearer {program.token}"),
        where=VALUES,
    )
    def ask(method: str, place: str, query: str, body: bytes, kind: str, authorization: str, where: str) -> None:
        forget_rates()
        answer = Client(raise_request_exception=False).generic(
            method,
            "/api/v1/" + place,
            body,
            content_type=kind,
            headers={"Authorization": authorization, "Range": where, "Content-Range": where},
            QUERY_STRING=query,
        )
        assert answer.status_code < 500, (answer.status_code, answer.content)
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert method == "HEAD" or json.loads(answer.content)["code"]

    ask()


@pytest.mark.django_db(transaction=True)
def test_no_signed_bytes_break_the_far_end(tmp_path):
    guard, local = two_nodes(tmp_path)
    application = signing(guard, local)

    @seed(20200316)
    @settings(BOUNDED, max_examples=150)
    @given(
        method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
        place=PLACES.filter(lambda p: p.startswith("exchange")),
        query=st.binary(max_size=30).map(lambda b: b.decode("latin-1")),
        body=st.binary(max_size=60) | LIKE_JSON | st.lists(LIKE_JSON).map(lambda i: b'{"items": [' + b",".join(i) + b"]}"),
        where=VALUES | st.just("bytes 0-9/10"),
    )
    def ask(method: str, place: str, query: str, body: bytes, where: str) -> None:
        found = []
        environ = Client()._base_environ(
            PATH_INFO="/api/v1/" + place,
            QUERY_STRING=query,
            REQUEST_METHOD=method,
            CONTENT_TYPE="application/json",
            CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_RANGE=where,
            **{"wsgi.input": io.BytesIO(body)},
        )
        application(environ, lambda status, headers: found.append(int(status.split()[0])))
        assert found[0] < 500, (found, body)
        assert found[0] != 401, "it was signed well, whatever it says"

    ask()
    with local:
        state = hashlib.sha256(repr(local.state()).encode()).hexdigest()
    assert state == hashlib.sha256(repr({}).encode()).hexdigest(), "nothing of it was taken for a paper"
