"""Both pictures of the units: their counts, their successions, their flags; identity is code and first day."""

import io
import json
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from hiepdong.kernel.text import fold
from hiepdong.territories import queries
from hiepdong.territories.models import Succession, Unit, UnitFlag
from hiepdong.territories.services import UnitsDisagree, load_unit_changes, load_units
from support.places import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("units")]
OLD, NEW = date(2025, 6, 30), date(2025, 7, 1)
FACTS = {"source": "thử", "verified": False}


def commune(code, on):
    return queries.unit_for(code, "commune", on)


def names(links, side):
    return sorted(getattr(s, side).name for s in links)


@pytest.mark.parametrize(("on", "provinces", "districts", "communes"), [(OLD, 63, 696, None), (NEW, 34, 0, 3321)])
def test_each_day_has_the_units_of_its_picture(on, provinces, districts, communes):
    assert queries.units_on(on, level="province").count() == provinces
    assert queries.units_on(on, level="district").count() == districts
    if communes:
        assert queries.units_on(on, level="commune").count() == communes
    assert not queries.units_on(on).filter(level="commune", parent=None).exists()


def test_loading_the_units_again_changes_nothing(units):
    assert load_units(actor=None, at=NOW) == units
    assert Unit.objects.count() == units["units"]


def test_no_name_repeats_its_kind_with_other_capitals():
    names = {code: commune(code, OLD).full_name for code in ("20467", "32191", "19780")}
    assert names == {
        "20467": "thị trấn Prao",
        "32191": "thị trấn Năm Căn",
        "19780": "phường Phường Đúc",
    }  # the last is its name
    assert not [u.name for u in Unit.objects.all() if u.name.lower().startswith(f"{u.kind} ") and u.name != "Phường Đúc"]


def found(*words):
    out = io.StringIO()
    call_command("units", "find", *words, "--json", stdout=out)
    return {row["code"]: row["name"] for row in json.loads(out.getvalue())}


def test_codes_are_found_on_a_node_where_nobody_can_sign_in_yet():
    assert found("nam can", "--on", "2020-12-18", "--in", "province:40") == {
        "commune:16837": "xã Nậm Cắn",
        "commune:16873": "xã Nậm Càn",
    }
    assert found("19435", "--on", "2026-01-01") == {"commune:19435": "xã Hướng Lập"}
    assert len(found("--in", "province:40", "--level", "commune", "--on", "2026-01-01")) == 130
    out = io.StringIO()
    call_command("units", "find", "lao bảo", "--on", "2026-01-01", stdout=out)
    assert out.getvalue() == "commune:19432    xã Lao Bảo, tỉnh Quảng Trị  (2025-07-01)\n"
    for nothing in (["không có"], ["x", "--in", "province:99"]):
        with pytest.raises(CommandError) as refused:
            call_command("units", "find", *nothing, stdout=io.StringIO())
        assert refused.value.returncode == 1


def test_a_new_unit_may_carry_the_code_of_an_old_one_that_it_is_not():
    assert commune("16936", OLD).name == "Tam Hợp"
    assert commune("16936", NEW).name == "Tam Thái"
    assert commune("17759", OLD).name == "Ngọc Lâm"
    assert commune("17759", NEW).name == "Sơn Lâm"


def test_a_name_without_marks_never_stands_for_two_communes():
    first, second = commune("16837", OLD), commune("16873", OLD)
    assert (first.name, second.name) == ("Nậm Cắn", "Nậm Càn")
    assert fold(first.name) == fold(second.name)
    assert names(queries.heirs_of(first), "successor") == ["Nậm Cắn"]
    assert names(queries.heirs_of(second), "successor") == ["Na Ngoi"]
    assert names(queries.forebears_of(commune("16837", NEW)), "predecessor") == ["Nậm Cắn", "Phà Đánh"]


def test_a_search_without_marks_finds_both_and_shows_each_with_its_marks():
    found = {u.name for u in queries.units_on(OLD, level="commune", search="nam can") if u.parent.parent.code == "40"}
    assert {"Nậm Cắn", "Nậm Càn"} <= found


def test_the_same_name_may_cover_more_land_than_before():
    assert names(queries.forebears_of(commune("16756", NEW)), "predecessor") == ["Nậm Nhoóng", "Tri Lễ"]


