"""A reorganisation is loaded as dated facts: twice is once, what was before stays, what is open is asked."""

import io
import json
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import Count

from hiepdong.accounts.services import grant_seat, make_person
from hiepdong.duties.queries import board
from hiepdong.duties.services import make_duties
from hiepdong.exchange import services as exchange
from hiepdong.journal.models import Entry
from hiepdong.organisations import queries, services
from hiepdong.organisations.models import (
    Organisation,
    OrganisationSuccession,
    Reorganisation,
    Responsibility,
    Superior,
)
from hiepdong.regulations.services import load_instrument
from hiepdong.territories.models import Succession, Unit, UnitFlag
from hiepdong.web.surveys import SURVEYS
from support.places import EXAMPLES, NOW, organisations_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ready")]
FOLDER = EXAMPLES / "nghe-an-2025-reorganisation"
REAL = FOLDER / "sap-xep-2025.toml"
BEFORE, ON = date(2025, 6, 30), date(2025, 7, 1)
SMALL = (Organisation, OrganisationSuccession, Responsibility, Superior, UnitFlag, Reorganisation, Entry)
DATES = dict.fromkeys((Organisation, Responsibility, Superior, UnitFlag), ("valid_from", "valid_until"))


@pytest.fixture(scope="module")
def ready(bodies_of_2020, django_db_blocker):
    """The bodies of 2020, three more, and Cửa Lò inside Vinh: the day before the districts end."""
    with django_db_blocker.unblock(), transaction.atomic():
        organisations_of(FOLDER.name, "more-organisations.toml")
        load(FOLDER / "cua-lo-2024.toml")
        yield
        transaction.set_rollback(True)


def load(path=REAL, surveys=()):
    made, new = services.load_reorganisation(file_bytes=path.read_bytes(), name=path.name, actor=None, at=NOW, surveys=surveys)
    return made.report, new


def snapshot():
    """Every row of the small tables; of the units, which are many, how many there are and which end when."""
    rows = {m.__name__: sorted(m.objects.values_list("pk", *DATES.get(m, ())), key=str) for m in SMALL}
    ends = Unit.objects.exclude(valid_until=ON).values_list("valid_until").annotate(n=Count("pk")).order_by("valid_until")
    return rows | {"units": (Unit.objects.count(), list(ends)), "successions": Succession.objects.count()}


def names(key, what, on):
    body = Organisation.objects.get(key=key)
    rows = {"superiors": body.superiors, "territory": body.responsibilities}[what].filter(queries.holding_on(on))
    return sorted(r.superior.key if what == "superiors" else r.unit.full_name for r in rows)


def reorganise(*arguments):
    out = io.StringIO()
    try:
        call_command("reorganise", *map(str, arguments), stdout=out)
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


def test_27_communes_of_the_land_border_become_21_and_11_districts_end():
    report, new = load()
    assert new
    counts = report["counts"]
    assert (counts["land_border_before"], counts["land_border_after"]) == (27, 21)
    assert (counts["units_after"], counts["coastal_after"]) == (33, 12)
    ended = Counter(row["kind"] for row in report["ended"])
    assert ended["party_district"] == ended["peoples_committee_district"] == 11
    assert ended["party_commune"] == 24  # three communes stay as they are, with their bodies
    founded = Counter(row["kind"] for row in report["founded"])
    assert founded["party_commune"] == founded["peoples_committee_commune"] == 33 - 3
    assert all(row["predecessors"] for row in report["founded"])
    assert all(row["successors"] for row in report["ended"])


def test_a_second_run_changes_nothing():
    first, _ = load()
    before = snapshot()
    second, new = load()
    assert not new
    assert second == first
    assert snapshot() == before


def test_a_preview_shows_the_same_report_and_changes_nothing():
    before = snapshot()
    code, text = reorganise(REAL, "--preview", "--json")
    assert code == 0
    assert snapshot() == before
    shown = json.loads(text)
    assert shown["loaded"] is False
    assert shown["counts"] == load(surveys=SURVEYS)[0]["counts"]


def test_loading_adds_and_closes_but_never_deletes_or_moves_a_row():
    held = {m: {r.pk: r for r in m.objects.all()} for m in (Organisation, Responsibility, Superior, Unit, Succession)}
    load()
    for model, rows in held.items():
        for row in model.objects.filter(pk__in=rows):
            old = rows[row.pk]
            for f in model._meta.concrete_fields:
                if f.name == "valid_until" and old.valid_until is None:
                    assert row.valid_until in {None, ON}
                else:
                    assert getattr(row, f.attname) == getattr(old, f.attname), (row, f.name)
        assert model.objects.filter(pk__in=rows).count() == len(rows)


def test_a_station_stays_and_changes_its_superior_and_its_territory_on_the_day():
    load()
    key = "nghe-an.don-na-ngoi"
    assert names(key, "superiors", BEFORE) == ["nghe-an.bo-chi-huy-bdbp"]
    assert names(key, "superiors", ON) == ["nghe-an.ban-chi-huy-bdbp"]
    assert names("nghe-an.don-tam-hop", "territory", BEFORE) == ["xã Tam Hợp"]
    assert names("nghe-an.don-tam-hop", "territory", ON) == ["xã Tam Thái"]
    assert names("nghe-an.tinh-uy", "territory", BEFORE) == names("nghe-an.tinh-uy", "territory", ON) == ["tỉnh Nghệ An"]


