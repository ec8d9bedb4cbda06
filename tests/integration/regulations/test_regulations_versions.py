"""Versions, regulations above and below, duties asked twice, and what the page of a regulation says of each."""

from datetime import UTC, date, datetime

import pytest

from hiepdong.accounts.services import grant_seat, make_person
from hiepdong.duties.models import Duty
from hiepdong.duties.services import make_duties
from hiepdong.organisations.queries import organisation_by_key
from hiepdong.regulations import queries
from hiepdong.regulations.models import Instrument
from hiepdong.regulations.services import InvalidRegulation, load_instrument
from support.places import EXAMPLES, organisations_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("units")]
NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)
KEY = "nghe-an.qcph-2026"
TEXT = (EXAMPLES / "nghe-an-2026" / "regulation.toml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def bodies(units):
    organisations_of("nghe-an-2026")


def load(*changes, text=TEXT):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_instrument(file_bytes=text.encode(), name="regulation.toml", actor=None, at=NOW)


SECOND = [
    ("version = 1\n", "version = 2\n"),
    ("effective_from = 2025-12-15", "effective_from = 2026-06-15"),
    (
        'deadline = { type = "after", amount = 3, unit = "working_days" }',
        'deadline = { type = "after", amount = 5, unit = "days" }',
    ),
]
OTHER = [(f'key = "{KEY}"', 'key = "nghe-an.don-my-ly-2026"'), ("Mẫu quy chế", "Quy chế cấp đồn, mẫu quy chế")]


def signer(key):
    person = make_person(sign_in_name=key, display_name="Trực ban", password="", actor=None, at=NOW, check=False)
    body = organisation_by_key(key)
    return grant_seat(person=person, organisation=body, role="signer", title="", since=date(2026, 1, 1), actor=None, at=NOW)


def test_after_an_amendment_old_periods_keep_the_old_rules_and_new_ones_follow_the_new():
    first = load()
    second = load(*SECOND)
    first.refresh_from_db()
    assert (first.effective_until, second.version) == (date(2026, 6, 15), 2)
    make_duties(instrument_key=KEY, until=date(2026, 8, 31), actor=None, at=NOW)
    of = dict(Duty.objects.filter(rule__key="d-02").values_list("occasion", "rule__instrument__version"))
    assert of["2026-06"] == 1  # ends on 14 June, the day before
    assert of["2026-07"] == 2
    due = dict(Duty.objects.filter(rule__key="d-02").values_list("occasion", "due_at"))
    assert due["2026-06"] == datetime(2026, 6, 17, 17, tzinfo=UTC)
    assert due["2026-07"] == datetime(2026, 7, 19, 17, tzinfo=UTC)


def test_the_version_of_a_day_is_the_one_in_force_on_it():
    load()
    load(*SECOND)
    seat = signer("nghe-an.don-my-ly")
    assert queries.instrument_for(seat, KEY, on=date(2026, 6, 14)).version == 1
    assert queries.instrument_for(seat, KEY, on=date(2026, 6, 15)).version == 2


@pytest.mark.parametrize(
    ("change", "path"),
    [(("version = 2\n", "version = 3\n"), "version"), (("from = 2026-06-15", "from = 2025-12-15"), "effective_from")],
)
def test_an_amendment_out_of_turn_is_refused_and_the_first_version_stays_open(change, path):
    first = load()
    with pytest.raises(InvalidRegulation) as refused:
        load(*SECOND, change)
    assert [p.path for p in refused.value.problems] == [path]
    first.refresh_from_db()
    assert first.effective_until is None


def test_two_regulations_that_ask_the_same_pair_for_the_same_report_are_pointed_out_on_both():
    first = load()
    assert queries.asked_twice_with(first) == []
    other = load(*OTHER)
    twice = {(a.key, b.key) for a, b in queries.asked_twice_with(other)}
    assert ("d-01", "d-01") in twice
    assert ("d-14", "d-14") in twice  # every 3 March
    assert {(b.key, a.key) for a, b in queries.asked_twice_with(first)} == twice
    assert all(a.instrument_id == other.pk and b.instrument_id == first.pk for a, b in queries.asked_twice_with(other))


def test_regulations_in_force_at_other_times_and_versions_of_one_ask_nothing_twice():
    load()
    second = load(*SECOND)
    assert queries.asked_twice_with(second) == []
    Instrument.objects.filter(key=KEY).update(effective_until=date(2026, 12, 15))
    later = load(*OTHER, ("effective_from = 2025-12-15", "effective_from = 2026-12-15"))
    assert queries.asked_twice_with(later) == []


def test_a_duty_that_stands_twice_in_one_regulation_is_pointed_out():
    block = TEXT[TEXT.index('[[duty]]\nkey = "d-01"') : TEXT.index('[[duty]]\nkey = "d-02"')]
    made = load(text=TEXT.replace(block, block + block.replace('key = "d-01"', 'key = "d-01-lai"')))
    assert [(a.key, b.key) for a, b in queries.asked_twice_with(made)] == [("d-01", "d-01-lai")]


def test_a_regulation_derived_from_another_leads_to_it_and_back(client):
    load()
    load(*OTHER, ("verified = false\n\n[thresholds]", f'verified = false\nparent = "{KEY}"\n\n[thresholds]'))
    client.force_login(signer("nghe-an.don-my-ly").person)
    below = client.get("/quy-che/nghe-an.don-my-ly-2026/").content.decode()
    above = client.get(f"/quy-che/{KEY}/").content.decode()
    assert "Quy chế cấp trên:" in below
    assert f"/quy-che/{KEY}/" in below
    assert "Quy chế cấp dưới" in above
    assert "/quy-che/nghe-an.don-my-ly-2026/" in above


def test_the_page_says_each_duty_in_words_with_its_reminders(client, django_assert_max_num_queries):
    load()
    load(*OTHER)
    client.force_login(signer("nghe-an.don-my-ly").person)
    with django_assert_max_num_queries(40):
        page = client.get(f"/quy-che/{KEY}/").content.decode()
    for words in (
        "trong 2 ngày làm việc",
        "hằng tháng (từ ngày 15 tháng trước đến ngày 14)",
        "trước hạn 2 ngày, sau hạn 1 ngày, sau hạn 5 ngày",
        "cùng địa bàn",
        "Có thể trùng với:",
    ):
        assert words in page
