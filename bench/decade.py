"""Builds a node of several years for `bench/node.py`: bodies and duties by the real services, papers in bulk.

Real, through the services of the product: units, organisations, the regulation, people and seats, the duties with their
explanations, the signing keys. Real, but written to the tables in bulk instead of through `exchange.send_many`: papers
(content, canonical JSON, signature, digest, chain per pair), addressees, receipts (each signed), the word index, the
journal, links and fulfilment of duties, figures. `check` reads a sample back through the product and compares.
"""

import contextlib
import json
import multiprocessing
import random
import tomllib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction

from hiepdong.accounts import services as accounts
from hiepdong.documents.domain.notation import TYPE_OF_KIND, notation_for
from hiepdong.duties import services as duties
from hiepdong.duties.models import Duty
from hiepdong.exchange import queries as exchange
from hiepdong.exchange import search_index, signing
from hiepdong.exchange.domain.envelope import Content, Recipient, as_json, canonical, read_content, receipt_json
from hiepdong.exchange.keys import ensure_key
from hiepdong.exchange.models import Addressee, Dispatch, Receipt
from hiepdong.kernel.moments import at_local
from hiepdong.kernel.text import fold
from hiepdong.organisations import services as organisations_services
from hiepdong.organisations.models import Organisation
from hiepdong.regulations import services as regulations
from hiepdong.reporting import services as reporting
from hiepdong.reporting.models import Figure
from hiepdong.territories import services as territories
from hiepdong.territories.models import Unit
from hiepdong.web import services as web
from hiepdong.web.demo import year as phrases

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "nghe-an-2020"
LAST_YEAR = 2024  # the last whole year of the three-level picture
KEY = "nghe-an.qcph-do"
DAY, CHUNK, WORKERS = timedelta(days=1), 4000, 2
COMMON, RARE = "tình hình", "hải cẩu"  # in nearly every paper; in one of 40,000
RARE_TEXT = " Ngư dân báo gặp hải cẩu ở cửa lạch."
SEATS = {"station": "don-mau-02", "commune": "dang-uy-xa-mau-007", "province": "tinh-uy"}


@dataclass(frozen=True, slots=True)
class Size:
    """How large the node is; ten years of 100,000 papers are the target."""

    years: int = 10
    per_year: int = 100_000
    stations: int = 30
    communes: int = 130

    @property
    def first_year(self) -> int:
        """The first reporting year."""
        return LAST_YEAR - self.years + 1

    @property
    def until(self) -> datetime:
        """Nothing is sent after this moment; the pages are shown as of this day."""
        return at_local(date(LAST_YEAR, 12, 18)) + timedelta(hours=9)


# --- bodies, regulation, duties: through the services ------------------------------------------------------------------


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ",\n ".join(map(_toml, value)) + "]"
    return value.isoformat() if isinstance(value, date) else json.dumps(value, ensure_ascii=False)


def _file(data: dict[str, Any]) -> bytes:
    return "".join(f"{k} = {_toml(v)}\n" for k, v in data.items()).encode()


def _organisations(size: Size) -> dict[str, Any]:
    """Return the bodies of the example above the communes, with as many stations and communes as asked for."""
    found = tomllib.loads((EXAMPLE / "organisations.toml").read_text(encoding="utf-8"))
    local = {"border_station", "party_commune", "peoples_committee_commune", "foreign_counterpart", "sea_squadron"}
    found["organisation"] = bodies = [o for o in found["organisation"] if o["kind"] not in local]
    districts = {o["territory"][0].split(":")[1]: o["key"] for o in bodies if o["kind"] == "party_district"}
    units = Unit.objects.filter(level="commune", parent__code__in=districts, valid_from__lte=date(2010, 1, 1))
    units = units.filter(parent__level="district").select_related("parent").order_by("code")[: size.communes]
    chosen = list(units)
    for i, unit in enumerate(chosen):
        common = {"place": unit.name, "territory": [f"commune:{unit.code}"], "source": "bench"}
        party = f"nghe-an.dang-uy-xa-mau-{i:03}"
        bodies.append(
            {"key": party, "kind": "party_commune", "name": f"Đảng ủy {unit.full_name} (mẫu {i:03})", "notation": "ĐU"}
            | {"superior": districts[unit.parent.code]}
            | common
        )
        bodies.append(
            {"key": f"nghe-an.ubnd-xa-mau-{i:03}", "kind": "peoples_committee_commune", "notation": "UBND"}
            | {"name": f"Ủy ban nhân dân {unit.full_name} (mẫu {i:03})", "superior": party}
            | common
        )
    for i in range(size.stations):  # each commune lies in the territories of two neighbouring stations
        near = [u for j, u in enumerate(chosen) if j % size.stations in {i, (i + 1) % size.stations}]
        bodies.append(
            {"key": f"nghe-an.don-mau-{i:02}", "kind": "border_station", "name": f"Đồn Biên phòng mẫu {i:02}"}
            | {"notation": "ĐBP", "place": near[0].name, "superior": "nghe-an.bo-chi-huy-bdbp", "source": "bench"}
            | {"territory": [f"commune:{u.code}" for u in near]}
        )
    return found


