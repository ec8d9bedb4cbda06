"""The demo of two nodes: the Border Guard's and the localities', some months with a line, one without, and the stick.

Each step runs in a process of one node and speaks with the other only through files in a folder, as two offices would: an
invitation, what a line carries, a bundle. Moments are those of 2020, so the pages show a line that was alive
until 14 November and silent since. What is made up is marked as in the demo of one node.
"""

import json
import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from hiepdong.accounts import services as accounts
from hiepdong.duties import services as duty_services
from hiepdong.duties.models import Duty
from hiepdong.exchange import bundles, intake, links, outbox, services, signing
from hiepdong.exchange.common import common_holdings
from hiepdong.exchange.domain.links import Item, read_item
from hiepdong.exchange.keys import ensure_key
from hiepdong.exchange.models import Addressee, JointDocument, Peer
from hiepdong.organisations import services as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.organisations.queries import organisations_by_keys
from hiepdong.regulations import services as regulations
from hiepdong.regulations.models import Instrument
from hiepdong.territories import services as territories
from hiepdong.web.services import react

from .loader import outgoing_of, owed_of, shape_of
from .year import make_year

FIRST = datetime(2019, 12, 14, 17, tzinfo=UTC)  # 15 December in Viet Nam, the first day of the year of the regulation
CUT = datetime(2020, 11, 14, 17, tzinfo=UTC)  # the line goes
STICK = datetime(2020, 12, 17, 8, tzinfo=UTC)
ON_THE_WAY = timedelta(minutes=7)
EVERY = timedelta(hours=3)  # the line was there some times a day
GUARD_KINDS = {"border_guard_party", "border_guard_command", "border_station", "border_gate_command", "sea_squadron"}
SIDES = {
    "guard": ("Nút Bộ đội Biên phòng (minh họa)", "nghe-an.dang-uy-bdbp"),
    "local": ("Nút các địa phương (minh họa)", "nghe-an.tinh-uy"),
}


def address(own: str, other: str) -> str:
    """Let the two nodes find each other where they are served now."""
    links.set_node(address=own, actor=None, at=STICK)
    Peer.objects.update(address=other, next_try_at=None, failures=0)
    return f"địa chỉ {own}, nút kia {other}"


def _is_ours(side: str, kind: str) -> bool:
    return (kind in GUARD_KINDS) == (side == "guard")


def prepare(side: str, folder: Path, address: str, *, at: datetime) -> str:
    """Load bodies, people of this side and the duties; found the node; leave the invitation in the folder."""
    example = _example()
    territories.load_units(actor=None, at=at)
    organisations.load_organisations(
        file_bytes=(example / "organisations.toml").read_bytes(), name="organisations.toml", actor=None, at=FIRST
    )
    name, speaker = SIDES[side]
    bodies = list(Organisation.objects.order_by("key"))
    ours = [o for o in bodies if _is_ours(side, o.kind)]
    links.found_node(
        name=name, speaker=next(o for o in bodies if o.key == speaker), at_home=ours, address=address, actor=None, at=FIRST
    )
    for body in ours:  # a key is not younger than the papers of the demo, and does not expire while it is shown
        ensure_key(organisation=body, actor=None, at=at, since=FIRST)
    _people(side, {o.key: o for o in ours})
    (folder / f"{side}.invitation").write_bytes(links.make_invitation(actor=None, at=FIRST))
    return f"{name}: {len(ours)} cơ quan"


def _example() -> Path:

    return Path(settings.BASE_DIR) / "examples" / "nghe-an-2020"


def _parameters() -> dict[str, Any]:
    return tomllib.loads((_example() / "demo.toml").read_text(encoding="utf-8"))


def people_of(side: str) -> list[dict[str, str]]:
    """Return the sign-ins of a side: those of the example whose body lives there, and an administrator of the node."""
    found = [p for p in _parameters()["person"] if p["role"] != "node_administrator"]
    guard = {"nghe-an.dang-uy-bdbp", "nghe-an.don-my-ly", "nghe-an.bo-chi-huy-bdbp"}
    found = [p for p in found if (p["organisation"] in guard) == (side == "guard")]
    administrator = {
        "name": "quan-tri",
        "title": "Quản trị nút",
        "organisation": SIDES[side][1],
        "role": "node_administrator",
    }
    return [*found, administrator]


def _people(side: str, ours: dict[str, Any]) -> None:

    password = _parameters()["password"]
    for row in people_of(side):
        person = accounts.make_person(
            sign_in_name=row["name"], display_name=row["title"], password=password, actor=None, at=FIRST, check=False
        )
        accounts.grant_seat(
            person=person,
            organisation=ours[row["organisation"]],
            role=row["role"],
            title=row["title"],
            since=date(2019, 12, 15),
            actor=None,
            at=FIRST,
        )


def link(side: str, folder: Path) -> str:
    """Take the other side's invitation and confirm the number, as the two administrators would by telephone."""
    document = (folder / f"{_other(side)}.invitation").read_bytes()
    peer = links.accept_invitation(document=document, actor=None, at=FIRST)
    number = links.number_with(links.read_invitation(document).kid, FIRST)
    told = folder / "pair-number"
    if told.exists() and told.read_text() != number:
        raise SystemExit("demo: the pair numbers differ")
    told.write_text(number)
    links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=FIRST)
    return f"liên kết với {peer.name}; số đối chiếu {number}"


def _other(side: str) -> str:
    return "local" if side == "guard" else "guard"


