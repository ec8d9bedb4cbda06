"""What a bundle costs, against the limit in the same run: of each item a bare Ed25519 verification, a SHA-256, one insert.

    .venv/bin/python bench/bundles.py [--database sqlite|postgresql] [--number 5000,50000] [--data DIR]

Two real nodes with folders of their own. One sends notices of about 2.5 kB; `hiepdong bundle export` writes them, encrypted,
and `hiepdong bundle import` takes them in, each as a process of its own, whose seconds, processor seconds and peak memory are
taken from the system. The limit does for the same bytes, on the same kind of database and in one transaction, what nobody can
leave out. Memory must not grow with the number. On a machine that does other work too, the processor seconds are what counts.
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
WORDS = (  # no text is like the other, as with people's
    "tình hình khu vực biên giới ổn định hai bên giữ nghiêm chế độ trao đổi thông tin theo quy chế phối hợp tuần tra mốc "
    "quốc giới đường mòn lối mở người phương tiện qua lại khai báo cư dân bản làng dịch bệnh mưa lũ sạt lở"
)
BODIES = {"a": ("t.don", "border_station", "Đồn Biên phòng"), "b": ("t.huyen", "party_district", "Huyện ủy")}


# --- inside a node ---------------------------------------------------------------------------------------------------------


def found(name: str, out: Path) -> None:
    from django.core.management import call_command

    from hiepdong.exchange import links
    from hiepdong.organisations.models import Organisation

    call_command("migrate", verbosity=0, interactive=False)
    key, kind, called = BODIES[name]
    body = Organisation.objects.create(
        key=key, kind=kind, name=called, notation="T", valid_from=START.date(), source="bench", name_folded=key, name_sort=key
    )
    links.found_node(name=f"bench {name}", speaker=body, at_home=[body], actor=None, at=START)
    out.write_bytes(links.make_invitation(actor=None, at=START))


def link(invitation: Path) -> None:
    from hiepdong.exchange import links

    peer = links.accept_invitation(document=invitation.read_bytes(), actor=None, at=START)
    number = links.number_with(links.read_invitation(bytes(peer.invitation)).kid, START)
    links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=START)


def fill(number: int) -> None:
    from hiepdong.exchange import services
    from hiepdong.exchange.models import Dispatch
    from hiepdong.organisations.models import Organisation

    dice, words = random.Random(2020), WORDS.split()
    sender, to = (Organisation.objects.get(key=BODIES[n][0]) for n in "ab")
    here = Dispatch.objects.count()
    while here < number:
        items = [
            services.Outgoing(
                kind="notice",
                sender=sender,
                to=[to],
                subject=f"Thông báo tình hình số {n}",
                sent_at=START + timedelta(seconds=n),
                body={"text": " ".join(dice.choices(words, k=300))},
                signer_title="Đồn trưởng",
            )
            for n in range(here, min(number, here + 1000))
        ]
        services.send_many(items=items, actor=None, at=START + timedelta(days=1))
        here += len(items)


def limit(out: Path) -> None:
    """Measure verifying, hashing and inserting the bytes that wait here, in one transaction, on the same kind of database."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from django.db import connection

    from hiepdong.exchange.models import Dispatch, SigningKey

    def raw(part: bytes) -> bytes:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))

    key = SigningKey.objects.get(organisation__key=BODIES["a"][0])
    public = Ed25519PublicKey.from_public_bytes(raw(key.public_jwk["x"].encode()))
    lite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists bench_limit")
        cursor.execute(f"create table bench_limit (digest char(64) primary key, signed {'blob' if lite else 'bytea'} not null)")
    documents = [bytes(d) for d in Dispatch.objects.order_by("pk").values_list("signed", flat=True)]
    db = connection.connection
    put = "insert into bench_limit values (?, ?)" if lite else "insert into bench_limit values (%s, %s)"
    begin, cpu = time.perf_counter(), time.process_time()
    db.execute("begin immediate" if lite else "begin")
    for document in documents:
        head, _, signature = document.rpartition(b".")
        public.verify(raw(signature), head)
        db.execute(put, (hashlib.sha256(document).hexdigest(), document))
    db.execute("commit")
    measured = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu, "items": len(documents)}
    with connection.cursor() as cursor:
        cursor.execute("drop table bench_limit")
    out.write_text(json.dumps(measured))


