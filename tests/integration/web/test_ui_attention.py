"""What must jump out of desk and board: pairs that fell silent, bodies that leave out or send late."""

import random
import re
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse

from hiepdong.duties.attention import attention, months_of
from hiepdong.duties.domain.silence import silences
from hiepdong.duties.models import Duty, Pair
from hiepdong.exchange.models import Addressee, Dispatch, SigningKey
from hiepdong.kernel.moments import at_local
from support.make import KEY, MADE_AT, entered, organisation, seat

pytestmark = pytest.mark.django_db

AT = datetime(2020, 6, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)


def exchanged(sender, to, days, *, kind="notice"):
    """Store dispatches sent at noon of the local days, without the cost of signing them."""
    key, _ = SigningKey.objects.get_or_create(
        kid=sender.key, defaults={"organisation": sender, "public_jwk": {}, "valid_from": MADE_AT}
    )
    begun = Dispatch.objects.filter(sender=sender).count()
    for number, day in enumerate(days, begun + 1):
        moment = at_local(day) + timedelta(hours=12)
        made = Dispatch.objects.create(
            uuid=uuid.uuid4(),
            sender=sender,
            kind=kind,
            register_year=day.year,
            register_number=number,
            notation=str(number),
            subject="Thông báo",
            subject_folded="thong bao",
            sent_at=moment,
            entered_at=moment,
            signed=b"",
            digest="",
            key=key,
        )
        copied = {"sender_id_copy": sender.pk, "sent_at": moment, "apart": kind == "withdrawal"}
        Addressee.objects.create(dispatch=made, organisation=to, sequence=number, **copied)


@pytest.fixture
def world(small_world):
    small_world.duties()
    small_world.leader = seat(small_world.province)
    return small_world


def found(world, *, by=None, at=AT, **thresholds):
    return attention(by or world.leader, KEY, at.year, at, thresholds=thresholds)


def test_a_pair_in_which_neither_side_sent_anything_while_something_fell_due_is_named_with_its_days(world):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    silent = found(world).silent
    assert [s.pair.first for s in silent] == [world.station]
    assert (silent[0].longest.after, silent[0].longest.until) == (date(2020, 1, 10), date(2020, 6, 2))
    assert silent[0].longest.days == 143
    assert silent[0].longest.open
    assert months_of(silent[0], 2020) == {2, 3, 4, 5} | {1}


def test_where_one_side_alone_owed_it_is_named_once_as_a_body_that_leaves_out(world):
    Duty.objects.filter(debtor=world.district).delete()
    noticed = found(world)
    assert noticed.silent == []
    assert [w.body for w in noticed.weak] == [world.station]


def test_a_dispatch_of_either_side_ends_the_silence(world):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    exchanged(world.district, world.station, [date(2020, 3, 5), date(2020, 4, 30)])
    assert found(world).silent == []


def test_a_withdrawal_is_no_exchange(world):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    exchanged(world.district, world.station, [date(2020, 3, 5), date(2020, 4, 30)], kind="withdrawal")
    assert len(found(world).silent) == 1


@pytest.mark.parametrize(("days", "named"), [(59, 0), (60, 1), (61, 1)])
def test_the_silence_is_named_from_the_threshold_on(world, days, named):
    before = date(2020, 2, 10)
    after = before + (days + 1) * DAY
    often = [date(2020, 1, 1) + n * DAY for n in range(150)]
    exchanged(world.station, world.district, [d for d in often if d <= before or d >= after])
    assert len(found(world).silent) == named


def test_nobody_is_silent_who_let_nothing_fall_due(world):
    Duty.objects.all().update(fulfilled_at=datetime(2020, 1, 2, tzinfo=UTC))
    assert found(world).silent == []
    assert found(world).weak == []


def test_what_happens_after_the_day_shown_changes_nothing(world):
    exchanged(world.station, world.district, [date(2020, 1, 10), date(2020, 5, 20)])
    assert found(world, at=datetime(2020, 5, 1, tzinfo=UTC)).silent[0].longest.open