def sign(side: str) -> str:
    """Propose the regulation (the Border Guard does) and sign it in the name of every party that lives here."""
    document = JointDocument.objects.filter(kind="regulation").first()
    if document is None and side == "guard":
        text = (_example() / "regulation.toml").read_bytes()
        document = regulations.propose(file_bytes=text, name="regulation.toml", actor=None, at=FIRST)
    if document is None:
        return f"{SIDES[side][0]}: chưa nhận được quy chế"
    parties = Organisation.objects.filter(key__in=document.parties, residence__peer__isnull=True).order_by("key")
    for party in parties:
        regulations.sign(document=document, organisation=party, actor=None, at=FIRST)
    react(at=FIRST, limit=100_000)
    return f"{SIDES[side][0]}: {len(parties)} bên ký quy chế"


def duties(side: str) -> str:
    """Make the duties of the regulation, in force since all have signed; both sides compute the same from the same text."""
    instrument = Instrument.objects.get()
    made = duty_services.make_duties(instrument_key=instrument.key, until=date(2020, 12, 14), actor=None, at=FIRST)
    return f"{SIDES[side][0]}: quy chế có hiệu lực, {made.made} nghĩa vụ"


def _plans() -> list[Any]:

    return make_year(owed_of(Instrument.objects.get()), shape_of(_parameters()))


def send(side: str, since: datetime, until: datetime) -> str:
    """Write and send this side's papers of a stretch of time."""
    plans = [p for p in _plans() if since <= p.sent_at < until]
    known = organisations_by_keys({k for p in plans for k in (p.sender, *p.to, *p.copies)})
    own = [p for p in plans if _is_ours(side, known[p.sender].kind)]
    earlier = {p.id for p in own}
    for start in range(0, len(own), 400):
        services.send_many(
            items=[
                replace(outgoing_of(p, known), replaces_id=p.replaces_id if p.replaces_id in earlier else "")
                for p in own[start : start + 400]
            ],
            actor=None,
            at=until,
        )
    react(at=until, limit=100_000)
    return f"{SIDES[side][0]}: {len(own)} công văn đến {until:%d/%m/%Y}"


def carry(side: str, folder: Path) -> str:
    """Lay what the other side has not confirmed into the folder: what a line would carry."""
    peer = Peer.objects.get()
    items: list[dict[str, Any]] = []
    place = peer.confirmed_through
    while found := outbox.items_after(peer, place, limit=500):
        items += [i.as_json() for i in found]
        place = found[-1].position
    (folder / f"from-{side}.json").write_text(json.dumps({"held_through": peer.held_through, "items": items}))
    return f"{SIDES[side][0]}: {len(items)} mục chờ chuyển"


def receive(side: str, folder: Path, until: datetime) -> str:
    """Take in what the other side laid there, each paper some hours after it was sent, and answer what people answered."""
    peer = Peer.objects.get()
    came = json.loads((folder / f"from-{_other(side)}.json").read_text())
    items = [read_item(i) for i in came["items"]]
    by_moment: dict[datetime, list[Item]] = {}
    for item in items:
        claims = signing.claims_of(item.document)
        said = datetime.fromisoformat(str(claims.get("sent_at") or claims.get("at")))
        at = FIRST + EVERY * -((FIRST - said) // EVERY) + ON_THE_WAY
        by_moment.setdefault(min(at, until), []).append(item)
    for at in sorted(by_moment):
        intake.take_in(peer_id=peer.pk, items=by_moment[at], way="https", at=at)
    intake.confirmed(peer_id=peer.pk, held_through=came["held_through"], at=until)
    answered = _answer(until)
    react(at=until, limit=100_000)
    return f"{SIDES[side][0]}: nhận {len(items)} mục, trả lời {answered}"


def _answer(until: datetime) -> int:
    """Acknowledge and return as the made-up year says, for bodies that live here, at the moments it says."""
    if not Duty.objects.exists():
        return 0
    plans = {p.id: p for p in _plans()}
    waiting = Addressee.objects.filter(
        arrived_at__isnull=False, acknowledged_at__isnull=True, returned_at__isnull=True, role="to"
    ).select_related("dispatch", "organisation")
    answers: list[tuple[Any, str, datetime, str]] = []
    for a in waiting.filter(dispatch__sender__residence__peer__isnull=False):
        plan = plans.get(str(a.dispatch.uuid))
        if plan is None or a.arrived_at is None:
            continue
        at = plan.returned_at or plan.acknowledged_at
        if at is None:
            continue
        at = max(at, a.arrived_at + ON_THE_WAY)
        if at <= until:
            answers.append((a, "returned" if plan.returned_at else "acknowledged", at, plan.return_reason))
    return services.answer_many(answers=answers)


def stick(side: str, folder: Path, at: datetime) -> str:
    """Take in the bundles that lie on the stick for this node, then write one back."""
    told: list[str] = []
    for path in sorted(folder.glob("*.zip.age")):
        try:
            done = bundles.take(path=path, actor=None, at=at)
        except (bundles.BundleOfNobody, bundles.BundleForAnother, signing.NotOpened):
            continue  # the one that this node wrote itself
        told.append(f"{SIDES[side][0]}: nhập {path.name}: {done.items} mục, {done.fresh} mới")
    _answer(at)
    react(at=at, limit=100_000)
    peer = Peer.objects.get()
    for written in bundles.export(peer_id=peer.pk, folder=folder, encrypt=True, actor=None, at=at, empty=True):
        told.append(f"{SIDES[side][0]}: ghi {written.path.name}: {written.row.items} mục")
    return "\n".join(told)


def state(side: str) -> dict[str, Any]:
    """Return what this node holds of the exchange, so that two nodes can be compared: numbers and one digest."""
    return common_holdings(Peer.objects.get())
