"""Entries to seal, and an attacker who may do anything in the database."""

import contextlib
from datetime import UTC, datetime

import pytest
from django.db import connection

from hiepdong.journal.models import Entry, Seal

AT = datetime(2020, 3, 20, 3, 0, 0, 123456, tzinfo=UTC)


def add_entries(count, **changes):
    """Append entries as services do, and return them."""
    facts = {
        "code": "exchange.dispatch.sent",
        "at": AT,
        "subject_kind": "exchange.Dispatch",
        "subject_id": "41",
        "subject_name": "Số: 05/BC-ĐBP",
        "actor_kind": "seat",
        "actor_id": "3",
        "actor_name": "Đồn trưởng",
        "organisation_id": 7,
        "facts": {"sequence": 5, "reason": "chậm vì mưa lũ"},
    }
    return [Entry.objects.create(**facts | changes) for _ in range(count)]


@contextlib.contextmanager
def unprotected():
    """Take the triggers away, as one can who owns the database, and put them back."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'journal%'")
            kept = cursor.fetchall()
            for name, _sql in kept:
                cursor.execute(f"DROP TRIGGER {name}")
        else:
            # Deferred checks (a stamp's seal) are done first; a table cannot be altered while they wait.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in ("journal_entry", "journal_seal", "journal_stamp"):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        if connection.vendor == "sqlite":
            for _name, sql in kept:
                cursor.execute(sql)
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in ("journal_entry", "journal_seal", "journal_stamp"):
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
def attacker(db):
    """Run one SQL statement past every guard of the database."""

    def run(sql, *values):
        with unprotected() as cursor:
            cursor.execute(sql, values)

    return run


@pytest.fixture
def three_seals(db):
    """Ten entries under three seals; return them as (entries, seals)."""
    from hiepdong.journal.services import seal_entries

    add_entries(10)
    assert [seal_entries(at=AT, most=4) for _ in range(3)] == [4, 4, 2]
    return list(Entry.objects.order_by("id")), list(Seal.objects.order_by("number"))
