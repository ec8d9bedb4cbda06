"""`hiepdong regulation load`: nothing is loaded from a file with a problem; a dry run changes nothing."""

import io
import json

import pytest
from django.core.management import call_command

from hiepdong.regulations.models import Instrument

pytestmark = pytest.mark.django_db
TEXT = """
format = "hiepdong.regulation/1"
key = "t.khac"
version = 1
title = "Quy chế thử"
effective_from = 2026-01-01
issuer = "t.dang-uy"
source = "thử"
verified = false
[[party]]
organisation = "t.dang-uy"
side = "border_guard"
[[party]]
organisation = "t.huyen-ba"
side = "locality"
[[article]]
clause = "5"
text = "Trao đổi tình hình."
[[duty]]
key = "d"
title = "Thông báo"
clause = "5"
debtor = { side = "border_guard" }
creditor = { side = "locality" }
content = { type = "notice" }
trigger = { type = "period", family = "r-rep-month" }
deadline = { type = "after", amount = 2, unit = "working_days" }
source = "thử"
verified = false
[[example]]
duty = "d"
period = "2026-02"
due = 2026-02-24
"""


def load(path, *options):
    out = io.StringIO()
    try:
        call_command("regulation", "load", str(path), "--json", *options, stdout=out)
        code = 0
    except SystemExit as stopped:
        code = stopped.code
    return code, json.loads(out.getvalue())


def count():
    return Instrument.objects.filter(key="t.khac").count()


def test_a_good_file_is_loaded_once_and_a_dry_run_changes_nothing(world, tmp_path):
    path = tmp_path / "q.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert load(path, "--dry-run")[1]["loaded"] is False
    assert count() == 0
    for first in (True, False):
        code, result = load(path)
        assert (code, result["key"], result["loaded"]) == (0, "t.khac", first)
        assert count() == 1


def test_a_wrong_example_keeps_the_file_out(world, tmp_path):
    path = tmp_path / "q.toml"
    path.write_text(TEXT.replace("due = 2026-02-24", "due = 2026-02-23"), encoding="utf-8")
    code, result = load(path)
    assert code == 1
    assert result["problems"][0]["path"] == "example[1].due"
    assert count() == 0


def test_an_unknown_organisation_keeps_the_file_out(world, tmp_path):
    path = tmp_path / "q.toml"
    path.write_text(TEXT.replace("t.huyen-ba", "t.khong-co"), encoding="utf-8")
    code, result = load(path)
    assert (code, count()) == (1, 0)
    assert any("t.khong-co" in p["found"] for p in result["problems"])


def test_a_duty_that_concerns_nobody_is_pointed_out_when_the_file_is_loaded(world, tmp_path):
    path = tmp_path / "q.toml"
    path.write_text(TEXT.replace('debtor = { side = "border_guard" }', 'debtor = { kind = "sea_squadron" }'), encoding="utf-8")
    code, result = load(path, "--dry-run")
    assert (code, result["for_nobody"]) == (0, ["d"])
    out = io.StringIO()
    call_command("regulation", "load", str(path), stdout=out)
    assert "Lưu ý: nghĩa vụ d " in out.getvalue()
    path.write_text(TEXT.replace("t.khac", "t.khac-nua"), encoding="utf-8")
    assert load(path)[1]["for_nobody"] == []
