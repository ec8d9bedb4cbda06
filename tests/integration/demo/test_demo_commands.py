"""The commands of the node: refusals with reasons, harmless repetition, exit codes."""

import io
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from hiepdong.duties.models import Duty
from hiepdong.exchange.services import Outgoing, send_many
from hiepdong.organisations.models import Organisation
from hiepdong.web.demo.loader import RealRecords, load_example

NOW = datetime(2026, 11, 1, 3, tzinfo=UTC)
FOLDER = settings.BASE_DIR / "examples" / "nghe-an-2020"


def real_paper():
    facts = {"kind": "border_station", "valid_from": date(2000, 1, 1), "source": "thử"}
    a, b = (Organisation.objects.create(key=k, name=k, name_folded=k, name_sort=k, **facts) for k in ("t.a", "t.b"))
    send_many(items=[Outgoing(kind="notice", sender=a, to=[b], subject="Thật", sent_at=NOW)], actor=None, at=NOW)


@pytest.mark.django_db
def test_a_node_with_a_real_paper_is_left_alone():
    real_paper()
    with pytest.raises(RealRecords):
        load_example(folder=FOLDER, at=NOW, progress=lambda line: None)
    assert not Duty.objects.exists()


@pytest.mark.django_db
def test_the_demo_command_says_why_it_refuses():
    real_paper()
    with pytest.raises(CommandError) as refused:
        call_command("demo", stdout=io.StringIO(), stderr=io.StringIO())
    assert "HIEPDONG_DATA" in str(refused.value)
    assert refused.value.returncode == 1


@pytest.mark.django_db
def test_the_demo_command_names_what_an_example_folder_must_hold(tmp_path):
    with pytest.raises(CommandError) as refused:
        call_command("demo", str(tmp_path), stdout=io.StringIO(), stderr=io.StringIO())
    assert "demo.toml" in str(refused.value)


@pytest.mark.django_db
def test_one_round_of_work_on_an_empty_node_does_nothing_and_says_so():
    out = io.StringIO()
    call_command("work", "--once", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"reactions": 0, "duties": 0, "sealed": 0, "bundles": 0, "rounds": 0}


@pytest.mark.django_db
def test_a_round_of_work_lets_sqlite_see_how_its_rows_lie(small_world):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL gathers statistics by itself")
    small_world.duties()
    call_command("work", "--once", stdout=io.StringIO())
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from sqlite_stat1 where tbl = 'duties_duty'")
        assert cursor.fetchone()[0] > 0


def run(*arguments, data, **more):
    environment = os.environ | {
        "HIEPDONG_DATA": str(data),
        "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings_dev",
        "HIEPDONG_SECRET_KEY": "",
        "HIEPDONG_DATABASE_URL": "",
    }
    command = [sys.executable, "-c", "from hiepdong.config.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment | more, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_setting_up_a_node_twice_keeps_its_secret_which_only_the_owner_may_read(tmp_path):
    data = tmp_path / "node"
    first = run("setup", "--json", data=data)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["data"] == str(data)
    secret = data / "secret-key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    before = secret.read_text()
    again = run("setup", data=data)
    assert again.returncode == 0, again.stderr
    assert secret.read_text() == before
    assert "setup: database" in again.stderr


@pytest.mark.parametrize("command", ["setup", "serve", "work", "demo"])
def test_every_command_explains_itself_and_calls_a_wrong_call_by_code_2(command, tmp_path):
    helped = run(command, "--help", data=tmp_path)
    assert helped.returncode == 0
    assert len(helped.stdout) > 200
    assert run(command, "--no-such-option", data=tmp_path).returncode == 2


@pytest.mark.parametrize("command", [("serve",), ("work", "--once"), ("demo",)])
def test_a_node_that_was_not_set_up_says_so_in_one_sentence(command, tmp_path):
    refused = run(*command, data=tmp_path / "nowhere")
    assert refused.returncode == 1
    assert "hiepdong setup" in refused.stderr
    assert "Traceback" not in refused.stderr
