"""Whether each test of a fault fails when the remedy is taken away: run as bin/remedies.

bin/remedies                 every row of remedies.toml, after all of their tests were run once as the source stands
bin/remedies NAME…           only the rows so named, or whose fault is so named
  --jobs N                   so many rows at once (default: 2)
  --timeout SECONDS          a test that takes longer shows nothing (default: 300)
  --list                     names, faults and tests of the rows; nothing is run

For each row the source and the tests are copied, the remedy is replaced in the copy by what stands under `without`, and the
test runs there. It has to fail by an assertion or by the fault itself. What does not show anything is a "no": a test that
passes, is skipped, breaks while it is set up, fails because the copy has no sense (a name that is not there, a syntax
error), or is left because it takes too long.

The exit code is 0 only when all rows say yes.
"""

import argparse
import ast
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("remedies.toml")
COPIED = ("src", "tests")  # all else is linked: it is only read
NEVER = {".git", "var", "build", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
# Failures of a copy that has no sense, and not of the program without its remedy; in child processes only the words tell.
SENSELESS = ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "NameError", "UnboundLocalError")
_SENSELESS = re.compile(rf"^(?:E\s+)?(?:{'|'.join(SENSELESS)})\b", re.MULTILINE)

# Laid beside each copy and loaded by pytest: what was imported, what was collected, how each test ended.
WITNESS = """
import json, os, sys
seen = {"modules": {}, "collected": [], "errors": [], "reports": []}

def pytest_collectreport(report):
    if report.failed:
        seen["errors"].append(report.longreprtext[-2000:])

def pytest_collection_modifyitems(items):
    seen["collected"] = [i.nodeid for i in items]

import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    how = {"test": item.nodeid, "when": report.when, "outcome": report.outcome}
    if report.failed:
        how["error"] = call.excinfo.typename
        how["text"] = (report.longreprtext + "\\n" + report.capstderr + "\\n" + report.capstdout)[-20000:]
    seen["reports"].append(how)

def pytest_sessionfinish(session):
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "hiepdong":
            seen["modules"][name] = getattr(module, "__file__", None)
    with open(os.environ["REMEDIES_WITNESS"], "w") as out:
        json.dump(seen, out)
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of a remedy: the text stands once in the file, and `without` stands there when it is taken away."""

    file: str
    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Remedy:
    """One row: a fault, what is done about it (all edits together), and the test that has to fail when that is not done."""

    name: str
    fault: str
    does: str
    test: str
    edits: tuple[Edit, ...]
    database: str = "sqlite"


@dataclass(slots=True)
class Answer:
    """What a run says of a row."""

    row: Remedy
    shown: bool
    why: str
    seconds: float = 0.0
    text: str = field(default="", repr=False)


def read_table() -> tuple[dict[str, str], list[Remedy]]:
    """Return the faults (name: words) and the rows, in the order of the file."""
    found = tomllib.loads(TABLE.read_text("utf-8"))
    rows = []
    for each in found["remedy"]:
        edits = tuple(Edit(**edit) for edit in each.pop("edit"))
        rows.append(Remedy(**each, edits=edits))
    return found["faults"], rows


@contextlib.contextmanager
def _copy(edits: Sequence[Edit]) -> Iterator[Path]:
    """Give a copy of the tree with the edits made."""
    with tempfile.TemporaryDirectory(prefix="hiepdong-remedy-") as made:
        root = Path(made)
        for entry in ROOT.iterdir():
            if entry.name in COPIED:
                shutil.copytree(entry, root / entry.name, symlinks=True)  # with what was compiled: it is read faster
            elif entry.name not in NEVER:
                (root / entry.name).symlink_to(entry)
        (root / ".witness").mkdir()
        (root / ".witness" / "remedies_witness.py").write_text(WITNESS, "utf-8")
        for edit in edits:
            path = root / edit.file
            source = path.read_text("utf-8")
            if source.count(edit.text) != 1:
                raise ValueError(f"{edit.file}: the text stands there {source.count(edit.text)} times: {edit.text!r}")
            path.write_text(source.replace(edit.text, edit.without), "utf-8")
            for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                old.unlink()
        for file in {e.file for e in edits}:
            ast.parse((root / file).read_text("utf-8"), filename=file)
        yield root


