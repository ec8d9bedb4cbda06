"""0002 and 0003: entries of a node of before are kept as they are, are sealed later, and are guarded from then on."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from hiepdong.journal.models import Entry
from hiepdong.journal.queries import check_chain
from hiepdong.journal.services import seal_entries

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2020, 3, 16, 3, tzinfo=UTC)


def migrated(name):
    """Bring the database to a migration of `journal` and return its models of that day."""
    executor = MigrationExecutor(connection)
    executor.migrate([("journal", name)])
    return MigrationExecutor(connection).loader.project_state([("journal", name)]).apps


@pytest.fixture
def before():
    try:
        yield migrated("0001_initial")
    finally:
        migrated("0003_append_only")


def test_entries_of_before_are_unsealed_then_sealed_in_batches_and_kept(before):
    made = before.get_model("journal", "Entry")
    for n in range(5):
        made.objects.create(code=f"t.t.{n}", at=AT, subject_kind="t.T", subject_id=str(n), facts={"n": n})
    facts = list(made.objects.order_by("id").values())
    migrated("0003_append_only")
    assert list(Entry.objects.order_by("id").values()) == [row | {"seal": None} for row in facts]
    assert [seal_entries(at=AT, most=3) for _ in range(3)] == [3, 2, 0]
    assert (check_chain().breaks, check_chain().entries) == ((), 5)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Entry.objects.filter(code="t.t.1").delete()
