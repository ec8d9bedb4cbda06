"""Every address of a node, walked with every role, at a party of the record and at a body that is none.

The table in `support.walk` is the expectation, line by line. An address of the URLconf that is missing from it fails.
"""

import uuid
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from hiepdong.exchange import queries as exchange
from hiepdong.kernel.errors import NotAllowed
from support.make import LONG_AGO, World, entered, seat
from support.walk import ROLES, SIGN_IN, TABLE, Walk, ask, names

pytestmark = pytest.mark.django_db


@pytest.fixture
def walk(small_world: World) -> Walk:
    return Walk(small_world)


def test_every_address_of_the_node_stands_in_the_table_and_the_table_names_no_other():
    assert sorted(names()) == sorted(TABLE)


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


def test_who_runs_the_node_sees_neither_drafts_nor_papers_on_any_list(walk):
    runs = seat(walk.world.station, "node_administrator")
    client = entered(runs)
    assert walk.draft.content["subject"]
    for name in [n for n, r in TABLE.items() if r.party.split()[4] == "200" and r.post is None and not r.args(walk)]:
        address = reverse(name) + ("?q=thang" if name == "web:search" else "")
        page = client.get(address).content.decode()
        assert walk.dispatch.subject not in page, name
        assert f">{walk.draft.content['subject']}<" not in page, name
    for asked in (exchange.drafts_for, exchange.correspondents):
        with pytest.raises(NotAllowed):
            asked(runs)


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
