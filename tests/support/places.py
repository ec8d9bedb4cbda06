"""All administrative units and the bodies of Nghệ An in 2020, loaded once per test module and rolled back."""

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import transaction

from hiepdong.organisations.services import load_organisations
from hiepdong.territories.services import load_units

EXAMPLES = settings.BASE_DIR / "examples"
NOW = datetime(2026, 11, 1, 3, tzinfo=UTC)


def organisations_of(folder, name="organisations.toml"):
    return load_organisations(file_bytes=(EXAMPLES / folder / name).read_bytes(), name=name, actor=None, at=NOW)


@pytest.fixture(scope="module")
def units(django_db_setup, django_db_blocker):
    """Both pictures of the units; each test then runs inside its own savepoint."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield load_units(actor=None, at=NOW)
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def bodies_of_2020(units, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        yield organisations_of("nghe-an-2020")
        transaction.set_rollback(True)
