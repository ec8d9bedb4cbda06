"""A fresh demo is caught up: what a visitor does next is reacted to at once, not after a thousand older entries."""

import io

import pytest
from django.core.management import call_command

from hiepdong.journal.queries import open_entries


@pytest.mark.slow
@pytest.mark.django_db
def test_a_fresh_demo_leaves_no_journal_entry_before_what_a_visitor_does_next():
    call_command("demo", stdout=io.StringIO(), stderr=io.StringIO())
    assert list(open_entries(limit=1)) == []