def test_a_dissolved_district_stands_today_for_the_communes_its_communes_went_into():
    ky_son = queries.unit_for("417", "district", OLD)
    today = {u.name for u in queries.units_in(queries.in_units_of([ky_son.pk], NEW))}
    assert {"Mỹ Lý", "Bắc Lý", "Keng Đu", "Na Loi", "Nậm Cắn", "Mường Xén", "Mường Típ", "Na Ngoi"} <= today
    assert "Tri Lễ" not in today
    assert queries.in_units_of([ky_son.pk], OLD) == {ky_son.pk}


def test_cua_lo_is_a_town_in_2020_and_a_part_of_vinh_before_the_districts_end():
    assert queries.unit_for("413", "district", date(2020, 12, 18)).full_name == "thị xã Cửa Lò"
    assert commune("16717", date(2020, 12, 18)).parent.name == "Cửa Lò"
    assert commune("16717", OLD).parent.name == "Vinh"
    with pytest.raises(queries.NotFound):
        queries.unit_for("413", "district", OLD)


@pytest.mark.parametrize(("on", "count"), [(date(2020, 12, 18), 27), (OLD, 27), (NEW, 21)])
def test_the_land_border_of_nghe_an_is_27_communes_and_then_21(on, count):
    found = queries.units_on(on, level="commune", flag="land_border")
    assert found.count() == len(list(found)) == count


def test_no_flag_outlives_its_unit_or_lacks_a_source():
    assert UnitFlag.objects.count() > 50
    for flag in UnitFlag.objects.select_related("unit"):
        assert flag.source
        assert flag.valid_from >= flag.unit.valid_from
        if flag.unit.valid_until:
            assert flag.valid_until is not None
            assert flag.valid_until <= flag.unit.valid_until


def test_every_commune_of_the_new_picture_was_made_of_something():
    assert not Unit.objects.filter(valid_from=NEW, predecessions=None).exists()
    assert not Succession.objects.filter(effective_on=NEW).exclude(predecessor__valid_until=NEW).exists()


# --- a later reorganisation, that no package knows ------------------------------------------------------------------------

LATER = date(2030, 1, 1)
FRESH = {"code": "commune:99999", "kind": "xã", "name": "X", "parent": "province:40"}


def change(**row):
    return load_unit_changes(rows=[FACTS | row], on=LATER, actor=None, at=NOW)


def test_units_that_join_later_end_on_that_day_and_not_before():
    row = {"code": "commune:16816", "kind": "xã", "name": "Mỹ Bắc", "parent": "province:40"}
    row |= {"from": ["commune:16816", "commune:16819"], "flags": ["land_border"]}
    for made_now in (True, False):
        [(unit, made, links)] = change(**row)
        assert (unit.name, made, len(links)) == ("Mỹ Bắc", made_now, 2)
    before = date(2029, 12, 31)
    assert (commune("16816", before).name, commune("16816", LATER).name) == ("Mỹ Lý", "Mỹ Bắc")
    assert commune("16819", before).valid_until == LATER
    assert [f.flag for f in queries.flags_of(commune("16816", LATER))] == ["land_border"]
    assert commune("16819", before).flags.get().valid_until == LATER


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"code": "commune:99999", "from": ["commune:16816"]}, "unit[1].kind"),
        ({"code": "commune:16816", "kind": "xã", "name": "X", "parent": "province:40"}, "unit[1].code"),
        (FRESH | {"from": ["commune:00000"]}, "unit[1].from[1]"),
        (FRESH | {"parent": "province:99"}, "unit[1].parent"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_changes_nothing(row, path):
    before = Unit.objects.count(), Unit.objects.filter(valid_until=LATER).count()
    with pytest.raises(UnitsDisagree) as refused:
        change(**row)
    assert path in [place for place, _found, _accepted in refused.value.found]
    assert (Unit.objects.count(), Unit.objects.filter(valid_until=LATER).count()) == before


def test_a_name_the_node_knows_otherwise_is_refused():
    with pytest.raises(UnitsDisagree) as refused:
        load_unit_changes(rows=[FACTS | {"code": "commune:16837", "name": "Nậm Càn"}], on=NEW, actor=None, at=NOW)
    assert refused.value.found[0][0] == "unit[1].name"
    assert "Nậm Cắn" in refused.value.found[0][2]
