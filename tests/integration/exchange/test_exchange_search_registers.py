"""Search without marks, the two registers, and their CSV: nobody sees what the seat may not see."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse

from hiepdong.exchange import queries, search_index, services
from hiepdong.exchange.models import Dispatch
from hiepdong.kernel.errors import NotFound
from support.make import SENT_AT, entered, organisation, seat, send

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True, params=[(30, 4000), (0, 4000), (0, 2)], ids=["few bodies", "many bodies", "many, older"])
def way(request, monkeypatch):
    """How the index is asked depends on how many bodies one may look into; what is found must not."""
    monkeypatch.setattr(search_index, "MANY", request.param[0])
    monkeypatch.setattr(search_index, "NEWEST", request.param[1])


def found(seat_, text, **more):
    return [d.subject for d in queries.search(seat_, text, **more)]


@pytest.mark.parametrize("typed", ["don bien phong", "Đồn Biên phòng", "ĐỒN BIÊN PHÒNG", "  don   bien-phong ", "don bien pho"])
def test_a_search_without_marks_finds_the_words_with_marks(world, typed):
    send(world.reader, [world.station], "Gửi Đồn Biên phòng Nậm Cắn")
    send(world.reader, [world.station], "Việc khác", body={"text": "về biên giới"})
    # Both go to "Đồn Biên phòng Một": the names of the parties are found as well.
    assert found(world.reader, typed) == ["Việc khác", "Gửi Đồn Biên phòng Nậm Cắn"]
    assert found(world.reader, f"{typed} nam can") == ["Gửi Đồn Biên phòng Nậm Cắn"] or typed.endswith("pho")


def test_every_word_must_be_there_and_only_the_last_may_be_a_beginning(world):
    send(world.signer, [world.district], "Tuần tra mốc 405")
    assert found(world.signer, "tuan tra moc") == ["Tuần tra mốc 405"]
    assert found(world.signer, "tuan tra mo") == ["Tuần tra mốc 405"]
    assert found(world.signer, "tua tra") == []
    assert found(world.signer, "tuan tra buon lau") == []


def test_text_sections_and_the_notation_are_found_too(world):
    sent = send(world.signer, [world.district], "Thông báo", body={"text": "Đề nghị phối hợp khắc phục sạt lở"})
    assert found(world.signer, "sat lo") == ["Thông báo"]
    assert found(world.signer, sent.notation) == ["Thông báo"]


def test_a_search_shows_a_paper_to_its_parties_and_the_bodies_above_them_only(world):
    send(world.signer, [world.district], "Tuần tra mốc 405")
    send(world.signer, [world.outsider], "Việc khác")  # who may read one paper may not therefore read another
    for insider in (world.signer, world.clerk, world.reader, seat(world.province, "viewer")):
        assert found(insider, "tuan tra") == ["Tuần tra mốc 405"]
    for stranger in (seat(world.outsider), seat(world.station, "node_administrator")):
        assert found(stranger, "tuan tra") == found(stranger, "tuan tra", limit=1) == []
        assert "mốc 405" not in entered(stranger).get("/tim/", {"q": "tuan tra"}).content.decode()


@pytest.mark.parametrize(
    "attack", ["o{id}o", '" OR o{id}o', "o{id}o | a", "tra') or ('1'='1", "*", "tra NOT x", "-tra", "tra:*", "()"]
)
def test_the_words_of_a_search_are_words_and_no_language(world, attack):
    """The index holds a token for each party; whoever types it, or operators of the engine, gets nothing more."""
    send(world.signer, [world.district], "Tuần tra mốc 405")
    assert found(seat(world.outsider), attack.format(id=world.station.pk)) == []
    queries.search(world.signer, attack.format(id=world.station.pk))  # no syntax error


@pytest.mark.parametrize("nothing", ["", "   ", "!!!", "\x00", "—"])
def test_a_search_for_nothing_finds_nothing(world, nothing):
    send(world.signer, [world.district])
    assert found(world.signer, nothing) == []


def test_pages_of_a_search_continue_without_repeating_or_leaving_out(world):
    for n in range(7):
        send(world.signer, [world.district], f"Tuần tra {n}")
    first = queries.search(world.signer, "tuan tra", limit=3)
    second = queries.search(world.signer, "tuan tra", limit=3, before=first[-1].pk)
    third = queries.search(world.signer, "tuan tra", limit=3, before=second[-1].pk)
    assert [d.subject[-1] for d in [*first, *second, *third]] == list("6543210")


def test_a_party_token_is_never_a_word_of_a_text():
    assert search_index.words_of("o12o Đồn o12o.") == ["o12o", "don", "o12o"]
    for text in ("Số 05-BC/ĐU, ngày 20/03; a_b", "đồn №5 — 東京 x", "", "\x00\x1f~ ²"):  # ASCII or not: the same words
        assert search_index.words_of(text) == search_index._WORD.findall(search_index.fold(text))
    assert search_index.party_token(12) == "o12o"


# --- registers -----------------------------------------------------------------------------------------------------------


def test_the_outgoing_register_shows_the_local_year_by_number(world):
    at = datetime(2020, 12, 31, 16, 59, tzinfo=UTC)  # 23:59 in Viet Nam
    send(world.signer, [world.district], "Cuối năm", at=at)
    send(world.signer, [world.district], "Đầu năm", at=at + timedelta(minutes=2))
    rows = {
        year: [d.subject for d in queries.register_out(world.clerk, world.station.pk, queries.RegisterFilter(year))]
        for year in (2020, 2021)
    }
    assert rows == {2020: ["Cuối năm"], 2021: ["Đầu năm"]}
    incoming = {
        year: [a.dispatch.subject for a in queries.register_in(world.reader, world.district.pk, queries.RegisterFilter(year))]
        for year in (2020, 2021)
    }
    assert incoming == rows


def test_filters_of_the_register_by_day_are_local_and_inclusive(world):
    midnight = datetime(2020, 3, 9, 17, tzinfo=UTC)  # 10 March 00:00 in Viet Nam
    for subject, at in (
        ("ngày 9", midnight - timedelta(seconds=1)),
        ("ngày 10", midnight),
        ("ngày 11", midnight + timedelta(days=1)),
    ):
        send(world.signer, [world.district], subject, at=at)
    chosen = queries.RegisterFilter(2020, first=date(2020, 3, 10), last=date(2020, 3, 10))
    assert [d.subject for d in queries.register_out(world.clerk, world.station.pk, chosen)] == ["ngày 10"]


def test_filters_by_state_kind_and_the_other_side(world):
    one, two, three = (
        send(world.signer, [o], s) for o, s in ((world.district, "a"), (world.district, "b"), (world.province, "c"))
    )
    services.acknowledge(dispatch_uuid=one.uuid, actor=world.reader, at=SENT_AT)
    services.return_dispatch(dispatch_uuid=two.uuid, reason="Thiếu", actor=world.reader, at=SENT_AT)

    def out(**more):
        return [
            d.pk
            for d in queries.register_out(world.clerk, world.station.pk, queries.RegisterFilter(2020, sort="number", **more))
        ]

    assert out(state="acknowledged") == [one.pk]
    assert out(state="returned") == [two.pk]
    assert out(state="waiting") == [three.pk]
    assert out(other=world.district.pk) == [one.pk, two.pk]
    assert out(kind="report") == []
    assert out() == [one.pk, two.pk, three.pk]


def test_a_register_of_a_body_that_the_seat_does_not_look_into_is_not_there(world):
    for stranger in (world.reader, seat(world.outsider), seat(world.station, "node_administrator")):
        for register in (queries.register_out, queries.register_in):
            with pytest.raises(NotFound):
                register(stranger, world.station.pk, queries.RegisterFilter(2020))


def test_a_copy_stands_in_the_incoming_register_but_waits_for_no_answer(world):
    send(world.signer, [world.district], copies=[world.province])
    above = seat(world.province)
    assert queries.register_in(above, world.province.pk, queries.RegisterFilter(2020)).count() == 1
    assert queries.waiting_for_acknowledgement(above, at=SENT_AT) == []
    assert queries.count_waiting(world.reader, at=SENT_AT) == 1


def lines(answer):
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff"), "Excel takes the file for UTF-8 only with the mark"
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def test_urgency_is_told_in_both_registers_and_their_files_and_the_most_urgent_waits_first(world):
    for hour, urgency in enumerate(("ordinary", "urgent", "immediate", "very_urgent")):
        send(world.signer, [world.district], f"Việc {urgency}", at=SENT_AT + timedelta(hours=hour), urgency=urgency)
    late = SENT_AT + timedelta(days=1)
    waiting = queries.waiting_for_acknowledgement(world.reader, at=late)
    assert [a.dispatch.urgency for a in waiting] == ["immediate", "very_urgent", "urgent", "ordinary"]
    for by, name in ((world.reader, "exchange:register_in"), (world.signer, "exchange:register_out")):
        address = reverse(name) + "?year=2020"
        assert entered(by).get(address).content.decode().count("hỏa tốc") == 1, name
        lines = entered(by).get(address + "&as=csv").getvalue().decode().splitlines()
        assert next(line for line in lines if "Việc immediate" in line).count("hỏa tốc") == 1, name


@pytest.mark.parametrize("evil", ["=HYPERLINK(1)", "+1+1", "-1", "@SUM(A1)", "\t=1", "=1;2"])
@pytest.mark.parametrize(("page", "who"), [("register_out", "clerk"), ("register_in", "reader")])
def test_a_subject_that_is_a_formula_is_text_in_the_csv(world, evil, page, who):
    sender = organisation(f"t.{'a' * 5}", "border_station", name="=cmd|' /C calc'!A0")
    subject = Dispatch.objects.filter(pk=send(world.signer, [world.district], "x").pk)
    subject.update(subject=evil)
    send(seat(sender), [world.station], "bình thường")
    rows = lines(entered(getattr(world, who)).get(reverse(f"exchange:{page}"), {"year": 2020, "as": "csv"}))
    cells = [cell for row in rows for cell in row]
    assert "'" + evil in cells
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]


def test_the_csv_of_a_register_holds_every_row_of_the_filter_not_only_the_page_shown(world):
    for n in range(53):
        send(world.signer, [world.district], f"Số {n}")
    rows = lines(entered(world.clerk).get(reverse("exchange:register_out"), {"year": 2020, "as": "csv"}))
    assert len(rows) == 54
    page = entered(world.clerk).get(reverse("exchange:register_out"), {"year": 2020}).content.decode()
    assert page.count("Số ") >= 50