def _run(root: Path, tests: Sequence[str], database: str, timeout: float) -> tuple[dict | None, str]:
    """Run tests in a copy; returns what the witness saw (None: it did not come so far), and what was printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "PYTEST_", "DJANGO_"))}
    witness = root / ".witness" / "seen.json"
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / ".witness")]),
        "REMEDIES_WITNESS": str(witness),
    }
    python = str(ROOT / ".venv" / "bin" / "python")
    command = [python, "-m", "pytest", "-n0", "-q", "-p", "remedies_witness", "-p", "no:cacheprovider", "--tb=short", *tests]
    if database == "postgresql":
        command = [python, str(root / "tests" / "support" / "postgres.py"), *command]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            printed, _ = process.communicate(timeout=timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # its own session: nothing else is in that group
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return None, f"it took longer than {timeout:.0f} s"
    return json.loads(witness.read_text()) if witness.exists() else None, printed


def _of_the_copy(seen: dict, root: Path) -> str:
    """Return what was imported from elsewhere than the copy; "" if nothing was."""
    inside = str(root / "src") + os.sep
    if "hiepdong" not in seen["modules"]:
        return "hiepdong was not imported"
    foreign = [name for name, file in seen["modules"].items() if file and not file.startswith(inside)]
    return f"not of the copy: {', '.join(sorted(foreign)[:3])}" if foreign else ""


def _judge(seen: dict, root: Path) -> tuple[bool, str]:
    """Say whether what was seen is the fault that the remedy is for, and why or why not."""
    if seen["errors"] or not seen["collected"]:
        return False, "the test was not collected"
    if wrong := _of_the_copy(seen, root):
        return False, wrong
    failed = [r for r in seen["reports"] if r["outcome"] == "failed"]
    if any(r["when"] == "setup" for r in failed):
        return False, f"it breaks while it is set up: {failed[0]['error']}"
    called = [r for r in failed if r["when"] == "call"]
    if not called:
        passed = sum(r["outcome"] == "passed" and r["when"] == "call" for r in seen["reports"])
        return False, f"it passes ({passed})" if passed else "it was skipped"
    for report in called:
        if report["error"] in SENSELESS or (words := _SENSELESS.search(report["text"])):
            return False, f"the copy has no sense: {report['error'] if report['error'] in SENSELESS else words[0]}"
    kinds = Counter(r["error"] for r in called)
    return True, ", ".join(f"{kind} ×{n}" if n > 1 else kind for kind, n in kinds.items())


def without(row: Remedy, timeout: float) -> Answer:
    """Run the test of a row with the remedy taken away."""
    begun = time.monotonic()
    with _copy(row.edits) as root:
        seen, printed = _run(root, [row.test], row.database, timeout)
        shown, why = _judge(seen, root) if seen is not None else (False, printed.strip().splitlines()[-1] if printed else "?")
    return Answer(row, shown, why, time.monotonic() - begun, printed)


def with_all(rows: Sequence[Remedy], timeout: float) -> list[str]:
    """Run all tests as the source stands, in a copy like the others; returns what is wrong, one line per test."""
    wrong = []
    for database in ("sqlite", "postgresql"):
        tests = list(dict.fromkeys(r.test for r in rows if r.database == database))
        if not tests:
            continue
        with _copy(()) as root:
            seen, printed = _run(root, tests, database, timeout * 6)
            if seen is None:
                wrong.append(f"{database}: {printed[-500:]}")
                continue
            if foreign := _of_the_copy(seen, root):
                wrong.append(foreign)
        wrong += seen["errors"]
        wrong += [
            f"{r['test']}: {r['when']} {r['outcome']} {r.get('error', '')}" for r in seen["reports"] if r["outcome"] == "failed"
        ]
        ran = {r["test"] for r in seen["reports"] if r["when"] == "call" and r["outcome"] == "passed"}
        wrong += [f"{test}: it was not run" for test in tests if not any(_is_of(each, test) for each in ran)]
    return wrong


def _is_of(each: str, test: str) -> bool:
    return each == test or each.startswith(test + "[")


def main() -> int:
    """Do what the call says; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="bin/remedies"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows, or faults")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="the end of what the test printed, of each row")
    asked = parser.parse_args()
    faults, rows = read_table()
    if unknown := set(asked.names) - {r.name for r in rows} - faults.keys():
        parser.error(f"no such row or fault: {', '.join(sorted(unknown))}")
    rows = [r for r in rows if not asked.names or r.name in asked.names or r.fault in asked.names]
    if asked.list:
        for row in rows:
            print(f"{row.fault:20} {row.name:34} {row.test}")
        return 0
    begun = time.monotonic()
    wrong = with_all(rows, asked.timeout)
    print(f"with all remedies: {'every test passes' if not wrong else 'WRONG'} ({time.monotonic() - begun:.0f} s)", flush=True)
    for line in wrong:
        print(f"    {line}")
    answers = []
    with ThreadPoolExecutor(max(1, asked.jobs)) as pool:
        for answer in pool.map(lambda row: without(row, asked.timeout), rows):
            answers.append(answer)
            said = "yes" if answer.shown else "NO"
            place = f"{answer.row.fault} / {answer.row.name}"
            print(f"{said:4} {place:60} {answer.seconds:5.0f} s  {answer.why}", flush=True)
            if asked.verbose or not answer.shown:
                print("".join(f"       | {line}\n" for line in answer.text.strip().splitlines()[-12:]), end="", flush=True)
    yes = sum(a.shown for a in answers)
    minutes = (time.monotonic() - begun) / 60
    counted = f"{yes} yes, {len(answers) - yes} no"
    print(f"remedies: {len(answers)} rows; the test fails without the remedy: {counted}; {minutes:.1f} min")
    return 0 if yes == len(answers) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
