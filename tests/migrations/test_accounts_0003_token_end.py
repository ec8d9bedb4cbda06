"""0003: tokens made before end a year after the day of the migration."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

pytestmark = pytest.mark.django_db(transaction=True)


def migrated(name):
    """Bring the database to a migration of `accounts` and return its models of that day."""
    MigrationExecutor(connection).migrate([("accounts", name)])
    return MigrationExecutor(connection).loader.project_state([("accounts", name)]).apps


@pytest.fixture
def before():
    try:
        yield migrated("0002_api_tokens")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def test_a_token_of_before_works_for_one_more_year(before):
    body = before.get_model("organisations", "Organisation").objects.create(
        key="t.a", kind="other", name="t.a", valid_from=date(2000, 1, 1)
    )
    person = before.get_model("accounts", "Person").objects.create(sign_in_name="t", display_name="t")
    seat = before.get_model("accounts", "Seat").objects.create(
        person=person, organisation=body, role="clerk", valid_from=date(2000, 1, 1)
    )
    made = datetime(2020, 3, 16, 3, tzinfo=UTC)
    before.get_model("accounts", "ApiToken").objects.create(seat=seat, name="t", digest="0" * 64, made_at=made)
    kept = migrated("0003_token_end").get_model("accounts", "ApiToken").objects.get()
    assert kept.valid_until == timezone.localdate() + timedelta(days=365)
