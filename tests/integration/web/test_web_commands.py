"""Every command of `hiepdong`: its --help, its exit codes for a wrong call and a node that is not ready, what it tells."""

import io
import json
import os
import subprocess
import sys
from importlib import metadata

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from hiepdong.config.cli import Utility
from hiepdong.organisations.models import Organisation
from hiepdong.shell.commands import PlainCommand
from support.places import EXAMPLES

OURS = sorted(name for name, app in get_commands().items() if isinstance(app, str) and app.startswith("hiepdong."))
CLI = [sys.executable, "-c", "from hiepdong.config.cli import main; main()"]
FILES = EXAMPLES / "nghe-an-2026"


def typed(*words):
    """Run the console script in a process of its own, on a node that was never set up."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "DJANGO_"))}
    environment |= {"HIEPDONG_DATA": "/nonexistent/hiepdong", "HIEPDONG_SECRET_KEY": "x" * 50}
    return subprocess.run([*CLI, *words], capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize("name", OURS)
def test_help_says_in_words_what_a_command_does_and_which_exit_codes_it_has(name):
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, PlainCommand)  # so that a refusal is a sentence and never a traceback
    assert command.help.endswith(".")
    assert "Exit code 0: " in command.help
    assert "; 1: " in command.help


def test_typing_only_hiepdong_lists_what_an_operator_needs_and_nothing_of_django():
    text = Utility(["hiepdong"]).main_help_text()
    assert all(f"  {name} " in text for name in OURS)
    assert "sqlflush" not in text
    assert "sqlflush" in Utility(["hiepdong"]).main_help_text(commands_only=True)


def test_an_unknown_command_is_a_wrong_call_and_the_version_is_ours():
    unknown = typed("deadlin")
    assert (unknown.returncode, "Did you mean deadline?" in unknown.stderr) == (2, True)
    assert typed("--version").stdout == f"hiepdong {metadata.version('hiepdong')}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("regulation", "load", str(FILES / "regulation.toml")),
        ("organisations", "load", str(FILES / "organisations.toml")),
        ("units", "load"),
    ],
    ids=lambda words: words[0],
)
def test_a_node_that_is_not_set_up_says_so_in_one_sentence(words):
    told = typed(*words)
    assert (told.returncode, "hiepdong setup" in told.stderr, "Traceback" in told.stderr) == (1, True, False)


@pytest.mark.parametrize(
    "words",
    [
        ("regulation", "check", "no.toml"),
        ("regulation", "load", "no.toml"),
        ("organisations", "load", str(FILES / "organisations.toml"), "no.toml"),
        ("reorganise", "no.toml"),
        ("review", "build", "--regulation", "x", "--year", "2026", "--published", "no.toml"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
@pytest.mark.django_db
def test_a_file_that_is_not_there_is_a_wrong_call_and_nothing_is_loaded(words):
    with pytest.raises(CommandError) as refused:
        call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())
    assert refused.value.returncode == 2
    assert "no.toml" in str(refused.value)
    assert not Organisation.objects.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("review", "build", "--regulation", "t.khong-co", "--year", "2026"), "t.khong-co"),
        (("review", "export", "99", "--out", "x"), "99"),
        (("people", "list", "--organisation", "t.khong-co"), "t.khong-co"),
    ],
    ids=["review build", "review export", "people list"],
)
@pytest.mark.django_db
def test_what_is_not_there_is_named(words, told):
    with pytest.raises(CommandError) as refused:
        call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())
    text = " ".join([str(refused.value), str(getattr(refused.value.__cause__, "facts", ""))])
    assert (refused.value.returncode, told in text) == (1, True)


@pytest.mark.django_db
def test_problems_look_alike_in_every_command_and_json_keeps_its_marks(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('format = "hiepdong.khac/1"\n', encoding="utf-8")
    for words in (("organisations", "load"), ("regulation", "check"), ("reorganise",)):
        plain, as_json = io.StringIO(), io.StringIO()
        with pytest.raises(SystemExit) as refused:
            call_command(*words, str(path), stdout=plain)
        assert refused.value.code == 1
        assert f"{path}: format: thấy 'hiepdong.khac/1'; chấp nhận " in plain.getvalue()
        with pytest.raises(SystemExit):
            call_command(*words, str(path), "--json", stdout=as_json)
        assert "một trong" in as_json.getvalue()
        assert json.loads(as_json.getvalue())
