"""`docs/how-to/write-a-regulation.md` followed word by word from an empty folder: files saved, commands typed, nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "write-a-regulation.md"
STEP = re.compile(r"Save this as `([\w.]+)`:\s+```toml\n(.*?)^```|^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def steps():
    return [(m[1], m[2] or m[3]) for m in STEP.finditer(PAGE.read_text(encoding="utf-8"))]


def shell(script, folder, *, fails=False):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "DJANGO_", "PYTEST_"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    # A reader's shell keeps what `export` set in the first step.
    exported = (folder / ".exported").read_text() if (folder / ".exported").exists() else ""
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{exported}\n{script}"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode != 0) is fails, f"{script}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder after the whole page was followed, and what the commands printed."""
    folder = tmp_path_factory.mktemp("howto")
    said = []
    for name, text in steps():
        if name:
            (folder / name).write_text(text, encoding="utf-8")
            continue
        said.append(shell(text, folder))
        exports = [line for line in text.splitlines() if line.startswith("export ")]
        if exports:
            (folder / ".exported").write_text("\n".join(exports) + "\n")
    return folder, "\n".join(said)


def test_the_page_has_both_files_and_every_step():
    found = steps()
    assert [name for name, _ in found if name] == ["organisations.toml", "regulation.toml"]
    typed = "\n".join(text for name, text in found if not name)
    for command in ("setup", "organisations load", "regulation check", "regulation load", "people add", "work", "review build"):
        assert f"hiepdong {command}" in typed


def test_following_the_page_gives_duties_people_and_a_review(followed):
    folder, said = followed
    assert "không có lỗi; 4 nghĩa vụ, 6 ví dụ" in said
    made = re.search(r"(\d+) new duties", said)
    # 2 stations × 12 months, 2 communes × 4 quarters, 2 communes × 1 year
    assert int(made[1]) == 2 * 12 + 2 * 4 + 2
    for kind in ("docx", "pdf", "json"):
        assert (folder / "review" / f"review.{kind}").stat().st_size > 1000
    review = json.loads((folder / "review" / "review.json").read_text(encoding="utf-8"))
    assert "quang-tri.qcph-2026" in json.dumps(review)
    people = json.loads(shell("hiepdong people list --json", folder))
    assert {p["person"] for p in people} == {"quan-tri", "don-a", "xa-lao-bao"}


def test_typing_every_step_again_changes_nothing(followed):
    folder, _ = followed
    again = shell(
        "hiepdong setup --json; hiepdong organisations load organisations.toml --json; "
        "hiepdong regulation load regulation.toml --json; hiepdong work --once",
        folder,
    )
    assert '"added": 0' in again
    assert "0 new duties" in again


def test_the_wrong_example_of_the_page_is_told_as_the_page_says(followed, tmp_path):
    folder, _ = followed
    text = (folder / "regulation.toml").read_text(encoding="utf-8")
    (tmp_path / "regulation.toml").write_text(text.replace("due = 2026-02-24", "due = 2026-02-17"), encoding="utf-8")
    told = shell("hiepdong regulation check regulation.toml", tmp_path, fails=True)
    promised = re.search(r"```text\n(.*?)\n```", PAGE.read_text(encoding="utf-8"))[1]
    assert told.startswith(promised.split("[15/02")[0])


def test_an_amendment_written_as_the_page_says_is_loaded_as_the_next_version(followed):
    folder, _ = followed
    text = (folder / "regulation.toml").read_text(encoding="utf-8")
    text = text.replace("version = 1", "version = 2").replace("effective_from = 2025-12-15", "effective_from = 2026-06-15")
    text = text.replace('amount = 2, unit = "working_days"', 'amount = 3, unit = "working_days"')
    text = re.sub(r"\[\[example\]\].*", "", text, flags=re.DOTALL)
    (folder / "regulation-2.toml").write_text(text, encoding="utf-8")
    shell("hiepdong regulation check regulation-2.toml", folder)
    loaded = json.loads(shell("hiepdong regulation load regulation-2.toml --json", folder))
    assert loaded["version"] == 2
