"""0003: every addressee says whether its dispatch is a withdrawal."""

import uuid
from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2020, 3, 16, 3, tzinfo=UTC)


def migrated(name):
    """Bring the database to a migration of `exchange` and return its models of that day."""
    executor = MigrationExecutor(connection)
    executor.migrate([("exchange", name)])
    return MigrationExecutor(connection).loader.project_state([("exchange", name)]).apps


@pytest.fixture
def before():
    try:
        yield migrated("0002_search")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def test_withdrawals_that_were_sent_before_are_marked_and_nothing_else(before):
    organisation = before.get_model("organisations", "Organisation")
    bodies = [organisation.objects.create(key=k, kind="other", name=k, valid_from=date(2000, 1, 1)) for k in ("t.a", "t.b")]
    key = before.get_model("exchange", "SigningKey").objects.create(
        organisation=bodies[0], kid="t", public_jwk={}, private_encrypted="", valid_from=AT
    )
    for number, kind in enumerate(("notice", "withdrawal", "report"), 1):
        made = before.get_model("exchange", "Dispatch").objects.create(
            uuid=uuid.uuid4(),
            sender=bodies[0],
            kind=kind,
            register_year=2020,
            register_number=number,
            notation=str(number),
            subject=kind,
            sent_at=AT,
            entered_at=AT,
            signed=b"",
            digest="",
            key=key,
        )
        before.get_model("exchange", "Addressee").objects.create(
            dispatch=made, organisation=bodies[1], sender_id_copy=bodies[0].pk, sequence=number, sent_at=AT
        )
    now = migrated("0003_addressee_withdrawal").get_model("exchange", "Addressee")
    marked = dict(now.objects.values_list("dispatch__kind", "withdrawal"))
    assert marked == {"notice": False, "withdrawal": True, "report": False}
