"""The demo year on a real database: what S2 and S3 of December 2020 said can be seen, and nothing else is claimed."""

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from django.conf import settings
from django.db import transaction

from hiepdong.duties.models import Duty
from hiepdong.duties.queries import silences
from hiepdong.exchange.models import Addressee, Dispatch
from hiepdong.exchange.queries import verification_of
from hiepdong.reporting.models import Figure
from hiepdong.reporting.queries import figures_for_review
from hiepdong.web.demo.loader import load_example
from hiepdong.web.demo.year import PREFIX

pytestmark = pytest.mark.slow
FOLDER = settings.BASE_DIR / "examples" / "nghe-an-2020"
NOW = datetime(2026, 11, 1, 3, tzinfo=UTC)
CONFERENCE = datetime(2020, 12, 18, 2, tzinfo=UTC)
KEY = "nghe-an.qcph-2020"
YEAR = {"first": date(2019, 12, 15), "last": date(2020, 12, 14)}


def load():
    return load_example(folder=FOLDER, at=NOW, progress=lambda line: None)


# Not marked `django_db`: these tests share one loaded year, inside one transaction that is rolled back at the end.
# (The database is set up for them by any marked test of the run; alone, run the whole folder.)
@pytest.fixture(scope="module")
def year(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        yield load()
        transaction.set_rollback(True)


def test_the_year_has_the_size_that_was_asked_for(year):
    assert 1500 <= Dispatch.objects.count() == year["dispatches"] <= 3000
    assert year["duties"] == Duty.objects.count() > 1500


def test_loading_again_changes_nothing(year):
    before = (Dispatch.objects.count(), Duty.objects.count(), Figure.objects.count(), Addressee.objects.count())
    load()
    assert (Dispatch.objects.count(), Duty.objects.count(), Figure.objects.count(), Addressee.objects.count()) == before


def test_silence_in_both_directions_can_be_seen_for_the_pairs_that_were_drawn(year):
    both = Counter()
    for s in silences(KEY, **YEAR, as_of=CONFERENCE, threshold_days=60):
        if s.sender_id is not None and s.longest and s.longest.days >= 80:
            both[s.pair_id] += 1
    assert sum(count == 2 for count in both.values()) >= 4


def test_some_stations_report_badly_to_their_districts_and_most_do_not(year):
    good = Counter()
    owed = Counter()
    for d in Duty.objects.filter(rule__key="d-04", due_at__lte=CONFERENCE):
        owed[d.debtor_id] += 1
        good[d.debtor_id] += d.fulfilled_at is not None and d.fulfilled_at < d.due_at
    rates = sorted(good[o] / owed[o] for o in owed)
    assert rates[3] <= 0.7
    assert rates[len(rates) // 2] >= 0.8


def test_every_paper_is_marked_and_every_sampled_signature_and_chain_verifies(year):
    assert not Dispatch.objects.exclude(subject__startswith=PREFIX).exists()
    for dispatch in Dispatch.objects.select_related("key").order_by("digest")[:40]:
        assert verification_of(dispatch).good


def test_registers_have_no_hole_and_sequences_no_gap(year):
    numbers = {}
    for sender, in_year, number in Dispatch.objects.values_list("sender_id", "register_year", "register_number"):
        numbers.setdefault((sender, in_year), []).append(number)
    assert all(sorted(n) == list(range(1, len(n) + 1)) for n in numbers.values())
    sequences = {}
    for sender, to, sequence in Addressee.objects.values_list("sender_id_copy", "organisation_id", "sequence"):
        sequences.setdefault((sender, to), []).append(sequence)
    assert all(sorted(n) == list(range(1, len(n) + 1)) for n in sequences.values())


def test_the_sums_of_the_year_lie_near_what_was_published(year):
    totals = {t.indicator: t for t in figures_for_review(KEY, **YEAR, as_of=CONFERENCE)}
    assert 600 <= totals["to-an-ninh"].value <= 830  # 716 groups published for 2020
    assert 3300 <= totals["to-an-ninh-nguoi"].value <= 4600  # 3.959 members
    assert 70 <= totals["to-duong-bien"].value <= 100  # 84 groups, only on the land border
    assert 45 <= totals["to-tau-thuyen"].value <= 75  # 58 groups, only at sea
    assert 1500 <= totals["tuan-tra"].value <= 4000
    assert all(t.reports for t in totals.values())
