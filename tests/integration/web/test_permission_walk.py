"""Every address of a node, walked with every role, at a party of the record and at a body that is none.

The table below is the expectation, line by line. An address of the URLconf that is missing from it fails the test.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from hiepdong.accounts.services import make_calendar_token
from hiepdong.documents.services import keep_file
from support.make import LONG_AGO, SENT_AT, World, entered, seat

pytestmark = pytest.mark.django_db

ROLES = ("viewer", "clerk", "signer", "organisation_administrator", "node_administrator")
SIGN_IN = "sign-in"


@dataclass(frozen=True)
class Row:
    """What an address answers: one status for each of ROLES, at the acting party and at the outsider."""

    party: str
    outsider: str
    args: Callable[["Walk"], list[Any]] = lambda w: []
    at: str = "station"  # which party acts
    post: dict[str, str] | None = None  # POST with these fields; None: GET
    anonymous: int | str = SIGN_IN
    ended: int = 403  # a person whose only seat has ended
    other: int | None = 405  # the other of GET and POST, by those who may; None: the address takes both


def dispatch(w: "Walk") -> list[Any]:
    return [w.dispatch.uuid]


def duty(w: "Walk") -> list[Any]:
    return [w.duty.pk]


EVERYONE = "200 200 200 200 200"
READERS = "200 200 200 200 404"  # of a record: a node administrator reads nobody's papers
NOBODY = "404 404 404 404 404"
CLERKS = "403 302 302 403 403"
SIGNERS = "403 403 302 403 403"
NO_CLERK = "403 404 404 403 403"  # the role is refused before the record is looked for
NO_SIGNER = "403 403 404 403 403"

TABLE: dict[str, Row] = {
    # the desk and what stands beside it
    "web:desk": Row(EVERYONE, EVERYONE),
    "web:board": Row(EVERYONE, EVERYONE),
    "web:calendar": Row(EVERYONE, EVERYONE),
    "web:calendar_secret": Row("302 302 302 302 302", "302 302 302 302 302", post={}),
    "web:calendar_feed": Row(EVERYONE, EVERYONE, lambda w: [w.secret], anonymous=200, ended=200),
    "web:search": Row(EVERYONE, EVERYONE),
    "web:help": Row(EVERYONE, EVERYONE),
    "web:moment": Row("302 302 302 302 302", "302 302 302 302 302", post={"on": "2020-03-01"}),
    # people
    "accounts:sign_in": Row(EVERYONE, EVERYONE, anonymous=200, ended=200, other=None),
    "accounts:sign_out": Row("302 302 302 302 302", "302 302 302 302 302", post={}, anonymous=SIGN_IN, ended=302),
    "accounts:seat_switch": Row(NOBODY, NOBODY, post={"seat": "0"}),
    "accounts:password": Row(EVERYONE, EVERYONE, other=None),
    "accounts:seat_list": Row("403 403 403 200 200", "403 403 403 200 200"),
    "accounts:seat_new": Row("403 403 403 200 200", "403 403 403 200 200", other=None),
    "accounts:seat_end": Row("403 403 403 302 302", "403 403 403 404 302", lambda w: [w.world.clerk.pk], post={}),
    # public reference data: whoever signs in
    "organisations:organisation_list": Row(EVERYONE, EVERYONE, ended=200),
    "organisations:organisation_detail": Row(EVERYONE, EVERYONE, lambda w: [w.world.station.key], ended=200),
    "territories:unit_list": Row(EVERYONE, EVERYONE, ended=200),
    "territories:unit_detail": Row(EVERYONE, EVERYONE, lambda w: [w.world.unit.pk], ended=200),
    # papers
    "exchange:dispatch_detail": Row(READERS, NOBODY, dispatch),
    "exchange:dispatch_raw": Row(READERS, NOBODY, dispatch),
    "exchange:dispatch_file": Row(READERS, NOBODY, lambda w: [w.dispatch.uuid, w.dispatch.attachments.get().pk]),
    "exchange:dispatch_acknowledge": Row(CLERKS, NO_CLERK, dispatch, at="district", post={}),
    "exchange:dispatch_return": Row(SIGNERS, NO_SIGNER, dispatch, at="district", post={"reason": "Thiếu số liệu."}),
    "exchange:dispatch_withdraw": Row(SIGNERS, NO_SIGNER, dispatch, post={"reason": "Gửi nhầm."}),
    "exchange:dispatch_replace": Row(CLERKS, NO_CLERK, dispatch, post={}),
    "exchange:register_out": Row(READERS, NOBODY, lambda w: [], other=405),
    "exchange:register_in": Row(READERS, NOBODY, lambda w: [], other=405),
    "exchange:draft_list": Row(EVERYONE, EVERYONE),
    "exchange:notice_new": Row(CLERKS, CLERKS),
    "exchange:draft_form": Row("403 200 200 403 403", NO_CLERK, lambda w: [w.draft.pk], other=None),
    "exchange:draft_discard": Row(CLERKS, NO_CLERK, lambda w: [w.draft.pk], post={}),
    "exchange:separate_channel": Row(CLERKS, CLERKS, post={}),
    # regulations: a node administrator loads them and may read them
    "regulations:instrument_list": Row(EVERYONE, EVERYONE),
    "regulations:instrument_detail": Row(EVERYONE, "404 404 404 404 200", lambda w: [w.world.instrument.key]),
    "regulations:instrument_file": Row(EVERYONE, "404 404 404 404 200", lambda w: [w.world.instrument.key, 1]),
    # duties
    "duties:duty_list": Row(EVERYONE, EVERYONE),
    "duties:duty_detail": Row(READERS, NOBODY, duty),
    "duties:duty_write": Row(CLERKS, NO_CLERK, duty, other=None),
    "duties:nil_send": Row(SIGNERS, NO_SIGNER, duty, post={}),
    "duties:duty_waive": Row(SIGNERS, NO_SIGNER, duty, at="district", post={"reason": "Bận chống dịch."}),
    "duties:duty_suspend": Row(SIGNERS, NO_SIGNER, duty, at="district", post={"reason": "Bận chống dịch."}),
    # reports and figures
    "reporting:report_new": Row(CLERKS, NO_CLERK, lambda w: []),
    "reporting:report_form": Row("403 200 200 403 403", NO_CLERK, lambda w: [w.report_draft], other=None),
    "reporting:report_preview": Row("200 200 200 200 403", "404 404 404 404 403", lambda w: [w.report_draft]),
    "reporting:figure_list": Row(EVERYONE, EVERYONE),
}
# What a GET carries behind its address.
QUERIES: dict[str, Callable[["Walk"], str]] = {
    "exchange:register_out": lambda w: f"?organisation={w.world.station.pk}",
    "exchange:register_in": lambda w: f"?organisation={w.world.station.pk}",
    "reporting:report_new": lambda w: f"?duty={w.duty.reference}",
}


class Walk:
    """The small world with a record of each kind."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.duties()
        kept = keep_file(data=b"%PDF-1.4", name="so-lieu.pdf", media_type="application/pdf", at=SENT_AT)
        self.dispatch = world.report("2020-03", files=[("so-lieu.pdf", kept)])
        self.duty = world.duty("2020-04")
        self.draft = world.draft()
        self.report_draft = uuid.UUID(int=0)
        self.secret = make_calendar_token(actor=world.clerk, at=self.dispatch.entered_at)
        answer = entered(world.clerk).post(reverse("duties:duty_write", args=[world.duty("2020-05").pk]))
        self.report_draft = uuid.UUID(answer.headers["Location"].rstrip("/").rsplit("/", 1)[1])


