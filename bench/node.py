"""A node of ten years: server time of its pages, its queries, and its year review, against the limit in the same run.

    .venv/bin/python bench/node.py [--database sqlite|postgresql] [--years 10] [--per-year 100000] [--data DIR] [--rounds 30]

Builds the node (see decade.py) unless DIR holds one already, and once more with a tenth of the papers, to see that the
number of queries does not grow. Every page is asked for by three seats (a station, a commune, the province, which sees
all bodies), each address several times, through Django's test client: routing, middleware, permissions, queries,
template; no network. What a page costs at least is measured beside it: the page's own SQL run again bare, an empty page of
the same frame, one row by its primary key. PostgreSQL is a throw-away server unless HIEPDONG_DATABASE_URL names one.
"""

import argparse
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET_MS = 200.0


def progress(text: str) -> None:
    """Tell how far it is, on the standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


# --- one node, in a process of its own ------------------------------------------------------------------------------------


def build(size: Any, folder: Path) -> dict[str, Any]:
    """Build the node in the database that the settings name, unless it is there; return what it holds."""
    from django.core.management import call_command
    from django.db import connection

    import decade

    mark = folder / "built.json"
    if not mark.exists():
        if connection.vendor == "sqlite":
            for left in folder.glob("hiepdong.sqlite3*"):  # of a build that was interrupted
                left.unlink()
        begin = time.perf_counter()
        call_command("migrate", verbosity=0)
        ground = decade.prepare(size, at=datetime.now(UTC), progress=progress)
        decade.write(ground, progress=progress)
        seconds = time.perf_counter() - begin
        verified = decade.check()
        progress(f"{verified} signatures of the sample verified")
        with connection.cursor() as cursor:
            names = ["exchange_dispatch", "exchange_addressee", "exchange_receipt", "duties_duty", "duties_pair"]
            names += ["journal_entry", "reporting_figure", "organisations_organisation"]
            held = {}
            for name in names:
                cursor.execute(f"select count(*) from {name}")
                held[name] = cursor.fetchone()[0]
            if connection.vendor == "sqlite":
                size_bytes = Path(connection.settings_dict["NAME"]).stat().st_size
            else:
                cursor.execute("select pg_database_size(current_database())")
                size_bytes = cursor.fetchone()[0]
        facts = {"rows": held, "bytes": size_bytes, "build_seconds": round(seconds, 1), "sample_verified": verified}
        mark.write_text(json.dumps(facts), encoding="utf-8")
    found: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    return found


Urls = list[str]


def addresses(size: Any, seat: Any, rng: random.Random) -> dict[str, Urls]:
    """Return, by name of page, the addresses to ask for as this seat; several of each, so that not one row is warm."""
    from django.urls import reverse

    import decade
    from hiepdong.accounts.queries import visible_organisation_ids
    from hiepdong.duties.models import Duty
    from hiepdong.exchange.models import Addressee, Dispatch

    own, last = seat.organisation_id, decade.LAST_YEAR
    years = [last - i for i in range(size.years)]

    def to(name: str, **query: Any) -> str:
        return reverse(name) + ("?" + urlencode(query) if query else "")

    sent = list(Addressee.objects.filter(sender_id_copy=own).order_by("id").values_list("dispatch_id", flat=True)[:20_000])
    got = list(Addressee.objects.filter(organisation=own).order_by("id").values_list("dispatch_id", flat=True)[:20_000])
    papers = rng.sample(sorted({*sent, *got}), min(40, len({*sent, *got})))
    uuids = Dispatch.objects.filter(pk__in=papers).values_list("uuid", flat=True)
    ids = visible_organisation_ids(seat)
    duties = list(Duty.objects.filter(debtor__in=ids).order_by("id").values_list("pk", flat=True)[:20_000])
    others = list(Addressee.objects.filter(organisation=own).values_list("sender_id_copy", flat=True).distinct()[:5])
    # Whose registers: the seat's own and, for one that looks into other bodies, the busiest of them.
    busiest = [own] if len(ids) == 1 else [own, decade_busiest(ids)]
    found = {
        "desk": [to("web:desk")],
        "board": [to("web:board", regulation=decade.KEY, year=y) for y in years],
        "board, page 2, by name": [to("web:board", regulation=decade.KEY, year=y, sort="first", page=2) for y in years],
        "calendar": [to("web:calendar", month=f"{y}-{m:02}") for y in years for m in (3, 6, 12)],
        "duties": [to("duties:duty_list"), to("duties:duty_list", status="overdue"), to("duties:duty_list", sort="-due")],
        "duties, filtered": [
            to("duties:duty_list", first=f"{y}-06-01", last=f"{y}-06-30", status="fulfilled_late") for y in years
        ],
        "duties, deep page": [to("duties:duty_list", page=n) for n in (20, 100, 1000)],
        "duty": [reverse("duties:duty_detail", args=[pk]) for pk in rng.sample(duties, min(40, len(duties)))],
        "dispatch": [reverse("exchange:dispatch_detail", args=[u]) for u in uuids],
        "figures": [to("reporting:figure_list", instrument=decade.KEY), to("reporting:figure_list")],
        "figures, filtered": [
            to("reporting:figure_list", indicator="tuan-tra", first=f"{y}-01-01", last=f"{y}-12-31") for y in years
        ],
        "search, common word": [to("web:search", q=q) for q in (decade.COMMON, "tinh hinh bien gioi", "thông báo", "địa bàn")],
        "search, common word, page 2": [to("web:search", q=decade.COMMON, before=n) for n in papers[:10]],
        "search, rare word": [to("web:search", q=q) for q in (decade.RARE, "hai cau cua lach", "khongcotu")],
        "search, number": [to("web:search", q=q) for q in ("mốc số 417", "tuần W07", "2019-06", "Đồn Biên phòng mẫu 07")],
    }
    for name, page in (("out", "exchange:register_out"), ("in", "exchange:register_in")):
        at = [(y, b) for y in years for b in busiest]
        found[f"register {name}"] = [to(page, year=y, organisation=b) for y, b in at]
        found[f"register {name}, filtered"] = [
            to(page, year=y, organisation=b, state="waiting", first=f"{y}-03-01", last=f"{y}-06-30") for y, b in at
        ] + [to(page, year=y, organisation=own, other=o) for y, o in zip(years, others, strict=False)]
        found[f"register {name}, deep page"] = [to(page, year=y, organisation=b, page=n) for y, b in at for n in (15, 9999)]
    return found


def decade_busiest(ids: Any) -> int:
    """Return the body of the set that sent most."""
    from django.db.models import Max

    from hiepdong.exchange.models import Dispatch

    rows = Dispatch.objects.filter(sender__in=ids).values_list("sender").annotate(n=Max("register_number")).order_by("-n")
    return int(rows[0][0])


@contextmanager
def listening(heard: list[tuple[str, Any]]) -> Iterator[None]:
    """Note every statement and its values."""
    from django.db import connection

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        heard.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


def bare(heard: list[tuple[str, Any]]) -> float:
    """Return the milliseconds of the same reading statements without Django: the database's own share."""
    from django.db import connection

    begin = time.perf_counter()
    with connection.connection.cursor() if connection.vendor == "postgresql" else connection.cursor() as cursor:
        for sql, params in heard:
            if sql.lstrip().upper().startswith(("SELECT", "WITH")):
                cursor.execute(sql, params)
                cursor.fetchall()
    return (time.perf_counter() - begin) * 1000


