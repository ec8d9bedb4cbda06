"""Whatever goes wrong is problem+json with a code, and tells nothing of what one may not see."""

import json
from datetime import date
from ipaddress import ip_network

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from hiepdong.accounts.models import ApiToken
from hiepdong.accounts.services import end_api_token
from hiepdong.api import limits
from hiepdong.api.limits import Buckets
from support.machine import Program, is_problem
from support.make import SENT_AT, seat, send

pytestmark = pytest.mark.django_db
DRAFT = {"subject": "Thông báo", "text": "Nội dung.", "recipients": [{"organisation": "t.huyen-uy"}]}


def test_an_address_that_is_not_there_is_a_problem(small_world):
    said = is_problem(Program(small_world.clerk).get("/nothing"), 404, "kernel.not_found")
    assert said["detail"] == "Ở đây không có gì đồng chí được xem."


def test_a_method_that_is_not_taken_names_those_that_are(small_world):
    answer = Program(small_world.clerk).ask("DELETE", "/duties")
    is_problem(answer, 405, "api.method_not_allowed")
    assert answer.headers["Allow"] == "GET"


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(small_world):
    class Unread:
        def read(self, *_):
            raise AssertionError("it was read")

        readline = read

    client = Client()
    answer = client.post(
        "/api/v1/drafts",
        b"",
        content_type="application/json",
        CONTENT_LENGTH=str(limits.LARGEST_BODY + 1),
        **{"wsgi.input": Unread()},
    )
    is_problem(answer, 413, "api.too_large")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Transfer_Encoding": "chunked"}, 411, "api.length_missing"),
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415, "api.not_json"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "api.not_json"),
        ({"Host": "elsewhere.example"}, 400, "api.bad_request"),
    ],
)
def test_what_the_header_lines_say_is_judged_first(small_world, headers, status, code):
    is_problem(Program(small_world.clerk).post("/drafts", DRAFT, **headers), status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe{}",
        b'{"subject": "a", "subject": "b"}',
        b'{"subject": NaN}',
        b'{"subject": "\\ud83d"}',
        b'{"subject": "a\\u0000b"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"1" * 5000,
    ],
)
def test_json_that_could_be_read_in_two_ways_or_stored_in_none_is_refused(small_world, body):
    is_problem(Program(small_world.clerk).post("/drafts", body), 400, "api.bad_request")


def test_what_has_the_wrong_form_is_named_by_its_place(small_world):
    said = is_problem(Program(small_world.clerk).post("/drafts", DRAFT | {"urgency": "now"}), 422, "api.invalid")
    assert [e["path"] for e in said["errors"]] == ["urgency"]
    is_problem(Program(small_world.clerk).get("/duties?limit=0"), 422, "api.invalid")
    is_problem(Program(small_world.clerk).get("/duties?cursor=abc"), 422, "api.invalid")