@pytest.fixture
def walk(small_world: World) -> Walk:
    return Walk(small_world)


def names(patterns: list[Any] | None = None, space: str = "") -> Iterator[str]:
    """Yield the full name of every address; one without a name yields its pattern."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(entry, URLResolver):
            yield from names(entry.url_patterns, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern):
            yield f"{space}{entry.name or entry.pattern}"


def test_every_address_of_the_node_stands_in_the_table_and_the_table_names_no_other():
    assert sorted(names()) == sorted(TABLE)


def ask(client: Client, name: str, row: Row, walk: Walk, *, post: bool) -> Any:
    """Ask once and take back whatever it changed."""
    address = reverse(name, args=row.args(walk)) + (QUERIES[name](walk) if name in QUERIES else "")
    with transaction.atomic():
        answer = client.post(address, row.post or {}) if post else client.get(address)
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize("name", sorted(TABLE))
def test_each_role_gets_what_the_table_says_at_a_party_and_at_an_outsider(name, walk):
    row = TABLE[name]
    post = row.post is not None
    found = {}
    for place, body in (("party", getattr(walk.world, row.at)), ("outsider", walk.world.outsider)):
        found[place] = " ".join(str(ask(entered(seat(body, role)), name, row, walk, post=post).status_code) for role in ROLES)
    assert found == {"party": row.party, "outsider": row.outsider}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_stranger_is_led_to_the_sign_in_page(name, walk):
    row = TABLE[name]
    answer = ask(Client(), name, row, walk, post=row.post is not None)
    if row.anonymous == SIGN_IN:
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("accounts:sign_in"))
    else:
        assert answer.status_code == row.anonymous


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_person_whose_only_seat_has_ended_gets_nothing_of_it(name, walk):
    row = TABLE[name]
    ended = seat(getattr(walk.world, row.at), "signer", until=date(2020, 1, 1))
    assert ask(entered(ended), name, row, walk, post=row.post is not None).status_code == row.ended


@pytest.mark.parametrize("name", sorted(n for n, r in TABLE.items() if r.other is not None))
def test_an_address_takes_only_its_own_method(name, walk):
    row = TABLE[name]
    allowed = next((role for role, code in zip(ROLES, row.party.split(), strict=True) if code in {"200", "302"}), ROLES[2])
    by = entered(seat(getattr(walk.world, row.at), allowed))
    assert ask(by, name, row, walk, post=row.post is None).status_code == row.other


def test_the_body_above_a_party_reads_its_papers_but_does_not_act_for_it(walk):
    above = entered(seat(walk.world.province, "signer"))
    for name in ("exchange:dispatch_detail", "exchange:dispatch_raw", "duties:duty_detail"):
        assert ask(above, name, TABLE[name], walk, post=False).status_code == 200, name
    for name in (
        "exchange:dispatch_acknowledge",
        "exchange:dispatch_return",
        "exchange:dispatch_withdraw",
        "exchange:dispatch_replace",
        "exchange:draft_form",
        "exchange:draft_discard",
        "duties:duty_write",
        "duties:nil_send",
    ):
        row = TABLE[name]
        assert ask(above, name, row, walk, post=row.post is not None).status_code == 404, name


def test_a_seat_that_begins_tomorrow_opens_no_door_today(walk):
    early = seat(walk.world.station, "signer")
    early.valid_from, early.valid_until = date(2100, 1, 1), None
    early.save()
    assert entered(early).get("/").status_code == 403
    assert early.valid_from > LONG_AGO


def test_absent_and_forbidden_look_alike(walk):
    outsider = entered(seat(walk.world.outsider))
    forbidden = outsider.get(reverse("exchange:dispatch_detail", args=[walk.dispatch.uuid]))
    absent = outsider.get(reverse("exchange:dispatch_detail", args=[uuid.uuid4()]))
    strip = lambda page: page.content.decode().replace(page.wsgi_request.path, "")  # noqa: E731
    assert forbidden.status_code == absent.status_code == 404
    assert len(strip(forbidden)) == len(strip(absent))