def quantile(times: list[float], share: float) -> float:
    """Return the time that this share of the requests did not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def timed(call: Callable[[], Any]) -> float:
    """Return the milliseconds of one call."""
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def client_of(seat: Any) -> Any:
    """Return a client in which the person of the seat is signed in."""
    from django.test import Client

    client = Client(raise_request_exception=True)
    client.force_login(seat.person)
    return client


def limits(seat: Any) -> dict[str, float]:
    """Return milliseconds of one row by its primary key, and of an empty page in the same frame."""
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from django.db import connection
    from django.http import HttpResponse
    from django.shortcuts import render
    from django.test import RequestFactory

    from hiepdong.exchange.models import Dispatch

    rng, count = random.Random(5), Dispatch.objects.count()
    request: Any = RequestFactory().get("/")
    request.seat, request.seats, request.user, request.session = seat, [seat], seat.person, SessionStore()

    def row() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select subject from exchange_dispatch where id = %s", [rng.randint(1, count)])
            cursor.fetchone()

    def page() -> HttpResponse:
        return render(request, "shell/base.html", {})

    page()
    return {
        "row_ms": statistics.median(timed(row) for _ in range(2000)),
        "empty_page_ms": statistics.median(timed(page) for _ in range(200)),
    }


def measure(size: Any, rounds: int, only: str) -> dict[str, Any]:
    """Return, by page, the times in ms over all seats, the queries of each seat, and the share of the bare SQL."""
    import decade
    from hiepdong.accounts.models import Seat

    pages: dict[str, dict[str, Any]] = {}
    rng = random.Random(11)
    found: dict[str, Any] = {}
    for name in decade.SEATS:
        seat = Seat.objects.select_related("person", "organisation").get(person__sign_in_name=name)
        client = client_of(seat)
        if name == "station":
            found["limits"] = limits(seat)
        for page, urls in addresses(size, seat, rng).items():
            if only and only not in page:
                continue
            facts = pages.setdefault(page, {"times": [], "bare": [], "first": [], "queries": {}, "slowest": ["", 0.0]})
            facts["first"].append(timed(lambda: client.get(urls[0])))  # noqa: B023
            counts = set()
            for url in urls[:8]:
                heard: list[tuple[str, Any]] = []
                with listening(heard):
                    response = client.get(url)
                if response.status_code != 200:
                    raise SystemExit(f"bench: {url} answered {response.status_code}")
                counts.add(len(heard))
                facts["bare"].append(bare(heard))
            facts["queries"][name] = sorted(counts)
            mine = []
            for i in range(rounds):
                url = urls[i % len(urls)]
                spent = timed(lambda: client.get(url))  # noqa: B023
                mine.append(spent)
                if spent > facts["slowest"][1]:
                    facts["slowest"] = [f"{name} {url}", spent]
            facts["times"] += mine
            facts[f"p95_{name}"] = quantile(mine, 0.95)
        progress(f"measured as {name}")
    for facts in pages.values():
        times = facts.pop("times")
        facts |= {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "requests": len(times)}
        facts["first"] = max(facts["first"])
        facts["bare"] = statistics.median(facts["bare"])
    return found | {"pages": pages}


def review(size: Any) -> dict[str, Any]:
    """Return the seconds of the review of the last year, first and again, with its three files."""
    import decade
    from hiepdong.review import services

    asked = {"instrument_key": decade.KEY, "year": decade.LAST_YEAR, "actor": None, "at": datetime.now(UTC)}
    asked |= {"as_of": size.until}
    begin = time.perf_counter()
    services.build_review(**asked)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    services.build_review(**asked)
    return {"build_seconds": first, "rebuild_seconds": time.perf_counter() - begin}


def one_node(asked: argparse.Namespace) -> dict[str, Any]:
    """Build one node if needed and measure it; runs in a process whose settings name the node's database."""
    sys.path.insert(0, str(HERE))
    import django

    django.setup()
    import decade

    size = decade.Size(asked.years, asked.per_year, asked.stations, asked.communes)
    facts = build(size, asked.data)
    if asked.build_only:
        return facts
    result = facts | measure(size, asked.rounds, asked.only)
    if not asked.only or "review" in asked.only:
        result["review"] = review(size)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return result


