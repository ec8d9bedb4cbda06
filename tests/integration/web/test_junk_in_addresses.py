"""Whatever stands behind the question mark of an address, a page answers and never breaks."""

import pytest
from django.http import QueryDict
from django.urls import reverse

from support.make import entered
from support.walk import QUERIES, TABLE, Walk

pytestmark = pytest.mark.django_db
JUNK = ["²", "9" * 20, "-1", "2020-13-45", "0000-00-00", "' or 1=1 --", "x" * 5000, "%", "\x00"]
PAGES = sorted(name for name, row in TABLE.items() if row.post is None and name != "accounts:sign_in")


@pytest.fixture
def asked(monkeypatch):
    """Collect the names that a page looks for."""
    names = set()
    get, getlist = QueryDict.get, QueryDict.getlist
    monkeypatch.setattr(QueryDict, "get", lambda self, key, *rest: (names.add(key), get(self, key, *rest))[1])
    monkeypatch.setattr(QueryDict, "getlist", lambda self, key, *rest: (names.add(key), getlist(self, key, *rest))[1])
    return names


def _read(answer):
    """Read a download to its end: it holds its file open until then."""
    if answer.streaming:
        for _ in answer.streaming_content:
            pass


@pytest.mark.parametrize("name", PAGES)
def test_junk_in_any_field_of_an_address_breaks_no_page(name, small_world, asked):
    walk, row = Walk(small_world), TABLE[name]
    client = entered(small_world.signer)
    client.raise_request_exception = False
    address = reverse(name, args=row.args(walk)) + (QUERIES[name](walk) if name in QUERIES else "")
    asked.clear()
    _read(client.get(address))
    broken = []
    for field in sorted(asked):
        for junk in JUNK:
            answer = client.get(reverse(name, args=row.args(walk)), {field: junk})
            _read(answer)
            if answer.status_code >= 500:
                broken.append((field, junk[:20]))
    assert broken == []


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_a_form_that_was_tampered_with_breaks_no_page(small_world, junk):
    walk = Walk(small_world)
    client = entered(small_world.signer)
    client.raise_request_exception = False
    fields = ("revision", "urgency", "event_at", "to", "copies", "until", "reason", "seat", "on", "next", "do", "v:tuan-tra")
    for name in ("exchange:draft_form", "reporting:report_form", "duties:duty_suspend", "accounts:seat_switch", "web:moment"):
        for field in fields:
            answer = client.post(reverse(name, args=TABLE[name].args(walk)), {field: junk})
            assert answer.status_code < 500, (name, field)
