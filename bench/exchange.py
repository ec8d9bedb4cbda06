"""What taking in a dispatch costs, against a bare Ed25519 verification, a SHA-256 and one durable insert in the same run.

    .venv/bin/python bench/exchange.py [--database sqlite|postgresql] [--number 2000] [--stored 10000,100000] [--data DIR]

A peer with one body sends notices of about 2.5 kB to one body at home here. Each is received, verified, stored, applied
(register, sequence, index, journal) and answered with a signed receipt that is put on its way back. Once one by one, each in
a durable transaction of its own, once in batches of 200 as a line carries them. The limit does, for the same bytes on
the same database with the same durability, what nobody can leave out. With --stored the node is filled further, and
the same is measured again: the cost must not grow. PostgreSQL is a throw-away server that syncs its commits.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 1, 5, 1, tzinfo=UTC)
BATCH = 200
TEXT = "Tình hình khu vực biên giới ổn định; hai bên giữ nghiêm chế độ trao đổi thông tin theo quy chế phối hợp. " * 18


class Sender:
    """A peer with one sending body, made here with keys of its own; writes signed dispatches as its node would."""

    def __init__(self, secret: str) -> None:
        from hiepdong.exchange import signing

        self.node, self.body = signing.new_key(secret), signing.new_key(secret)
        self.secret, self.node_id = secret, uuid.uuid4()
        self.sequence, self.previous, self.position = 0, "", 0

    def invitation(self) -> bytes:
        from hiepdong.exchange import signing
        from hiepdong.exchange.domain.envelope import canonical, instant

        jwk = {k: self.node.public_jwk[k] for k in ("crv", "kty", "x")}
        body = {
            "key": "t.don",
            "kind": "border_station",
            "name": "Đồn Biên phòng",
            "notation": "ĐBP",
            "valid_from": "2010-01-01",
            "source": "bench",
        }
        key = {
            "owner": "t.don",
            "jwk": {k: self.body.public_jwk[k] for k in ("crv", "kty", "x")},
            "valid_from": instant(START),
            "valid_until": None,
        }
        payload = {
            "format": "hiepdong.invitation/1", "node": {"id": str(self.node_id), "name": "bench", "jwk": jwk},
            "speaker": "t.don", "address": "", "tls": [], "age": "", "protocol": [1], "organisations": [body], "keys": [key],
            "made_at": instant(START), "expires_at": instant(START + timedelta(days=30)),
        }  # fmt: skip
        return signing.sign(
            canonical(payload),
            kid=self.node.kid,
            private_encrypted=self.node.private_encrypted,
            secret=self.secret,
            typ=signing.INVITATION_TYPE,
        )

    def items(self, number: int) -> Iterator[Any]:
        from hiepdong.exchange import signing
        from hiepdong.exchange.domain.envelope import Content, Recipient, as_json, canonical
        from hiepdong.exchange.domain.links import Item

        for _ in range(number):
            self.sequence += 1
            self.position += 1
            content = Content(
                id=str(uuid.uuid4()),
                kind="notice",
                sender="t.don",
                subject=f"Thông báo tình hình số {self.sequence}",
                recipients=(Recipient("t.huyen", "to", self.sequence, self.previous),),
                sent_at=START + timedelta(seconds=self.sequence),
                body={"text": TEXT},
                signer_title="Đồn trưởng",
                year=2026,
                number=self.sequence,
                notation=f"Số: {self.sequence}/TB-ĐBP",
            )
            document = signing.sign(
                canonical(as_json(content)),
                kid=self.body.kid,
                private_encrypted=self.body.private_encrypted,
                secret=self.secret,
                typ=signing.DISPATCH_TYPE,
            )
            self.previous = hashlib.sha256(document).hexdigest()
            yield Item(self.position, "dispatch", document)


def limit(sender: Sender, items: list[Any], *, batch: int) -> float:
    """Seconds of verifying, hashing and durably inserting the same bytes, `batch` rows a transaction."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from django.db import connection

    def raw(part: bytes) -> bytes:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))

    public = Ed25519PublicKey.from_public_bytes(raw(sender.body.public_jwk["x"].encode()))
    lite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists bench_limit")
        kind = "blob" if lite else "bytea"
        cursor.execute(f"create table bench_limit (digest char(64) primary key, signed {kind} not null)")
    connection.ensure_connection()
    db = connection.connection
    put = "insert into bench_limit values (?, ?)" if lite else "insert into bench_limit values (%s, %s)"
    begin = time.perf_counter()
    for start in range(0, len(items), batch):
        db.execute("begin immediate" if lite else "begin")
        for item in items[start : start + batch]:
            head, _, signature = item.document.rpartition(b".")
            public.verify(raw(signature), head)
            db.execute(put, (hashlib.sha256(item.document).hexdigest(), item.document))
        db.execute("commit")
    took = time.perf_counter() - begin
    with connection.cursor() as cursor:
        cursor.execute("drop table bench_limit")
    return took