def _regulation(size: Size, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the regulation of the example with these parties, weekly notices and monthly reports to every commune."""
    found = tomllib.loads((EXAMPLE / "regulation.toml").read_text(encoding="utf-8"))
    sides = {"border_guard_party": "border_guard", "border_guard_command": "border_guard", "border_station": "border_guard"}
    found |= {"key": KEY, "title": "Quy chế để đo tốc độ", "effective_from": date(size.first_year - 1, 12, 15), "example": []}
    kinds = {*sides, "party_province", "party_district", "party_commune", "peoples_committee_commune"}
    found["party"] = [
        {"organisation": o["key"], "side": sides.get(o["kind"], "locality")} for o in bodies if o["kind"] in kinds
    ]
    station, communes = {"kind": "border_station"}, ["party_commune", "peoples_committee_commune"]
    base = {"clause": "5.1", "field": "thong-tin", "source": "bench", "verified": False, "may_waive": ["creditor"]}
    weekly = {"content": {"type": "notice", "nil_allowed": True}, "trigger": {"type": "period", "family": "week"}}
    after = {"deadline": {"type": "after", "amount": 3, "unit": "working_days"}}
    found["duty"] += [
        base | weekly | after | {"key": "b-01", "title": "Thông báo tuần của đồn", "debtor": station}
        | {"creditor": {"kind": communes[1], "relation": "same_territory"}},
        base | weekly | after | {"key": "b-02", "title": "Thông báo tuần của xã", "debtor": {"kind": communes[1]}}
        | {"creditor": station | {"relation": "same_territory"}},
        base | after | {"key": "b-03", "title": "Báo cáo tháng của đồn cho đảng ủy xã", "debtor": station}
        | {"creditor": {"kind": communes[0], "relation": "same_territory"}}
        | {"content": {"type": "report", "form": "thang-don"}, "trigger": {"type": "period", "family": "r-rep-month"}},
    ]  # fmt: skip
    return found


@dataclass(slots=True)
class Ground:
    """What the papers are written on."""

    size: Size
    bodies: dict[int, Organisation]
    duties: list[tuple[Any, ...]]
    forms: dict[str, tuple[int, dict[str, Any]]]
    keys: dict[int, tuple[int, str, str]]  # organisation: number, kid, encrypted private half


COLUMNS = ("pk", "reference", "debtor_id", "creditor_id", "copies", "opens_at", "due_at", "occasion", "period_from")
COLUMNS += ("period_to", "rule__content", "rule__form__key", "rule__spec")


def prepare(size: Size, *, at: datetime, progress: Callable[[str], None]) -> Ground:
    """Load units, bodies, the regulation, people and duties through the services."""
    territories.load_units(actor=None, at=at)
    progress("units")
    bodies = _organisations(size)
    organisations_services.load_organisations(file_bytes=_file(bodies), name="bench", actor=None, at=at)
    regulation = _file(_regulation(size, bodies["organisation"]))
    instrument = regulations.load_instrument(file_bytes=regulation, name="bench", actor=None, at=at)
    known = {o.pk: o for o in Organisation.objects.all()}
    by_key = {o.key: o for o in known.values()}
    for name, key in SEATS.items():
        person = accounts.make_person(
            sign_in_name=name, display_name=name, password=uuid.uuid4().hex, actor=None, at=at, check=False
        )
        body = by_key[f"nghe-an.{key}"]
        accounts.grant_seat(
            person=person, organisation=body, role="signer", title="", since=date(2014, 1, 1), actor=None, at=at
        )
    progress("organisations, regulation, seats")
    made = duties.make_duties(instrument_key=KEY, until=date(LAST_YEAR, 12, 31), actor=None, at=at)
    progress(f"{made.made:,} duties")
    keys = {}
    for body in known.values():
        key = ensure_key(organisation=body, actor=None, at=at_local(date(2010, 1, 1)))
        keys[body.pk] = (key.pk, key.kid, key.private_encrypted)
    forms = {f.key: (f.pk, f.definition) for f in instrument.forms.all()}
    rows = list(Duty.objects.order_by("pk").values_list(*COLUMNS).iterator(chunk_size=20_000))
    return Ground(size, known, rows, forms, keys)


# --- the plan: who sends what to whom when ------------------------------------------------------------------------------


@dataclass(slots=True)
class Paper:
    """One paper of the plan; `at`, `answered` and `returned` are whole seconds since 1970."""

    at: int
    sender: int
    to: int
    copies: tuple[int, ...]
    duty: int  # place in Ground.duties, -1 for a paper that fulfils none
    answered: int
    returned: int
    replaces: "Paper | None"
    uid: int
    pk: int = 0
    number: int = 0
    sequences: tuple[int, ...] = ()
    addressee: int = 0  # number of the first addressee's row


def plan(ground: Ground) -> tuple[list[Paper], dict[int, tuple[int, int]]]:
    """Return all papers in the order of sending, and the paper and moment by which each duty is fulfilled."""
    rng, size = random.Random(20201218), ground.size
    until = int(size.until.timestamp())
    found: list[Paper] = []
    pairs = sorted({(d[2], d[3]) for d in ground.duties} | {(d[3], d[2]) for d in ground.duties})
    years = range(size.first_year, LAST_YEAR + 1)
    silent: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for year in years:
        for pair in rng.sample(pairs, max(2, len(pairs) // 50)):
            begins = int(at_local(date(year, rng.randint(1, 8), 1)).timestamp())
            for way in (pair, pair[::-1]):
                silent[way].append((begins, begins + 100 * 86400))

    def add(at: int, sender: int, to: int, copies: tuple[int, ...], duty: int, before: Paper | None = None) -> Paper | None:
        if at > until or any(a <= at < b for a, b in silent.get((sender, to), ())):
            return None
        answered = at + rng.randint(600, 400_000)
        kept = answered if answered <= until and rng.random() > 0.03 else 0
        paper = Paper(at, sender, to, copies, duty, kept, 0, before, rng.getrandbits(128))
        found.append(paper)
        return paper

    weak = {b for b in {d[2] for d in ground.duties} if rng.random() < 0.06}
    done: dict[int, Paper] = {}
    for place, d in enumerate(ground.duties):
        if d[12]["trigger"]["type"] == "event" or rng.random() < (0.3 if d[2] in weak else 0.04):
            continue
        opens, due = int(d[5].timestamp()), int(d[6].timestamp())
        at = opens + int((due - opens) * rng.random()) if due > opens else opens - rng.randint(0, 400_000)
        if rng.random() < 0.08:
            at = due + rng.randint(60, 20 * 86400)
        copies = tuple(i for i in d[4] if i not in {d[2], d[3]})
        paper = add(at, d[2], d[3], copies, place)
        if paper and paper.answered and rng.random() < 0.007:  # returned, and sent again two days later
            paper.returned, paper.answered = paper.answered, 0
            paper = add(paper.returned + 170_000, d[2], d[3], copies, place, paper)
        if paper:
            done[place] = paper
    begin = int(at_local(date(size.first_year, 1, 1)).timestamp())
    days = (until - begin) // 86400
    while len(found) < size.per_year * size.years:
        sender, to = rng.choice(pairs)
        copies = (rng.choice(pairs)[0],) if rng.random() < 0.1 else ()
        copies = tuple(c for c in copies if c not in {sender, to})
        add(begin + rng.randrange(days) * 86400 + 27_000 + rng.randrange(34_000), sender, to, copies, -1)
    found.sort(key=lambda p: p.at)
    _number(found)
    return found, {ground.duties[place][0]: (p.pk, p.at) for place, p in done.items()}


def _number(papers: list[Paper]) -> None:
    numbers: dict[tuple[int, int], int] = defaultdict(int)
    chains: dict[tuple[int, int], int] = defaultdict(int)
    rows = 1
    for pk, paper in enumerate(papers, 1):
        year = (datetime.fromtimestamp(paper.at, UTC) + timedelta(hours=7)).year
        numbers[paper.sender, year] += 1
        paper.pk, paper.number, paper.addressee = pk, numbers[paper.sender, year], rows
        for to in (paper.to, *paper.copies):
            chains[paper.sender, to] += 1
        paper.sequences = tuple(chains[paper.sender, to] for to in (paper.to, *paper.copies))
        rows += 1 + len(paper.copies)


# --- the rows -----------------------------------------------------------------------------------------------------------

TABLES = {
    "exchange_dispatch": (
        "id uuid sender_id kind urgency register_year register_number notation subject subject_folded sent_at event_at"
        " entered_at answers replaces_id withdraws_id signed digest key_id signer_title"
    ),
    "exchange_addressee": (
        "id dispatch_id organisation_id role sender_id_copy sequence previous_digest sent_at arrived_at acknowledged_at"
        " returned_at return_reason withdrawal"
    ),
    "exchange_receipt": "addressee_id code reason at signed digest key_id",
    "journal_entry": (
        "code at subject_kind subject_id subject_name actor_kind actor_id actor_name organisation_id facts reacted_at"
    ),
    "duties_link": "duty_id dispatch_id part takes_back_id sent_at returned_at",
    "reporting_figure": (
        "dispatch_id form_id organisation_id instrument_key indicator definition period_from period_to state value unit"
        " precision scope text superseded"
    ),
}
Rows = dict[str, list[tuple[Any, ...]]]


class Writer:
    """Turns papers of the plan into rows; one process writes the papers of a share of the senders."""

    def __init__(self, ground: Ground, papers: list[Paper], vendor: str) -> None:
        self.ground, self.papers, self.vendor = ground, papers, vendor
        self.last: dict[tuple[int, int], str] = {}  # digest of the last paper of each chain
        self.rng = random.Random(1)
        self.lite = vendor == "sqlite"

    def moment(self, seconds: int) -> Any:
        """Return a moment as Django stores it."""
        at = datetime.fromtimestamp(seconds, UTC)
        return at.replace(tzinfo=None).isoformat(" ") if self.lite else at

    def rows(self, begin: int, share: int) -> Rows:
        """Return the rows of one chunk's papers whose senders fall to this share."""
        found: Rows = {name: [] for name in (*TABLES, "search")}
        for paper in self.papers[begin : begin + CHUNK]:
            if paper.sender % WORKERS == share:
                self.rng.seed(paper.uid)
                self._paper(paper, found)
        return found

    def _body(self, paper: Paper) -> tuple[str, str, dict[str, Any]]:
        """Return kind, subject and body."""
        rng = self.rng
        lines = [*rng.sample(phrases._SITUATION, 2), rng.choice(phrases._ADVICE), f"Mốc số {rng.randint(1, 900)}."]
        text = f"{phrases.MARK} " + " ".join(lines) + (RARE_TEXT if paper.uid % 40_000 == 0 else "")
        place = self.ground.bodies[paper.sender].place
        if paper.duty < 0:
            return "notice", f"{phrases.PREFIX} Trao đổi tình hình khu vực biên giới, địa bàn {place}", {"text": text}
        duty = self.ground.duties[paper.duty]
        if duty[10] == "report":
            form = self.ground.forms[duty[11]][1]
            figures = [
                {"indicator": i["key"], "state": "value", "value": str(rng.randint(0, 60)), "unit": i["unit"]}
                | {"precision": "exact", "scope": "", "text": ""}
                for i in form["indicators"]
            ]
            sections = [{"key": s["key"], "text": rng.choice(phrases._SITUATION)} for s in form["sections"]]
            body = {"text": text, "form": {"instrument": KEY, "version": 1, "key": duty[11], "figures": figures}}
            body["form"] |= {"period_from": duty[8].isoformat(), "period_to": duty[9].isoformat(), "sections": sections}
            return "report", f"{phrases.PREFIX} Báo cáo công tác biên phòng {duty[7]}", body
        if duty[12]["content"].get("nil_allowed") and rng.random() < 0.25:
            return "nil_report", f"{phrases.PREFIX} Thông báo {duty[7]}: không có thay đổi", {"text": "Không có thay đổi."}
        return "notice", f"{phrases.PREFIX} Thông báo tình hình địa bàn {duty[7]}, {place}", {"text": text}

    def _paper(self, paper: Paper, found: Rows) -> None:
        sender, parties = self.ground.bodies[paper.sender], (paper.to, *paper.copies)
        kind, subject, body = self._body(paper)
        sent_at, uid = datetime.fromtimestamp(paper.at, UTC), uuid.UUID(int=paper.uid, version=4)
        year = (sent_at + timedelta(hours=7)).year
        answers = [self.ground.duties[paper.duty][1]] if paper.duty >= 0 else []
        before = [self.last.get((paper.sender, to), "") for to in parties]
        notation = notation_for(sender.kind, sender.notation or "VP", TYPE_OF_KIND[kind], paper.number)
        roles = ("to", *("copy" for _ in paper.copies))
        rows = zip(parties, roles, paper.sequences, before, strict=True)
        content = Content(
            id=str(uid),
            kind=kind,
            sender=sender.key,
            subject=subject,
            recipients=tuple(Recipient(self.ground.bodies[to].key, r, n, p) for to, r, n, p in rows),
            sent_at=sent_at,
            body=body,
            year=year,
            number=paper.number,
            notation=notation,
            answers=tuple(answers),
            replaces=str(uuid.UUID(int=paper.replaces.uid, version=4)) if paper.replaces else "",
        )
        signed, digest = self._sign(as_json(content), paper.sender, signing.DISPATCH_TYPE)
        key, at = self.ground.keys[paper.sender][0], self.moment(paper.at)
        names = [sender.name, *(self.ground.bodies[to].name for to in parties)]
        texts = [subject, notation, *names, body["text"], *(s["text"] for s in body.get("form", {}).get("sections", ()))]
        words = search_index.words_of(" ".join(texts))
        tokens = (search_index.party_token(i) for i in sorted({paper.sender, *parties}))
        found["search"].append((paper.pk, " ".join([*words, *tokens])))
        identity = (paper.pk, uid.hex if self.lite else uid, paper.sender, kind, "ordinary", year, paper.number, notation)
        replaces = paper.replaces.pk if paper.replaces else None
        told = (subject, fold(subject), at, None, at, json.dumps(answers), replaces, None)
        found["exchange_dispatch"].append((*identity, *told, signed, digest, key, ""))
        facts = {"uuid": str(uid), "answers": answers}
        self._entry(found, "sent", paper, paper.at, f"{notation} {subject}", facts)
        for i, to in enumerate(parties):
            self.last[paper.sender, to] = digest
            answered, returned = (paper.answered, paper.returned) if i == 0 else (0, 0)
            verdicts = [("arrived", paper.at), ("acknowledged", answered), ("returned", returned)]
            stored = [self.moment(v) if v else None for _, v in verdicts]
            reason = "Thiếu số liệu." if returned else ""
            row = (
                paper.addressee + i,
                paper.pk,
                to,
                roles[i],
                paper.sender,
                paper.sequences[i],
                before[i],
                at,
                *stored,
                reason,
                False,
            )
            found["exchange_addressee"].append(row)
            for (code, moment), when in zip(verdicts, stored, strict=True):
                if moment:
                    self._receipt(found, paper, row, code, moment, when, digest, str(uid))
        if paper.duty >= 0:
            duty = self.ground.duties[paper.duty]
            returned_at = self.moment(paper.returned) if paper.returned else None
            found["duties_link"].append((duty[0], paper.pk, "version", None, at, returned_at))
            if not paper.returned:
                self._entry(found, "", paper, paper.at, duty[1], {"dispatch": paper.pk}, duty[0])
            self._figures(found, paper, body.get("form"), duty)

    def _sign(self, payload: dict[str, Any], organisation: int, typ: str) -> tuple[bytes, str]:
        """Sign canonical JSON: without floats, and with ASCII keys, `json` writes the same bytes as RFC 8785 asks for."""
        _, kid, private = self.ground.keys[organisation]
        data = json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        signed = signing.sign(data, kid=kid, private_encrypted=private, secret=settings.SECRET_KEY, typ=typ)
        return signed, signing.digest_of(signed)

    def _receipt(
        self, found: Rows, paper: Paper, row: tuple[Any, ...], code: str, moment: int, at: Any, digest: str, uid: str
    ) -> None:
        addressee, to, why = row[0], row[2], row[11] if code == "returned" else ""
        body, when = self.ground.bodies[to].key, datetime.fromtimestamp(moment, UTC)
        payload = receipt_json(dispatch_digest=digest, dispatch_id=uid, organisation=body, code=code, at=when, reason=why)
        signed, own = self._sign(payload, to, signing.RECEIPT_TYPE)
        found["exchange_receipt"].append((addressee, code, why, at, signed, own, self.ground.keys[to][0]))
        if code != "arrived":
            facts = {"uuid": uid, "organisation": body, "reason": why}
            self._entry(found, code, paper, moment, "", facts)

    def _entry(
        self, found: Rows, code: str, paper: Paper, at: int, name: str, facts: dict[str, Any], duty: int | None = None
    ) -> None:
        kind, subject = ("exchange.Dispatch", paper.pk) if duty is None else ("duties.Duty", duty)
        full = f"exchange.dispatch.{code}" if duty is None else "duties.duty.discharged"
        when = self.moment(at)
        row = (full, when, kind, str(subject), name[:300], "system", "", "", None, json.dumps(facts), when)
        found["journal_entry"].append(row)

    def _figures(self, found: Rows, paper: Paper, form: dict[str, Any] | None, duty: tuple[Any, ...]) -> None:
        if form is None:
            return
        pk, definition = self.ground.forms[duty[11]]
        definitions = {i["key"]: i["definition"] for i in definition["indicators"]}
        first, last = (duty[8].isoformat(), duty[9].isoformat()) if self.lite else (duty[8], duty[9])
        for f in form["figures"]:
            value = int(f["value"]) if self.lite else f["value"]
            named = (paper.pk, pk, paper.sender, KEY, f["indicator"], definitions[f["indicator"]], first, last)
            row = (*named, "value", value, f["unit"], "exact", "", "", bool(paper.returned))
            found["reporting_figure"].append(row)


def _work(writer: Writer, share: int, queue: Any) -> None:
    for begin in range(0, len(writer.papers), CHUNK):
        queue.put(writer.rows(begin, share))


def _chunks(writer: Writer) -> Iterator[Rows]:
    """Yield the rows of each chunk, made by two processes."""
    connections.close_all()
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(maxsize=3) for _ in range(WORKERS)]
    workers = [context.Process(target=_work, args=(writer, share, queue), daemon=True) for share, queue in enumerate(queues)]
    for worker in workers:
        worker.start()
    for _ in range(0, len(writer.papers), CHUNK):
        parts = [queue.get() for queue in queues]
        merged: Rows = {}
        for name in parts[0]:
            place = 1 if name == "journal_entry" else 0  # by moment; the others by the number they hang on
            merged[name] = sorted(chain.from_iterable(p[name] for p in parts), key=itemgetter(place))
        yield merged
    for worker in workers:
        worker.join()