def test_a_defect_is_told_without_its_insides(small_world, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr("hiepdong.api.systems._duty", broken)
    small_world.duties()
    answer = Program(small_world.clerk).get("/duties")
    is_problem(answer, 500, "api.failed")
    assert b"inside" not in answer.content


def test_absent_and_forbidden_are_the_same_answer_to_the_last_byte(small_world):
    small_world.duties()
    paper = send(small_world.signer, [small_world.district])
    stranger = Program(seat(small_world.outsider, "signer"))
    for hidden, absent in [
        (f"/dispatches/{paper.uuid}", "/dispatches/00000000-0000-4000-8000-000000000000"),
        (f"/dispatches/{paper.uuid}/signed", "/dispatches/00000000-0000-4000-8000-000000000000/signed"),
        (f"/duties/{small_world.reference()}", "/duties/t.qcph/thang/a/b/2020-03"),
        ("/dispatches/out?organisation=t.don-mot", "/dispatches/out?organisation=t.not-there"),
        ("/dispatches/in?organisation=t.don-mot", "/dispatches/in?organisation=t.not-there"),
    ]:
        first, second = stranger.get(hidden), stranger.get(absent)
        is_problem(first, 404, "kernel.not_found")
        assert first.content == second.content
        assert dict(first.headers) == dict(second.headers)
    post = stranger.post(f"/dispatches/{paper.uuid}/acknowledge")
    assert post.content == stranger.post("/dispatches/00000000-0000-4000-8000-000000000000/acknowledge").content


def test_a_draft_of_another_organisation_is_not_there(small_world):
    draft = small_world.draft()
    other = Program(seat(small_world.outsider, "clerk"))
    is_problem(other.post("/drafts", DRAFT | {"id": str(draft.pk)}), 404, "kernel.not_found")


def test_a_token_that_does_not_hold_gets_one_and_the_same_answer(small_world):
    ended = Program(small_world.clerk)
    end_api_token(token_id=ApiToken.objects.get().pk, actor=small_world.clerk, at=SENT_AT)
    past = Program(seat(small_world.station, "clerk", until=date(2001, 1, 1)))
    left = Program(seat(small_world.station, "clerk"))
    ApiToken.objects.last().seat.person.__class__.objects.filter(pk=ApiToken.objects.last().seat.person_id).update(
        is_active=False
    )
    answers = [p.get("/seat") for p in (ended, past, left, Program(token="hd_unknown"), Program(token="x" * 9000), Program())]
    answers.append(Program(token="hd_x").get("/seat", Authorization="Basic YTpi"))
    for answer in answers:
        is_problem(answer, 401, "api.not_authenticated")
    assert len({a.content for a in answers}) == 1


def test_a_signed_in_browser_is_nobody_here(small_world):
    client = Client()
    client.force_login(small_world.clerk.person)
    is_problem(client.get("/api/v1/seat"), 401, "api.not_authenticated")


@override_settings(HIEPDONG_API_TOKEN_RATE=0.2)
def test_too_many_requests_with_a_token_are_told_when_to_come_back(small_world):
    program, other = Program(small_world.clerk), Program(small_world.clerk)
    assert [program.get("/seat").status_code for _ in range(3)] == [200, 200, 429]
    answer = program.get("/seat")
    is_problem(answer, 429, "api.too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert other.get("/seat").status_code == 200, "another token is counted by itself"


def test_a_flood_of_strangers_is_slowed_down_and_locks_nobody_out(small_world):
    program = Program(small_world.clerk)
    codes = [Program(token=f"hd_{n}").get("/seat").status_code for n in range(30)]
    assert codes[:20] == [401] * 20
    assert set(codes[21:]) == {429}
    assert program.get("/seat").status_code == 200
    assert Program().get("/openapi.json").status_code == 429


@override_settings(HIEPDONG_PROXIES=[ip_network("127.0.0.1")])
def test_behind_a_front_server_strangers_are_told_apart_by_the_address_that_it_appended(small_world):
    for n in range(30):
        Program(token="hd_x").get("/seat", X_Forwarded_For=f"10.0.0.{n}, 203.0.113.9")
    assert Program(token="hd_x").get("/seat", X_Forwarded_For="203.0.113.9").status_code == 429
    assert Program(token="hd_x").get("/seat", X_Forwarded_For="203.0.113.9, 203.0.113.8").status_code == 401


@pytest.mark.parametrize("proxies", ["", "10.20.0.5"])
def test_a_stranger_who_names_other_addresses_is_counted_as_one(small_world, proxies):
    with override_settings(
        HIEPDONG_PROXIES=[ip_network(p) for p in proxies.split()], SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")
    ):
        codes = [Program(token="hd_x").get("/seat", X_Forwarded_For=f"203.0.113.{n}").status_code for n in range(30)]
    assert codes[-1] == 429


def test_the_buckets_stay_bounded_and_fill_again():
    now = [0.0]
    buckets = Buckets(clock=lambda: now[0], most=100)
    for n in range(1000):
        assert buckets.take(f"address {n}", 0.1) == 0
    assert len(buckets) == 100
    assert buckets.take("address 999", 0.1) == pytest.approx(10)
    now[0] = 10.5
    assert buckets.take("address 999", 0.1) == 0


def test_the_description_is_there_and_loads_nothing_from_elsewhere(client):
    answer = client.get("/api/v1/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    said = json.loads(answer.content)
    assert said["openapi"].startswith("3.")
    assert set(said["components"]["securitySchemes"]) == {"SignedByPeer", "TokenOfSeat"}
    for operations in said["paths"].values():
        for operation in operations.values():
            assert operation["security"], operation["operationId"]
            assert {"401", "429", "422"} <= set(operation["responses"])
    for nothing in ("", "docs", "openapi"):
        is_problem(client.get("/api/v1/" + nothing), 404, "kernel.not_found")


def test_every_operation_refuses_without_authentication(client):
    said = json.loads(client.get("/api/v1/openapi.json").content)
    asked = 0
    for path, operations in said["paths"].items():
        number = "00000000-0000-4000-8000-000000000000"
        where = path.replace("{number}", number).replace("{digest}", "0" * 64).replace("{reference}", "a/b")
        for method in operations:
            limits.buckets._levels.clear()
            answer = client.generic(method.upper(), where)
            assert answer.status_code == 401, (method, where)
            asked += 1
    assert asked >= 18


def test_pages_are_not_touched(client):
    assert client.get(reverse("accounts:sign_in")).headers["Content-Type"].startswith("text/html")
    assert client.get("/api/v2/x").headers["Content-Type"].startswith("text/html")