@pytest.mark.parametrize("seed", range(6))
def test_the_looked_up_silences_are_those_that_reading_every_dispatch_finds(world, seed):
    rng = random.Random(seed)
    first, last = date(2020, 1, 1), date(2020, 6, 1)
    days = sorted(rng.sample([first + n * DAY for n in range((last - first).days)], rng.choice([0, 1, 3, 8])))
    half = [d for d in days if rng.random() < 0.5]
    exchanged(world.station, world.district, half)
    exchanged(world.district, world.station, [d for d in days if d not in half])
    least = rng.choice([7, 20, 45])
    expected = {s for s in silences(days, first=first, last=last) if s.days >= least}
    got = found(world, silence_days=least, missing_count=0).silent
    station = [s for s in got if s.pair.first == world.station and s.pair.second == world.district]
    assert set(station[0].silences if station else ()) == expected


def test_what_fell_into_a_silence_of_both_sides_does_not_make_a_body_weak_too(world):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    assert [w.body for w in found(world).weak] == []
    exchanged(world.district, world.station, [date(2020, 1, 1) + n * 14 * DAY for n in range(11)])
    weak = found(world).weak
    assert [(w.body, w.missing, w.late) for w in weak] == [(world.station, w.missing, 0) for w in weak]
    assert weak[0].missing >= 4


def test_a_station_sees_its_own_pairs_and_an_outsider_none(world):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    assert len(found(world, by=world.signer).silent) == 1
    assert found(world, by=seat(world.outsider)).silent == []
    assert found(world, by=seat(world.province, "node_administrator")).silent == []


def test_the_number_of_queries_does_not_grow_with_pairs_or_dispatches(world, django_assert_num_queries):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    leader = seat(world.province)
    with django_assert_num_queries(6):
        attention(leader, KEY, 2020, AT)
    for n in range(5):
        other = organisation(f"t.xa-{n}", "party_commune")
        Pair.objects.create(instrument_key=KEY, first=world.station, second=other)
        exchanged(world.station, other, [date(2020, 2, 1) + i * DAY for i in range(10)])
    leader = seat(world.province)
    with django_assert_num_queries(6):
        attention(leader, KEY, 2020, AT)


# --- pages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def looking(settings):
    settings.HIEPDONG_DEMO_DAY = "2020-06-01"


def test_the_board_puts_the_silent_pair_first_marks_its_months_and_the_filter_keeps_only_it(world, looking):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    client = entered(world.leader)
    page = client.get(reverse("web:board")).content.decode()
    assert "hd-alarm hd-alarm-late" in page
    first_row = page.split("<tbody>")[1]
    assert "Đồn Biên phòng Một" in first_row
    assert first_row.count("hd-cell hd-silent") >= 4
    assert "143 ngày" in first_row
    only = client.get(reverse("web:board"), {"only": "silent"}).content.decode()
    assert only.count("<tbody>") == 1
    weak = client.get(reverse("web:board"), {"only": "weak"}).content.decode()
    assert weak.count("<tbody>") == 0
    assert "tất cả các cặp" in weak, "an empty board says how to see more"


def test_the_numbers_beside_a_weak_body_are_those_of_the_list_behind_them(world, looking):
    exchanged(world.district, world.station, [date(2020, 1, 1) + n * 14 * DAY for n in range(11)])
    client = entered(world.leader)
    page = client.get(reverse("web:board")).content.decode()
    box = page[page.index('id="weak-bodies"') :]
    link, number = re.search(r'hd-missing" href="([^"]+)">(\d+)', box).groups()
    behind = client.get(link.replace("&amp;", "&")).content.decode()
    assert f"{number} nghĩa vụ" in behind


def test_the_desk_of_a_leader_begins_with_what_jumps_out_and_the_desk_of_a_station_with_its_work(world, looking):
    exchanged(world.station, world.district, [date(2020, 1, 10)])
    leader = entered(world.leader).get("/").content.decode()
    assert 0 < leader.index('id="silent-pairs"') < leader.index('id="owed"')
    station = entered(world.signer).get("/").content.decode()
    assert 0 < station.index('id="owed"') < station.index('id="silent-pairs"')
    assert 'id="silent-pairs"' not in entered(seat(world.outsider)).get("/").content.decode()


def test_a_cell_of_the_board_opens_the_duties_of_its_month(world, looking):
    client = entered(world.leader)
    pair = Pair.objects.get(first=world.station, second=world.district)
    listed = client.get(reverse("duties:duty_list"), {"pair": pair.pk, "debtor": world.station.pk, "month": "2020-03"})
    assert [d.reference for d in listed.context["page"].object_list] == [world.reference("2020-03")]
