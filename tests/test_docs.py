"""What the documents say is true of the repository: links, pictures, commands, paths, words, generated pages."""

import importlib
import importlib.util
import json
import re
import shlex
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.utils.module_loading import import_string

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.batch import Batch

ROOT = Path(__file__).resolve().parents[1]
OURS = ("*.md", "docs/**/*.md", "examples/**/*.md", "bench/**/*.md")
PAGES = sorted({p for pattern in OURS for p in ROOT.glob(pattern)})
NAMES = [p.relative_to(ROOT).as_posix() for p in PAGES]
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
PATHS = re.compile(r"(?:bin|docs|examples|src|tests|bench|locale|\.ci)/[\w./*-]*")
EXAMPLE = ROOT / "examples/nghe-an-2020"
SCREEN = re.compile(r"\*\*([^*\n]+)\*\*")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def reference() -> Any:
    """Return bin/reference as a module."""
    loader = SourceFileLoader("hiepdong_bin_reference", str(ROOT / "bin" / "reference"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as repositories render them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
        found.add(words.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_and_picture_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for _picture, target in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _hash, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_path_a_page_names_in_code_exists(page: Path) -> None:
    missing = []
    for code in INLINE.findall(FENCE.sub("", text_of(page))):
        if PATHS.fullmatch(code) and not any(c in code for c in "*…<") and not (ROOT / code).exists():
            missing.append(code)
    assert missing == []


def shell_lines(text: str) -> list[str]:
    """Return the lines of code blocks, fenced or indented, with continued lines joined."""
    fenced = "\n".join(re.sub(r"^```.*$", "", block, flags=re.MULTILINE) for block in FENCE.findall(text))
    indented = "\n".join(line for line in FENCE.sub("", text).splitlines() if re.match(r" {4,}\S", line))
    return [line.strip() for line in re.sub(r"\\\n\s*", " ", f"{fenced}\n{indented}").splitlines()]


def commands_of(line: str) -> list[list[str]]:
    """Return the words of each `hiepdong …` call on a shell line, without what the shell itself takes."""
    found = []
    for part in re.split(r"\s(?:&&|\|\||\||;)\s|;\s", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue
        if words[:2] == ["sudo", "-u"]:
            words = words[3:]
        while words and (re.match(r"[A-Z_]+=", words[0]) or words[0] in {"sudo", "env", "exec", "time"}):
            words.pop(0)
        if words and words[0].rpartition("/")[2] == "hiepdong":
            found.append([w for w in words[1:] if not re.match(r"[<>]", w)])
    return found


def parser_of(command: str) -> Any:
    """Return the real parser of a command."""
    app = get_commands()[command]
    found = load_command_class(app, command) if isinstance(app, str) else app
    return found.create_parser("hiepdong", command)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_a_page_shows_is_one_that_the_real_parser_takes(page: Path) -> None:
    wrong = []
    for line in shell_lines(text_of(page)):
        # A redirection takes the word after it away from the command.
        plain = re.sub(r"\s[<>]{1,2}\s*\S+", "", line)
        for words in commands_of(plain):
            if not words or words[0] in {"--help", "help"}:
                continue
            if words[0] not in get_commands():
                wrong.append(f"{line}: no command {words[0]}")
                continue
            if "--help" in words:
                continue
            try:
                parser_of(words[0]).parse_args(words[1:])
            except (CommandError, SystemExit) as error:
                wrong.append(f"{line}: {error}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_a_page_mentions_exists_with_its_options(page: Path) -> None:
    wrong = []
    for code in INLINE.findall(FENCE.sub("", text_of(page))):
        words = code.split()
        if len(words) < 2 or words[0] not in {"hiepdong", ".venv/bin/hiepdong"} or not re.fullmatch(r"[a-z_]+", words[1]):
            continue
        if words[1] not in get_commands():
            wrong.append(f"{code}: no such command")
            continue
        parser = parser_of(words[1])
        known = set(parser._option_string_actions)
        actions: list[str] = []
        for action in parser._actions:
            if isinstance(action.choices, dict):
                for sub in action.choices.values():
                    known |= set(sub._option_string_actions)
            if not action.option_strings and action.choices:
                actions += list(action.choices)
        for word in words[2:]:
            if word.startswith("--") and word.partition("=")[0] not in known:
                wrong.append(f"{code}: no option {word}")
        first = re.split(r"[|…]", words[2])[0] if len(words) > 2 else ""
        if actions and re.fullmatch(r"[a-z]+", first) and first not in actions:
            wrong.append(f"{code}: {first} is none of {actions}")
    assert wrong == []


def wording() -> str:
    """Return every Vietnamese sentence of the screens, in lower case, one a line."""
    with (ROOT / "locale/vi/LC_MESSAGES/django.po").open("rb") as f:
        strings = [m.string if isinstance(m.string, str) else " \n".join(m.string or ()) for m in read_po(f, locale="vi")]
    return "\n".join(s for s in strings if s).lower()


def glossary() -> list[tuple[str, str, str]]:
    rows = []
    for line in text_of(ROOT / "docs/reference/glossary.md").splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[3].startswith("`"):
            rows.append((cells[0], cells[1], cells[3].strip("`")))
    return rows


def test_the_glossary_says_what_the_screens_say() -> None:
    shown = wording()
    rows = glossary()
    assert len(rows) > 50
    assert [term for term, screen, _code in rows if screen != "–" and screen.lower() not in shown] == []


def test_the_glossary_names_things_that_exist() -> None:
    missing = []
    for term, _screen, code in glossary():
        try:
            import_string(f"hiepdong.{code}")
        except ImportError:
            try:
                importlib.import_module(f"hiepdong.{code}")
            except ImportError:
                missing.append(f"{term}: {code}")
    assert missing == []


def test_one_english_term_stands_once_in_the_glossary() -> None:
    terms = [term for term, _screen, _code in glossary()]
    assert sorted(set(terms)) == sorted(terms)


def test_every_model_people_deal_with_is_in_the_glossary() -> None:
    named = {code for _term, _screen, code in glossary()}
    inner = {  # rows that hang on one of the glossary's, or that only the machine sees
        "accounts.CalendarToken", "accounts.SignInFailure", "documents.File", "duties.Link", "exchange.SigningKey",
        "journal.StampFailure",
        "organisations.OrganisationSuccession", "organisations.Reorganisation", "reporting.PublishedFigure",
        "review.Document", "territories.UnitFlag",
    }  # fmt: skip
    ours = {m._meta.label for m in apps.get_models() if m.__module__.startswith("hiepdong.")}
    absent = {label for label in ours - inner if f"{label.partition('.')[0]}.models.{label.partition('.')[2]}" not in named}
    assert absent == set()


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "errors.md", "journal-codes.md"])
def test_a_generated_page_is_current(name: str) -> None:
    assert text_of(ROOT / "docs/reference" / name) == reference().pages()[name], "run .venv/bin/python bin/reference"


def test_what_the_wiring_waits_for_is_written_by_some_service() -> None:
    from hiepdong.web.wiring import REACTIONS

    assert set(REACTIONS) <= set(reference().journal_codes())


def test_every_page_of_the_documentation_can_be_found_from_its_first_page() -> None:
    first = ROOT / "docs/README.md"
    reached, todo = set(), [first]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        for _picture, target in LINK.findall(FENCE.sub("", text_of(page))):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there.suffix == ".md" and there.is_file() and there.is_relative_to(ROOT / "docs"):
                todo.append(there)
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md") if p not in reached} == set()


def test_the_answer_that_the_batch_page_shows_is_the_engines() -> None:
    text = text_of(ROOT / "docs/reference/deadline-batch.md")
    shown = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    rule = {"type": "after", "amount": 2, "unit": "working_days", "clause": "5.2"}
    asked = json.dumps({"rule": rule, "cut_off": "2026-02-14", "id": shown["id"]})
    given = next(iter(Batch(national_calendar(), explain=True).answers([asked])))
    assert {k: given[k] for k in shown if k != "steps"} == {k: v for k, v in shown.items() if k != "steps"}
    for step in shown["steps"]:
        same = [s for s in given["steps"] if all(s[k] == v for k, v in step.items() if k != "skipped")]
        assert [s["skipped"][: len(step["skipped"])] for s in same] == [step["skipped"]]


def test_the_functions_that_the_architecture_names_exist() -> None:
    missing = []
    rows = re.findall(r"^\| (\w+) \| (.+?) \| .* \|$", text_of(ROOT / "docs/explanation/architecture.md"), re.MULTILINE)
    named = [(app, name) for app, cell in rows for name in re.findall(r"`((?:services|queries|domain)\.[\w.]+)", cell)]
    assert len(named) > 30
    for app, name in named:
        try:
            import_string(f"hiepdong.{app}.{name}")
        except ImportError:
            try:
                importlib.import_module(f"hiepdong.{app}.{name}")
            except ImportError:
                missing.append(f"{app}.{name}")
    assert missing == []


def test_every_decision_is_listed_and_says_what_it_costs() -> None:
    folder = ROOT / "docs/adr"
    listed = set(re.findall(r"\]\((\d{4}-[^)]+\.md)\)", text_of(folder / "README.md")))
    files = sorted(p.name for p in folder.glob("[0-9]*.md"))
    assert sorted(listed) == files
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    for name in files:
        text = text_of(folder / name)
        assert text.startswith(f"# {name[:4]}. ")
        for part in ("**Context.**", "**Options.**", "**Choice.**", "**What it costs.**", "**What would make us look again.**"):
            assert part in text, f"{name}: {part}"


FOR_USERS = [p for p in PAGES if p.parent.name in {"vi", "tutorial", "how-to"}]
ENGLISH = re.compile(r"\b(?:the|of|is|not|no|has|with)\b", re.IGNORECASE)


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda p: p.name)
def test_the_vietnamese_a_page_prints_in_bold_is_on_a_screen(page: Path) -> None:
    shown = wording() + "\n".join(p.read_text(encoding="utf-8").lower() for p in EXAMPLE.glob("*.toml"))
    bold = [w for w in SCREEN.findall(text_of(page)) if not w.isascii() and not ENGLISH.search(w)]
    assert [w for w in bold if w.lower().rstrip(".") not in shown] == []


def test_pages_that_the_code_points_to_exist() -> None:
    pointed = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.html"), *(ROOT / "examples").rglob("*.toml")]:
        pointed |= set(re.findall(r"docs/[\w/-]+\.(?:md|json)", text_of(path)))
    assert {p for p in pointed if not (ROOT / p).exists()} == set()


def test_the_readme_names_the_versions_that_the_project_declares() -> None:
    declared = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    readme = text_of(ROOT / "README.md")
    low, high = re.findall(r"3\.\d+", declared["requires-python"])
    assert f"Python {low} to 3.{int(high[2:]) - 1}" in readme
    django = next(d for d in declared["dependencies"] if d.startswith("django~="))
    assert f"Django {'.'.join(django.removeprefix('django~=').split('.')[:2])}" in readme
    assert "MIT" in readme
    assert text_of(ROOT / "LICENSE").startswith("MIT License")


def test_the_changelog_speaks_of_the_version_that_is_released_or_coming() -> None:
    version = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]
    text = text_of(ROOT / "CHANGELOG.md")
    assert "## [Unreleased]" in text or f"## [{version}]" in text


def example(name: str) -> dict[str, Any]:
    return tomllib.loads(text_of(EXAMPLE / name))


def test_the_example_says_how_many_things_it_holds() -> None:
    text = text_of(EXAMPLE / "README.md")
    bodies = example("organisations.toml")["organisation"]
    rules = example("regulation.toml")
    said = [
        f"{len(bodies)} bodies",
        f"{sum(b.get('verified', False) for b in bodies)} of them `verified`",
        f"{len(rules['party'])} parties, {len(rules['article'])} clauses, {len(rules['duty'])} duties",
        f"{len(rules['form'])} report forms, {len(rules['example'])} worked examples",
        f"the other {sum(b['kind'] == 'border_station' for b in bodies) - 4} stations",
    ]
    stated = {kind: len(rows) for kind, rows in example("published.toml").items() if isinstance(rows, list)}
    said.append("{limitation} shortcomings, {task} task, {proposal} proposals, {directive} directives".format(**stated))
    said.append(f"{stated['figure']} published counts")
    assert [words for words in said if words not in text] == []
    assert not any(duty["verified"] for duty in rules["duty"])


def test_the_example_says_with_which_parameters_the_year_is_made() -> None:
    text = text_of(EXAMPLE / "README.md")
    drawn = example("demo.toml")
    said = [
        f"one seed ({drawn['seed']})",
        f"| {drawn['late_share']:.0%}, {drawn['missing_share']:.0%} |".replace("%", " %"),
        f"| {drawn['nil_share']:.0%} |".replace("%", " %"),
        f"| {drawn['returned_share']:.1%} |".replace("%", " %"),
        f"| {drawn['silent_pairs']}, {drawn['silent_commune_pairs']} |",
        f"| {drawn['silent_months'][0]}–{drawn['silent_months'][1]}, from March, April or August |",
        f"`weak_stations` | {drawn['weak_stations']} |",
        f"{drawn['weak_missing_share']:.0%} are missing, {drawn['weak_late_share']:.0%} of the rest".replace("%", " %"),
        f"`quiet_districts` | {drawn['quiet_districts']} |",
        f"`{drawn['password']}`",
    ]
    assert [words for words in said if words not in text] == []
    roles = {"organisation_administrator": "organisation administrator", "node_administrator": "node administrator"}
    for person in drawn["person"]:
        assert f"| `{person['name']}` | {person['title']} | {roles.get(person['role'], person['role'])} |" in text
    assert example("demo.toml")["silence_starts"] == ["2020-03", "2020-04", "2020-08"]