ROWS = {  # of one dispatch with one recipient here, in the order they are written
    "exchange_dispatch": "uuid in (select replace(subject, '-', '') from exchange_arrival where {new})",
    "exchange_addressee": "dispatch_id in (select id from exchange_dispatch where {paper})",
    "exchange_receipt": "addressee_id in (select id from exchange_addressee where {addressee})",
    "exchange_arrival": "{new}",
    "exchange_parcel": "receipt_id in (select id from exchange_receipt where {receipt})",
    "journal_entry": "subject_kind = 'exchange.Dispatch'"
    " and cast(subject_id as integer) in (select id from exchange_dispatch where {paper})",
}


def schema_limit(sender: Sender, items: list[Any], folder: Path) -> float | None:
    """Seconds of what these papers must leave behind on SQLite, with nothing of ours but the tables: None elsewhere.

    The very rows that `ours` wrote for the items go once more into an empty copy of the same tables with the same indexes and
    word index, by statements that are prepared, each paper in a durable commit of its own, with the mark of the peer; with
    a verification, a SHA-256 and a signature.
    """
    import sqlite3

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.db import connection

    if connection.vendor != "sqlite":
        return None
    connection.ensure_connection()
    full = connection.connection
    new = f"position between {items[0].position} and {items[-1].position}"
    where = {"new": new}
    for name, table in (("paper", "exchange_dispatch"), ("addressee", "exchange_addressee"), ("receipt", "exchange_receipt")):
        where[name] = ROWS[table].format(**where)
    written = {t: full.execute(f"select * from {t} where {w.format(**where)} order by id").fetchall() for t, w in ROWS.items()}
    short = {t: len(rows) for t, rows in written.items() if len(rows) != len(items)}
    if short:
        raise SystemExit(f"bench: the rows of the papers were not found: {short}")
    words = [r[0] for r in full.execute("select words from exchange_search order by rowid desc limit ?", (len(items),))]
    place = folder / "schema.sqlite3"
    place.unlink(missing_ok=True)
    db = sqlite3.connect(place, isolation_level=None)
    for pragma in ("journal_mode", "synchronous"):
        db.execute(f"pragma {pragma} = {full.execute(f'pragma {pragma}').fetchone()[0]}")
    named = ", ".join(f"'{t}'" for t in (*ROWS, "exchange_search", "exchange_peer"))
    for (made,) in full.execute(
        f"select sql from sqlite_master where sql not null and tbl_name in ({named}) and type != 'trigger'"
    ):
        db.execute(made)
    peer = full.execute("select * from exchange_peer").fetchone()
    db.execute(f"insert into exchange_peer values ({', '.join('?' * len(peer))})", peer)
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    papers = [(i.document, private.sign(i.document)) for i in items]
    put = {t: f"insert into {t} values ({', '.join('?' * len(rows[0]))})" for t, rows in written.items()}
    begin = time.perf_counter()
    for n, (document, signature) in enumerate(papers):
        public.verify(signature, document)
        hashlib.sha256(document).hexdigest()
        private.sign(document[:400])
        db.execute("begin immediate")
        for table, statement in put.items():
            db.execute(statement, written[table][n])
        db.execute("insert into exchange_search(rowid, words) values (?, ?)", (n + 1, words[n]))
        db.execute("update exchange_peer set held_through = ?, sent_through = ? where id = ?", (n, n, peer[0]))
        db.execute("commit")
    took = time.perf_counter() - begin
    db.close()
    return took


