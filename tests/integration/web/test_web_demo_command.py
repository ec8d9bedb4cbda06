"""A fresh demo: caught up, and as the documents describe it."""

import io
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.core.management import call_command

from hiepdong.duties.models import Duty
from hiepdong.duties.queries import silences
from hiepdong.exchange.models import Dispatch
from hiepdong.journal.queries import open_entries

ROOT = Path(__file__).resolve().parents[3]
CONFERENCE = datetime(2020, 12, 18, 2, tzinfo=UTC)  # 09:00 in Viet Nam
KEY = "nghe-an.qcph-2020"
YEAR = {"first": date(2019, 12, 15), "last": date(2020, 12, 14)}


def words(name):
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def _no_journal_entry_stands_before_what_a_visitor_does_next():
    assert list(open_entries(limit=1)) == []


def _the_example_says_how_many_duties_and_dispatches_the_year_has():
    text = words("examples/nghe-an-2020/README.md")
    unasked = Dispatch.objects.filter(answers=[]).count()
    said = [
        f"{Duty.objects.count():,} duties",
        f"{Dispatch.objects.count():,} dispatches",
        f"{unasked} notices that no duty asks for",
    ]
    assert [s for s in said if s not in text] == []


def _the_documents_name_the_longest_silence_and_its_days():
    known = silences(KEY, **YEAR, as_of=CONFERENCE, threshold_days=60)
    owed = {(d.debtor_id, d.creditor_id) for d in Duty.objects.filter(rule__key="d-04")}
    pair = {d.pair_id: d.pair for d in Duty.objects.filter(rule__key="d-04").select_related("pair__first", "pair__second")}
    longest = max((s for s in known if s.sender_id is None and s.pair_id in pair), key=lambda s: s.longest.days)
    assert owed
    assert (pair[longest.pair_id].first.key, pair[longest.pair_id].second.key) == (
        "nghe-an.don-my-ly",
        "nghe-an.huyen-uy-ky-son",
    )
    for name in ("examples/nghe-an-2020/README.md", "docs/tutorial/a-first-day.md"):
        assert f"{longest.longest.days} days" in words(name), name


def _the_first_day_tells_what_the_desk_of_the_station_and_the_review_show():
    text = words("docs/tutorial/a-first-day.md")
    first = Duty.objects.filter(debtor__key="nghe-an.don-my-ly", due_at__lte=CONFERENCE, fulfilled_at__isnull=True).earliest(
        "due_at"
    )
    assert (first.rule.key, first.occasion) == ("d-04", "2020-03")
    assert f"{(CONFERENCE - first.due_at).days + 1} days late" in text
    missing = Duty.objects.filter(due_at__lte=CONFERENCE, fulfilled_at__isnull=True).count()
    assert re.findall(r"the (\d+) duties", text) == [str(missing)]
    assert f"the number {missing} over" in text


@pytest.mark.slow
@pytest.mark.django_db
def test_a_fresh_demo_is_caught_up_and_as_the_documents_describe_it():
    call_command("demo", stdout=io.StringIO(), stderr=io.StringIO())  # once for all: it takes a while
    _no_journal_entry_stands_before_what_a_visitor_does_next()
    _the_example_says_how_many_duties_and_dispatches_the_year_has()
    _the_documents_name_the_longest_silence_and_its_days()
    _the_first_day_tells_what_the_desk_of_the_station_and_the_review_show()
