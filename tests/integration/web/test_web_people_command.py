"""A node begins with its first seats, made on the server: `hiepdong people`."""

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from hiepdong.accounts.models import Person, Seat
from hiepdong.accounts.services import sign_in
from hiepdong.journal.models import Entry
from hiepdong.organisations.services import load_organisations

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
FILE = """
format = "hiepdong.organisations/1"
[[organisation]]
key = "t.bo-chi-huy"
kind = "border_guard_command"
name = "Bộ Chỉ huy"
valid_from = 2020-01-01
source = "test"
""".encode()


@pytest.fixture(autouse=True)
def organisation():
    load_organisations(file_bytes=FILE, name="t.toml", actor=None, at=NOW)


def people(*arguments, **options):
    out = io.StringIO()
    call_command("people", *arguments, stdout=out, **options)
    return out.getvalue()


def add(*more):
    return people(
        "add", "Quan-Tri", "--organisation", "t.bo-chi-huy", "--role", "node_administrator", "--name", "Quản trị nút", *more
    )


def test_the_password_that_is_shown_once_is_the_one_that_signs_in():
    shown = json.loads(add("--json"))
    person = sign_in(sign_in_name="quan-tri", password=shown["password"], address="127.0.0.1", at=NOW)
    assert person.sign_in_name == shown["person"] == "quan-tri"
    seat = Seat.objects.get()
    assert (seat.role, seat.valid_from, seat.valid_until) == ("node_administrator", timezone.localdate(), None)
    assert shown["password"] not in json.dumps(list(Entry.objects.values("subject_name", "facts")))


def test_a_password_read_from_the_input_is_never_printed(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("ba con trâu già\n"))
    assert "trâu" not in add("--password-stdin")
    assert sign_in(sign_in_name="quan-tri", password="ba con trâu già", address="127.0.0.1", at=NOW)


def test_a_second_seat_of_a_known_person_keeps_the_password():
    password = json.loads(add("--json"))["password"]
    again = json.loads(people("add", "quan-tri", "--organisation", "t.bo-chi-huy", "--role", "viewer", "--json"))
    assert "password" not in again
    assert sign_in(sign_in_name="quan-tri", password=password, address="127.0.0.1", at=NOW)
    assert Seat.objects.count() == 2


def test_adding_the_same_seat_again_changes_nothing():
    add()
    before = Entry.objects.count()
    add()
    assert (Seat.objects.count(), Person.objects.count(), Entry.objects.count()) == (1, 1, before)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "a", "--organisation", "no.such", "--role", "viewer", "--name", "A"), 1),
        (("add", "a", "--organisation", "t.bo-chi-huy", "--role", "viewer"), 2),
        (("password", "nobody"), 1),
    ],
)
def test_a_refusal_makes_nobody_and_says_so_by_its_code(arguments, code):
    with pytest.raises(CommandError) as refused:
        people(*arguments)
    assert refused.value.returncode == code
    assert not Person.objects.exists()


def test_a_weak_password_is_refused_and_makes_nobody(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("12345\n"))
    with pytest.raises(CommandError) as refused:
        add("--password-stdin")
    assert refused.value.returncode == 1
    assert "10" in str(refused.value)
    assert not Person.objects.exists()


def test_a_new_password_replaces_the_old_one():
    old = json.loads(add("--json"))["password"]
    new = json.loads(people("password", "quan-tri", "--json"))["password"]
    assert new != old
    assert sign_in(sign_in_name="quan-tri", password=new, address="127.0.0.1", at=NOW)
    assert Entry.objects.filter(code="accounts.password.changed").count() == 1