def ours(peer: int, items: list[Any], *, batch: int) -> list[float]:
    """Seconds of each transaction of taking the items in, `batch` at a time."""
    from hiepdong.exchange import intake

    times = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        begin = time.perf_counter()
        taken = intake.take_in(peer_id=peer, items=part, way="bench", at=START + timedelta(days=30))
        times.append(time.perf_counter() - begin)
        bad = [o for o in taken.outcomes if o.state != "applied" or not o.receipts]
        if bad:
            raise SystemExit(f"bench: not applied: {bad[0]}")
    return times


def one_node(asked: argparse.Namespace) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from hiepdong.exchange import links
    from hiepdong.exchange.models import Dispatch
    from hiepdong.organisations.models import Organisation

    call_command("migrate", verbosity=0, interactive=False)
    district = Organisation.objects.create(
        key="t.huyen",
        kind="party_district",
        name="Huyện ủy",
        notation="HU",
        valid_from=START.date(),
        source="bench",
        name_folded="huyen uy",
        name_sort="huyen uy",
    )
    links.found_node(name="bench", speaker=district, at_home=[district], actor=None, at=START)
    sender = Sender(settings.SECRET_KEY)
    peer = links.accept_invitation(document=sender.invitation(), actor=None, at=START)
    number = links.number_with(links.read_invitation(bytes(peer.invitation)).kid, START)
    links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=START)
    ours(peer.pk, list(sender.items(BATCH)), batch=BATCH)  # warm: imports, prepared keys, plans
    result: dict[str, Any] = {"database": connection.vendor, "python": platform.python_version(), "at": []}
    for stored in [0, *asked.stored]:
        while (here := Dispatch.objects.count()) < stored:
            ours(peer.pk, list(sender.items(min(500, stored - here))), batch=500)
            if here % 50_000 < 500:
                print(f"{time.strftime('%H:%M:%S')} {here} stored", file=sys.stderr, flush=True)
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA analysis_limit=1000")
                cursor.execute("ANALYZE")
        row = {"stored": Dispatch.objects.count()}
        for name, batch, count in (("single", 1, asked.number), ("batched", BATCH, asked.number * 2)):
            items = list(sender.items(count))
            bare = limit(sender, items, batch=1) / count
            together = limit(sender, items, batch=batch) / count
            times = ours(peer.pk, items, batch=batch)
            mine = sum(times) / count
            schema = schema_limit(sender, items, asked.data) if batch == 1 else None
            row[name] = {
                "limit_us": bare * 1e6,
                "limit_same_batch_us": together * 1e6,
                "ours_us": mine * 1e6,
                "share_of_limit": bare / mine,
                "share_of_limit_same_batch": together / mine,
                **({"limit_schema_us": schema / count * 1e6, "share_of_schema": schema / count / mine} if schema else {}),
                "median_transaction_ms": statistics.median(times) * 1e3,
            }
        result["at"].append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    asked.out.write_text(json.dumps(result, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--stored", type=lambda t: [int(n) for n in t.split(",")] if t else [], default=[10_000])
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = asked.data / f"exchange-{asked.database}"
    asked.out = asked.data / f"exchange-{asked.database}.json"
    if asked.inside:
        one_node(asked)
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings_dev",
        "HIEPDONG_DATA": str(folder),
        "HIEPDONG_SECRET_KEY": "of the measurement, fifty characters long, nothing else",
    }
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--inside"]
    if asked.database == "sqlite":
        environment["HIEPDONG_DATABASE_URL"] = ""
    elif not environment.get("HIEPDONG_DATABASE_URL"):
        command = [sys.executable, str(ROOT / "tests/support/postgres.py"), "--durable", *command]
    subprocess.run(command, env=environment, check=True)
    print(asked.out.read_text())


if __name__ == "__main__":
    main()