def test_the_bodies_of_a_day_are_those_of_that_day():
    load()
    keys_before = {o.key for o in queries.organisations_on(BEFORE)}
    keys_after = {o.key for o in queries.organisations_on(ON)}
    assert "nghe-an.huyen-uy-ky-son" in keys_before - keys_after
    assert "nghe-an.dang-uy-xa-na-ngoi.2025" in keys_after - keys_before
    assert "nghe-an.dang-uy-xa-my-ly" in keys_before & keys_after


def test_an_ended_body_leads_to_those_that_carry_its_work_today_also_over_two_steps():
    load()
    cua_lo = queries.organisation_by_key("nghe-an.thi-uy-cua-lo")
    assert [o.key for o in queries.heirs_today(cua_lo, date(2020, 1, 1))] == ["nghe-an.thi-uy-cua-lo"]
    assert [o.name for o in queries.heirs_today(cua_lo, date(2025, 1, 1))] == ["Thành ủy Vinh"]
    today = [o.name for o in queries.heirs_today(cua_lo, ON)]
    assert "Đảng ủy phường Cửa Lò" in today


def codes(report):
    return Counter(d["code"] for d in report["decisions"])


def about(report, code):
    return [d["facts"] for d in report["decisions"] if d["code"] == code]


def test_two_stations_in_one_new_commune_and_a_dissolved_district_are_for_a_person_to_decide():
    report, _ = load()
    shared = {f["unit"]: f["names"] for f in about(report, "territory_shared")}
    assert set(shared) == {"xã Mường Típ", "xã Na Ngoi"}
    assert "Đồn Biên phòng Nậm Càn" in shared["xã Na Ngoi"]
    assert "Đồn Biên phòng Quỳnh Phương" in {f["name"] for f in about(report, "territory_divided")}
    assert "Huyện ủy Kỳ Sơn" in {f["name"] for f in about(report, "several_successors")}
    assert codes(report)["question"] == 5
    assert not codes(report)["superior_ended"]
    for d in report["decisions"]:
        assert d["message"] % d["facts"]


def person_at(key, role="signer"):
    person = make_person(sign_in_name=f"a-{key}", display_name="Trực ban", password="", actor=None, at=NOW, check=False)
    body = queries.organisation_by_key(key)
    return grant_seat(person=person, organisation=body, role=role, title="Trực ban", since=date(2019, 1, 1), actor=None, at=NOW)


def regulation():
    data = (EXAMPLES / "nghe-an-2020" / "regulation.toml").read_bytes()
    load_instrument(file_bytes=data, name="regulation.toml", actor=None, at=NOW)
    make_duties(instrument_key="nghe-an.qcph-2020", until=date(2020, 3, 31), actor=None, at=NOW)


def test_what_holds_to_ended_bodies_is_told_people_duties_drafts_and_the_regulation():
    regulation()
    person_at("nghe-an.huyen-uy-ky-son")
    report, _ = load(surveys=SURVEYS)
    assert [f["name"] for f in about(report, "seats")] == ["Huyện ủy Kỳ Sơn"]
    assert about(report, "regulation")[0]["count"] >= 70
    late = {f["name"]: f["count"] for f in about(report, "duties_late")}
    assert late["Huyện ủy Kỳ Sơn"] > 0
    assert "Đồn Biên phòng Mỹ Lý" not in late  # it stays


def test_duties_that_fall_due_after_the_day_are_told_on_both_sides():
    data = (EXAMPLES / "nghe-an-2020" / "regulation.toml").read_bytes().replace(b"effective_until = 2025-07-01\n", b"")
    load_instrument(file_bytes=data, name="regulation.toml", actor=None, at=NOW)
    for model in (Organisation, Responsibility, Superior):  # a node that did not know the end when it made its duties ahead
        model.objects.filter(valid_until=ON).update(valid_until=None)
    make_duties(instrument_key="nghe-an.qcph-2020", since=date(2025, 6, 1), until=date(2025, 7, 31), actor=None, at=NOW)
    report, _ = load(surveys=SURVEYS)
    assert "Huyện ủy Kỳ Sơn" in {f["name"] for f in about(report, "duties_owed")}
    assert "Huyện ủy Kỳ Sơn" in {f["name"] for f in about(report, "duties_awaited")}