def inside(asked: argparse.Namespace) -> None:
    import django

    django.setup()
    step, *words = asked.inside
    if step == "found":
        found(words[0], Path(words[1]))
    elif step == "link":
        link(Path(words[0]))
    elif step == "fill":
        fill(int(words[0]))
    else:
        limit(Path(words[0]))


# --- outside ---------------------------------------------------------------------------------------------------------------


class Place:
    """A node in a folder of its own."""

    def __init__(self, name: str, folder: Path, database: str) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir(parents=True)
        server = os.environ.get("HIEPDONG_DATABASE_URL", "")
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings",
            "HIEPDONG_DATA": str(self.folder),
            "HIEPDONG_SECRET_KEY": f"of the measurement {name}, fifty characters long, nothing else",
            "HIEPDONG_DATABASE_URL": "" if database == "sqlite" else f"{server.rpartition('/')[0]}/bench_bundles_{name}",
        }
        if database != "sqlite":
            make_database(server, f"bench_bundles_{name}")

    def step(self, *words: object) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--inside", *map(str, words)]
        subprocess.run(command, env=self.environment, check=True)

    def hiepdong(self, *words: object) -> dict[str, Any]:
        """Run a command of the product; give seconds, processor seconds and the most memory of its own (MB).

        The pages of the database that SQLite maps into it belong to the system's cache and are not counted.
        """
        command = [str(Path(sys.executable).parent / "hiepdong"), *map(str, words), "--json"]
        begin, peak = time.perf_counter(), 0.0
        with (self.folder / "said.json").open("w+b") as out:
            process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=out)
            while True:
                done, status, used = os.wait4(process.pid, os.WNOHANG)
                if done:
                    break
                peak = max(peak, own_memory(process.pid))
                time.sleep(0.05)
            took = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            said = out.read()
        if process.returncode:
            raise SystemExit(f"bench: {' '.join(command)}: {said.decode()}")
        measured = {"seconds": took, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": peak}
        return measured | {"said": json.loads(said)}


def own_memory(pid: int) -> float:
    """Return how much memory of its own a process has now, MB; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) / 1024 if found else 0.0


def make_database(server: str, name: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f'drop database if exists "{name}"')
        db.execute(f'create database "{name}"')


def measure(number: int, folder: Path, database: str) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    a, b = Place("a", folder, database), Place("b", folder, database)
    for place in (a, b):
        place.step("found", place.name, folder / f"{place.name}.jws")
    a.step("link", folder / "b.jws")
    b.step("link", folder / "a.jws")
    a.step("fill", number)
    a.step("limit", folder / "limit.json")
    load = os.getloadavg()[0]
    out = a.hiepdong("bundle", "export", "1", "--out", folder, "--no-cover")
    files = [Path(w["file"]) for w in out.pop("said")]
    taken = b.hiepdong("bundle", "import", *files)
    said = taken.pop("said")
    if sum(s["fresh"] for s in said) < number or any(s["states"].keys() != {"applied"} for s in said):
        raise SystemExit(f"bench: not all was taken in: {said}")
    bare = json.loads((folder / "limit.json").read_text())
    size = sum(f.stat().st_size for f in files)
    shutil.rmtree(folder)
    row = {"items": number, "bundle_mb": size / 1e6, "load_before": load, "limit": bare, "export": out, "import": taken}
    row["import_times_limit_cpu"] = taken["cpu_seconds"] / bare["cpu_seconds"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--number", type=lambda t: [int(n) for n in t.split(",")], default=[5_000, 50_000])
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside(asked)
        return
    if asked.database == "postgresql" and not os.environ.get("HIEPDONG_DATABASE_URL"):
        server = [sys.executable, str(ROOT / "tests/support/postgres.py"), "--durable"]
        sys.exit(
            subprocess.run([*server, sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]], check=False).returncode
        )
    asked.data.mkdir(parents=True, exist_ok=True)
    rows = [measure(n, asked.data / f"bundles-{asked.database}", asked.database) for n in asked.number]
    result = {"database": asked.database, "python": platform.python_version(), "cores": os.cpu_count(), "at": rows}
    if len(rows) > 1:
        result["memory_growth_mb"] = {k: rows[-1][k]["peak_mb"] - rows[0][k]["peak_mb"] for k in ("export", "import")}
    (asked.data / f"bundles-{asked.database}.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
