"""The database refuses to change or delete what the journal says, whoever asks.

On SQLite a migration that rebuilds a table drops its triggers: these tests then fail, and the migration must make them again.
"""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from hiepdong.journal.models import Entry, Seal, Stamp

from .conftest import AT, add_entries


def refused(act):
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        act()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 10**9),
        ("code", "x"),
        ("at", AT + timedelta(microseconds=1)),
        ("subject_kind", "x"),
        ("subject_id", "x"),
        ("subject_name", "x"),
        ("actor_kind", "x"),
        ("actor_id", "x"),
        ("actor_name", "x"),
        ("organisation_id", None),
        ("facts", {"sequence": 6}),
    ],
)
def test_no_member_of_an_entry_can_be_changed_sealed_or_not(three_seals, field, value):
    open_one = add_entries(1)[0]
    for row in (three_seals[0][0], open_one):
        refused(lambda row=row: Entry.objects.filter(pk=row.pk).update(**{field: value}))


def test_entries_seals_and_stamps_cannot_be_deleted(three_seals):
    Stamp.objects.create(seal=three_seals[1][2], response=b"x", authority="x", generated_at=AT, made_at=AT)
    open_one = add_entries(1)[0]
    refused(lambda: Entry.objects.filter(pk=three_seals[0][0].pk).delete())
    refused(open_one.delete)
    refused(lambda: Seal.objects.filter(number=1).delete())
    refused(lambda: Stamp.objects.all().delete())


def test_a_seal_and_a_stamp_cannot_be_changed(three_seals):
    Stamp.objects.create(seal=three_seals[1][2], response=b"x", authority="x", generated_at=AT, made_at=AT)
    refused(lambda: Seal.objects.filter(number=1).update(made_at=AT + timedelta(days=1)))
    refused(lambda: Stamp.objects.update(generated_at=AT + timedelta(days=1)))


def test_an_entry_is_sealed_once_and_may_be_reacted_to_at_any_time(three_seals):
    row = three_seals[0][0]
    refused(lambda: Entry.objects.filter(pk=row.pk).update(seal=2))
    refused(lambda: Entry.objects.filter(pk=row.pk).update(seal=None))
    Entry.objects.filter(pk=row.pk).update(reacted_at=AT)
    Entry.objects.filter(pk=row.pk).update(reacted_at=None)
    row.refresh_from_db()
    row.save()  # the same values again are no change


@pytest.mark.django_db(transaction=True)
def test_the_emptying_of_a_database_between_tests_leaves_the_guard_in_place():
    """Twice, for the emptying happens after each."""
    add_entries(1)
    refused(lambda: Entry.objects.all().delete())


@pytest.mark.django_db(transaction=True)
def test_the_emptying_of_a_database_between_tests_leaves_the_guard_in_place_again():
    assert not Entry.objects.exists()
    add_entries(1)
    refused(lambda: Entry.objects.all().delete())