def test_what_opens_only_after_the_day_needs_no_decision_and_is_dropped_by_the_next_round():
    data = (EXAMPLES / "nghe-an-2020" / "regulation.toml").read_bytes().replace(b"effective_until = 2025-07-01\n", b"")
    load_instrument(file_bytes=data, name="regulation.toml", actor=None, at=NOW)
    for model in (Organisation, Responsibility, Superior):
        model.objects.filter(valid_until=ON).update(valid_until=None)
    before = datetime(2025, 6, 20, tzinfo=UTC)
    ahead = {"instrument_key": "nghe-an.qcph-2020", "since": date(2025, 8, 10), "until": date(2025, 12, 31), "actor": None}
    assert make_duties(**ahead, at=before).made > 100
    made, _ = services.load_reorganisation(file_bytes=REAL.read_bytes(), name=REAL.name, actor=None, at=before, surveys=SURVEYS)
    assert not [d for d in made.report["decisions"] if d["code"].startswith("duties_")]
    assert make_duties(**ahead, at=before).dropped > 100


def test_the_board_and_the_papers_of_2020_still_show_the_district_afterwards(client):
    regulation()
    seat = person_at("nghe-an.huyen-uy-ky-son")
    at = datetime(2020, 3, 16, 3, tzinfo=UTC)
    item = exchange.Outgoing(
        kind="notice",
        sender=seat.organisation,
        to=[queries.organisation_by_key("nghe-an.don-my-ly")],
        subject="Thông báo tình hình tháng 3",
        body={"text": "Không có gì mới."},
        sent_at=at,
    )
    paper = exchange.send(item=item, actor=seat, at=at)

    def seen():
        rows = board(seat, "nghe-an.qcph-2020", 2020, at).rows
        return [(r.pair.first.name, r.pair.second.name) for r in rows]

    before = seen()
    load()
    assert seen() == before
    assert any("Huyện ủy Kỳ Sơn" in pair for pair in before)
    client.force_login(seat.person)
    page = client.get(f"/cong-van/{paper.uuid}/")
    assert page.status_code == 200
    assert "Huyện ủy Kỳ Sơn" in page.content.decode()


# --- refusals -------------------------------------------------------------------------------------------------------------


def refused(tmp_path, change=("", ""), text=None):
    path = tmp_path / "r.toml"
    path.write_text(text or REAL.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    before = snapshot()
    with pytest.raises(services.InvalidFile) as error:
        load(path)
    assert snapshot() == before
    return [p.path for p in error.value.problems]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (('"nghe-an.huyen-uy-ky-son",\n', '"nghe-an.huyen-uy-khong-co",\n'), "end[1].organisations[1]"),
        (('"nghe-an.huyen-uy-ky-son",\n', '"nghe-an.thi-uy-cua-lo",\n'), "end[1].organisations[1]"),
        (('kind = "xã"\nname = "Tam Thái"', 'kind = "xã"\nname = "Tam Hợp"'), "unit[15].name"),
        (('superior = "nghe-an.dang-uy-quan-su"', 'superior = "nghe-an.bo-chi-huy-bdbp"'), "change[1].superior"),
    ],
)
def test_what_the_node_knows_otherwise_is_told_with_its_place_and_changes_nothing(tmp_path, change, path):
    assert path in refused(tmp_path, change)


def test_another_file_under_a_loaded_key_is_refused(tmp_path):
    load()
    assert refused(tmp_path, ('title = "Sắp', 'title = "Lại sắp')) == ["key"]


def test_a_file_with_problems_ends_the_command_with_exit_code_1_and_all_of_them(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('format = "hiepdong.reorganisation/1"\n', encoding="utf-8")
    code, text = reorganise(path, "--json")
    assert code == 1
    assert {"key", "title", "effective_on", "act", "source", "verified"} <= {p["path"] for p in json.loads(text)["problems"]}


def test_the_report_in_words_is_vietnamese_and_says_whether_something_changed():
    code, text = reorganise(REAL)
    assert code == 0
    assert "trên biên giới đất liền: 27 → 21" in text
    assert "Huyện ủy Con Cuông → Đảng ủy xã Châu Khê, Đảng ủy xã Môn Sơn" in text
    assert text.rstrip().endswith("Đã nạp.")
    assert reorganise(REAL)[1].rstrip().endswith("không thay đổi gì.")


# --- pages ----------------------------------------------------------------------------------------------------------------


def test_pages_show_the_report_and_each_day_its_bodies(client, django_assert_max_num_queries):
    load()
    client.force_login(person_at("nghe-an.tinh-uy", "viewer").person)
    assert "Cửa Lò vào thành phố Vinh" in client.get("/sap-xep/").content.decode()
    with django_assert_max_num_queries(15):
        page = client.get("/sap-xep/nghe-an.sap-xep-2025/").content.decode()
    assert "27 → 21" in page
    assert "cùng phụ trách" in page
    old = client.get("/co-quan/?on=2020-12-18&q=ky+son").content.decode()
    new = client.get("/co-quan/?on=2025-07-01&q=ky+son").content.decode()
    assert "Huyện ủy Kỳ Sơn" in old
    assert "Huyện ủy Kỳ Sơn" not in new
    body = client.get("/co-quan/nghe-an.huyen-uy-ky-son/?on=2026-01-01").content.decode()
    assert "nay thuộc về" in body
    assert "Đảng ủy xã Mường Xén" in body
    assert client.get("/sap-xep/khong-co/").status_code == 404