# --- the run ------------------------------------------------------------------------------------------------------------


def run_node(asked: argparse.Namespace, *, years: int, database: str) -> dict[str, Any]:
    """Start the process that builds and measures one node, in its own folder or on its own server."""
    data = asked.data / f"{database}-{years}x{asked.per_year}-{asked.stations}-{asked.communes}"
    out = data / "measured.json"
    data.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings_dev",
        "HIEPDONG_DATA": str(data),
        "HIEPDONG_SECRET_KEY": "the secret of a node that only measures, fifty characters",
        "HIEPDONG_DEMO_DAY": "2024-12-18",
        "HIEPDONG_HOSTS": "testserver",
    }
    command = [sys.executable, __file__, "--one", "--years", str(years), "--per-year", str(asked.per_year)]
    command += ["--stations", str(asked.stations), "--communes", str(asked.communes), "--rounds", str(asked.rounds)]
    command += ["--only", asked.only, "--data", str(data), "--out", str(out)] + ["--build-only"] * asked.build_only
    if database == "sqlite":
        environment["HIEPDONG_DATABASE_URL"] = ""
    elif not environment.get("HIEPDONG_DATABASE_URL"):
        (data / "built.json").unlink(missing_ok=True)
        command = [sys.executable, str(ROOT / "tests/support/postgres.py"), *command]
    if not (data / "static").exists():
        subprocess.run([str(ROOT / ".venv/bin/hiepdong"), "collectstatic", "--noinput", "-v", "0"], env=environment, check=True)
    subprocess.run(command, env=environment, check=True)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def report(result: dict[str, Any]) -> str:
    """Return the result as the tables of docs/explanation/performance.md."""
    large, small = result["large"], result.get("small")
    rows, lim = large["rows"], large["limits"]
    lines = [
        f"{result['database']}, {rows['exchange_dispatch']:,} dispatches, {rows['exchange_receipt']:,} receipts,"
        f" {rows['duties_duty']:,} duties of {rows['duties_pair']:,} pairs, {rows['reporting_figure']:,} figures,"
        f" {rows['journal_entry']:,} journal entries; {large['bytes'] / 1e9:.1f} GB; built in {large['build_seconds']:.0f} s.",
        f"One row by its primary key {lim['row_ms']:.3f} ms; an empty page {lim['empty_page_ms']:.2f} ms.",
        "",
        "| Page | p50 ms | p95 ms | worst seat's p95 | first ms | bare SQL ms | p50 : empty page | queries | at a tenth |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for page, f in large["pages"].items():
        worst = max(v for k, v in f.items() if k.startswith("p95_"))
        counts = _counts(f)
        tenth = _counts(small["pages"][page]) if small and page in small["pages"] else ""
        lines.append(
            f"| {page} | {f['p50']:.0f} | {f['p95']:.0f} | {worst:.0f} | {f['first']:.0f} | {f['bare']:.1f}"
            f" | {f['p50'] / lim['empty_page_ms']:.1f} | {counts} | {tenth} |"
        )
    if "review" in large:
        spent = large["review"]
        lines += ["", f"Year review: {spent['build_seconds']:.1f} s; again {spent['rebuild_seconds']:.1f} s."]
    slow = [p for p, f in large["pages"].items() if f["p95"] >= TARGET_MS]
    lines += ["", f"p95 of {TARGET_MS:.0f} ms or more: {', '.join(slow) or 'none'}."]
    return "\n".join(lines)


def _counts(facts: dict[str, Any]) -> str:
    found = sorted({n for counts in facts["queries"].values() for n in counts})
    return f"{found[0]}–{found[-1]}" if len(found) > 1 else str(found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--years", type=int, default=10, help="years of papers; the small node has a tenth, at least one")
    parser.add_argument("--per-year", type=int, default=100_000, help="papers in a year")
    parser.add_argument("--stations", type=int, default=30)
    parser.add_argument("--communes", type=int, default=130)
    parser.add_argument("--rounds", type=int, default=40, help="requests of each page by each seat")
    parser.add_argument("--data", type=Path, default=ROOT / "build/bench", help="folder of the nodes; kept, used again")
    parser.add_argument("--out", type=Path, default=None, help="the figures as JSON")
    parser.add_argument("--only", default="", help="only pages whose name holds this word")
    parser.add_argument("--alone", action="store_true", help="without the small node")
    parser.add_argument("--build-only", action="store_true", help="build, do not measure")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.data = asked.data.absolute()
    if asked.one:
        asked.out.write_text(json.dumps(one_node(asked)), encoding="utf-8")
        return
    free = shutil.disk_usage(asked.data.parent if asked.data.parent.exists() else ROOT).free
    need = asked.years * asked.per_year * 8_000
    if free < need:
        raise SystemExit(f"bench: needs {need / 1e9:.1f} GB free, there are {free / 1e9:.1f}; choose another --data")
    result = {
        "database": asked.database,
        "on": date.today().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "large": run_node(asked, years=asked.years, database=asked.database),
    }
    if not asked.alone and not asked.build_only and asked.years > 1:
        result["small"] = run_node(asked, years=max(1, asked.years // 10), database=asked.database)
    out = asked.out or asked.data / f"node-{asked.database}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not asked.build_only:
        print(report(result))


if __name__ == "__main__":
    main()