def write(ground: Ground, *, progress: Callable[[str], None]) -> int:
    """Write the papers and all that hangs on them; return how many."""
    papers, done = plan(ground)
    progress(f"{len(papers):,} papers planned")
    store = _Lite() if connection.vendor == "sqlite" else _Postgres()
    step = max(CHUNK, len(papers) // 10 // CHUNK * CHUNK)
    for i, rows in enumerate(_chunks(Writer(ground, papers, connection.vendor))):
        if i == 0:
            store.begin()
        store.add(rows)
        if (i + 1) * CHUNK % step == 0:
            progress(f"{(i + 1) * CHUNK:,} papers")
    nils = {pk for (pk,) in store.read("select id from exchange_dispatch where kind = 'nil_report'")}
    store.fulfil([(pk, at, paper, paper in nils) for pk, (paper, at) in done.items()])
    last: dict[tuple[int, int], int] = {}
    for paper in papers:
        last[paper.sender, (datetime.fromtimestamp(paper.at, UTC) + timedelta(hours=7)).year] = paper.number
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into documents_series(organisation_id, register, year, last_number) values (%s, 'out', %s, %s)",
            [(*key, number) for key, number in last.items()],
        )
    store.finish(progress)
    return len(papers)


class _Lite:
    """SQLite: one long transaction per chunk, nothing durable until the end."""

    def begin(self) -> None:
        with connection.cursor() as cursor:
            for pragma in ("foreign_keys=OFF", "synchronous=OFF", "cache_size=-1000000", "wal_autocheckpoint=20000"):
                cursor.execute(f"PRAGMA {pragma}")

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def add(self, rows: Rows) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, columns in TABLES.items():
                names = columns.split()
                places = ", ".join(["%s"] * len(names))
                cursor.executemany(f"insert into {table} ({', '.join(names)}) values ({places})", rows[table])
            cursor.executemany("insert into exchange_search(rowid, words) values (%s, %s)", rows["search"])

    def fulfil(self, done: Iterable[tuple[int, int, int, bool]]) -> None:
        rows = [(datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(" "), p, n, pk) for pk, at, p, n in done]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany("update duties_duty set fulfilled_at=%s, fulfilled_by_id=%s, nil=%s where id=%s", rows)

    def finish(self, progress: Callable[[str], None]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("PRAGMA foreign_key_check")
            broken = cursor.fetchall()
        web.update_statistics()  # what `hiepdong work` does once a day
        if broken:
            raise SystemExit(f"bench: rows without their parent: {broken[:5]}")
        connection.close()
        progress("foreign keys checked")


class _Postgres:
    """PostgreSQL: COPY, triggers off, the word index filled at the end."""

    def begin(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set session_replication_role = replica")
            cursor.execute("create temp table words(id bigint, words text)")
            cursor.execute("drop index exchange_search_words")

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def _copy(self, cursor: Any, table: str, names: list[str], rows: list[tuple[Any, ...]]) -> None:
        with cursor.copy(f"copy {table} ({', '.join(names)}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)

    def add(self, rows: Rows) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, columns in TABLES.items():
                self._copy(cursor, table, columns.split(), rows[table])
            self._copy(cursor, "words", ["id", "words"], rows["search"])

    def fulfil(self, done: Iterable[tuple[int, int, int, bool]]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("create temp table done(id bigint, at timestamptz, paper bigint, nil boolean)")
            rows = [(pk, datetime.fromtimestamp(at, UTC), paper, nil) for pk, at, paper, nil in done]
            self._copy(cursor, "done", ["id", "at", "paper", "nil"], rows)
            cursor.execute(
                "update duties_duty d set fulfilled_at = x.at, fulfilled_by_id = x.paper, nil = x.nil"
                " from done x where x.id = d.id"
            )

    def finish(self, progress: Callable[[str], None]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("insert into exchange_search select id, to_tsvector('simple', words) from words order by id")
            progress("words")
            cursor.execute("set maintenance_work_mem = '512MB'")
            cursor.execute("create index exchange_search_words on exchange_search using gin (words)")
            for table in ("exchange_dispatch", "exchange_addressee"):
                cursor.execute(f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))")
        connection.close()
        with connection.cursor() as cursor:  # what autovacuum does by itself within minutes
            cursor.execute("vacuum analyze")
        progress("indexes, statistics")


# --- the sample ---------------------------------------------------------------------------------------------------------


def check(number: int = 300) -> int:
    """Read a sample back through the product: signatures, chains, canonical bytes, figures, fulfilment; raise if one differs.

    Returns:
        How many papers and receipts were verified.
    """
    rng, verified = random.Random(3), 0
    count = Dispatch.objects.count()
    pks = rng.sample(range(1, count + 1), min(number, count))
    forms = reporting._Forms()
    for dispatch in Dispatch.objects.filter(pk__in=pks).select_related("key", "sender"):
        found = exchange.verification_of(dispatch)
        payload = signing.payload_of(bytes(dispatch.signed))
        same = canonical(as_json(read_content(payload))) == payload
        stored = {(f.indicator, f.value) for f in Figure.objects.filter(dispatch=dispatch)}
        read = {(f.indicator, f.value) for f in reporting.figures_of(dispatch, forms)} if dispatch.kind == "report" else set()
        if not (found.good and same and stored == read):
            raise SystemExit(f"bench: paper {dispatch.pk} is not what the product would have written: {found} {same}")
        verified += 1
    receipts = Receipt.objects.filter(addressee__in=Addressee.objects.filter(dispatch__in=pks)).select_related("key")
    for receipt in receipts:
        signing.verify(bytes(receipt.signed), public_jwk=receipt.key.public_jwk, kid=receipt.key.kid, typ=signing.RECEIPT_TYPE)
        verified += 1
    with contextlib.suppress(IndexError), transaction.atomic():
        some = list(Duty.objects.filter(links__dispatch__in=pks).distinct())
        before = {d.pk: (d.fulfilled_at, d.fulfilled_by_id, d.nil) for d in some}
        duties._anchor(some, datetime.now(UTC))
        after = {d.pk: (d.fulfilled_at, d.fulfilled_by_id, d.nil) for d in some}
        if before != after:
            raise SystemExit("bench: a duty is not fulfilled as the product would have it")
    return verified
