"""Reading links: how each is, what waits, what is held or refused and why, which numbers are missing, where a paper is.

Links are shown as they are now, whatever day the pages look back to. A node administrator sees everything of a link but the
text of papers; others who read papers at an organisation that lives here see how the links are.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import Coalesce, Lead

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require, visible_organisation_ids
from hiepdong.journal import queries as journal
from hiepdong.journal.domain.trust import TrustState, trust_state
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.organisations.models import Organisation

from . import links, signing
from .domain.link_health import LinkFacts, LinkHealth, Standing, Wait, grouped, link_health, wait_on
from .domain.links import WARN_DAYS, ArrivalState, expiry_warning
from .domain.reasons import Reason, reason_of
from .domain.sharing import Narrowing
from .domain.why import Answers, Line, Place, Received, Step, Way, why, why_narrowed, why_received
from .models import (
    Addressee,
    Arrival,
    Dispatch,
    LinkIncident,
    Node,
    NodeKey,
    Parcel,
    Peer,
    PeerCheckpoint,
    Receipt,
    Residence,
    SigningKey,
)

SHOWN_PAIRS = 20  # of pairs with missing numbers, on the page of a link
SHOWN_NUMBERS = 30  # of missing numbers, of one pair
MOST_PAIRS = 200  # of pairs with missing numbers, that nodes tell each other


class NoSuchLink(DomainError):
    """No linked node, or more than one, is meant."""

    code = "exchange.no_such_link"
    message = gettext_noop("No node is meant by %(peer)s, or more than one.")
    hint = gettext_noop("Give its number, its name or the beginning of its id, as hiepdong link list shows them.")


# --- who may look ----------------------------------------------------------------------------------------------------------


def may_see(seat: Seat) -> bool:
    """Say whether a seat may see how the links are: who runs the node, and who reads papers of a body that lives here."""
    if seat.may(Action.MANAGE_NODE):
        return True
    return seat.may(Action.READ) and links.is_at_home(seat.organisation_id)


def require_view(seat: Seat) -> None:
    """Raise `NotFound` unless the seat may see how the links are."""
    if not may_see(seat):
        raise NotFound


# --- links -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link with the judgement of it."""

    peer: Peer
    health: LinkHealth
    oldest_waiting_at: datetime | None
    key_until: datetime | None  # when the first of the keys that count on it expires, if one soon does

    @property
    def is_open(self) -> bool:
        """Say whether something is expected of it."""
        return self.peer.state == Peer.State.LINKED


def _newest_keys() -> QuerySet[SigningKey]:
    """Return the key of each organisation that signs now: not revoked, and none after it."""
    later = SigningKey.objects.filter(organisation=OuterRef("organisation"), revoked_at__isnull=True)
    later = later.filter(Q(valid_from__gt=OuterRef("valid_from")) | Q(valid_from=OuterRef("valid_from"), pk__gt=OuterRef("pk")))
    return SigningKey.objects.filter(revoked_at__isnull=True).filter(~Exists(later))


def _expiring(at: datetime) -> dict[int | None, datetime]:
    """Return, per peer (None: of organisations here), when the first of its signing keys expires, if within the warnings."""
    soon = at + timedelta(days=max(WARN_DAYS))
    rows = _newest_keys().filter(organisation__residence__isnull=False, valid_until__lte=soon)
    first = rows.values("organisation__residence__peer").annotate(until=Min("valid_until"))
    found: dict[int | None, datetime] = {r["organisation__residence__peer"]: r["until"] for r in first}
    nodes = NodeKey.objects.filter(revoked_at__isnull=True, valid_until__lte=soon).values("peer")
    for row in nodes.annotate(until=Min("valid_until")):
        before = found.get(row["peer"])
        found[row["peer"]] = min(before, row["until"]) if before else row["until"]
    return found


def _peers() -> QuerySet[Peer]:
    """Return the links with the counts that their judgement needs, each a look-up in an index."""
    waiting = Parcel.objects.filter(peer=OuterRef("pk"), position__gt=OuterRef("confirmed_through")).order_by()
    oldest = waiting.order_by("position").values("made_at")[:1]
    contact = Coalesce(OuterRef("reached_at"), OuterRef("heard_at"), OuterRef("linked_at"))
    grown = waiting.filter(made_at__gt=contact).values("peer").annotate(n=Count("pk")).values("n")
    open_arrivals = Arrival.objects.filter(peer=OuterRef("pk")).order_by()
    held = open_arrivals.filter(state=ArrivalState.HELD).values("peer").annotate(n=Count("pk")).values("n")
    unseen = LinkIncident.objects.filter(peer=OuterRef("pk"), seen_at__isnull=True).order_by()
    return (
        Peer.objects.select_related("speaker", "via")
        .defer("invitation")
        .annotate(
            oldest_waiting_at=Subquery(oldest),
            grown=Coalesce(Subquery(grown), 0),
            held_count=Coalesce(Subquery(held), 0),
            incident_count=Coalesce(Subquery(unseen.values("peer").annotate(n=Count("pk")).values("n")), 0),
        )
    )


def _row(peer: Any, expiring: Mapping[int | None, datetime], at: datetime) -> LinkRow:
    until = min((u for u in (expiring.get(peer.pk), expiring.get(None)) if u is not None), default=None)
    facts = LinkFacts(
        state=peer.state,
        linked_at=peer.linked_at,
        heard_at=peer.heard_at,
        reached_at=peer.reached_at,
        sent_through=peer.sent_through,
        confirmed_through=peer.confirmed_through,
        announced_through=peer.announced_through,
        held_through=peer.held_through,
        oldest_waiting_at=peer.oldest_waiting_at,
        grown=peer.grown,
        held=peer.held_count,
        incidents=peer.incident_count,
        key_warning=expiry_warning(until, at),
        clock_ahead_s=peer.clock_ahead_s,
    )
    health = link_health(facts, at=at, quiet_hours=settings.HIEPDONG_QUIET_HOURS)
    return LinkRow(peer, health, peer.oldest_waiting_at, until)


_ORDER = {s: n for n, s in enumerate((Standing.DISTURBED, Standing.WATCH, Standing.MOVING, Standing.STILL, Standing.CLOSED))}


def all_links(*, at: datetime, state: str = "") -> list[LinkRow]:
    """Return the links with their judgement, disturbed ones first; for commands on the server, no gate."""
    expiring = _expiring(at)
    found = _peers().filter(state=state) if state else _peers()
    rows = [_row(p, expiring, at) for p in found.order_by("name", "pk")]
    return sorted(rows, key=lambda r: (r.peer.state == Peer.State.ENDED, _ORDER[r.health.standing]))


def links_for(seat: Seat, *, at: datetime, state: str = "") -> list[LinkRow]:
    """Return the links as `all_links`, for a seat that may see them."""
    require_view(seat)
    return all_links(at=at, state=state)


def disturbed_for(seat: Seat, *, at: datetime) -> list[LinkRow]:
    """Return open links that are quiet or disturbed, for the desk of who runs the node or signs; none for others."""
    if not (seat.may(Action.MANAGE_NODE) or seat.may(Action.SEND)) or not may_see(seat):
        return []
    rows = all_links(at=at)
    return [r for r in rows if r.health.standing == Standing.DISTURBED or (r.is_open and r.health.standing == Standing.WATCH)]


def quiet_peers(*, at: datetime) -> list[Peer]:
    """Return open links on which nothing was heard for as long as the node calls quiet; for `courier.note_silence`."""
    since = at - timedelta(hours=settings.HIEPDONG_QUIET_HOURS)
    found = Peer.objects.filter(state=Peer.State.LINKED)
    return list(found.annotate(last=Coalesce("heard_at", "linked_at")).filter(last__lte=since).order_by("pk"))


def link_for(seat: Seat, peer_id: int, *, at: datetime) -> LinkRow:
    """Return one link.

    Raises:
        NotFound: there is none, or the seat may not see it.
    """
    require_view(seat)
    return link_row(peer_id, at=at)


def link_row(peer_id: int, *, at: datetime) -> LinkRow:
    """Return one link by its number; for commands, no gate."""
    peer = _peers().filter(pk=peer_id).first()
    if peer is None:
        raise NotFound
    return _row(peer, _expiring(at), at)


def peer_by(text: str) -> Peer:
    """Return the peer that an administrator means by its number, its name or the beginning of its id.

    Raises:
        NoSuchLink: none or several.
    """
    wanted = text.strip()
    if wanted.isdigit() and len(wanted) < 10:
        found = list(Peer.objects.filter(pk=int(wanted)))
        if found:
            return found[0]
    rows = Peer.objects.only("pk", "name", "node_id")
    named = [p for p in rows if p.name == wanted or (len(wanted) >= 4 and str(p.node_id).startswith(wanted.lower()))]
    if len(named) != 1:
        raise NoSuchLink(peer=wanted[:80])
    return Peer.objects.get(pk=named[0].pk)


# --- what is on a link -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item that came and is held or refused: what it is by its own words, and why. No subject, no text."""

    arrival: Arrival
    reason: Reason
    sender: str  # name, or the key where it is not known here
    recipients: str
    number: str  # of the sender's sequence, "" where it is no dispatch
    fingerprint: str  # of a key that waits for a comparison

    @property
    def may_release(self) -> bool:
        """Say whether a person may let it pass: only what waits for something that a person can vouch for."""
        return self.arrival.state == ArrivalState.HELD


def arrivals_of(peer_id: int, *, state: str) -> QuerySet[Arrival]:
    """Return what is held, or refused, of a peer: held ones oldest first, refused ones newest first."""
    found = Arrival.objects.filter(peer=peer_id, state=state).select_related("peer")
    return found.order_by("id") if state == ArrivalState.HELD else found.order_by("-id")


def told(arrivals: Iterable[Arrival]) -> list[HeldItem]:
    """Return what the items are, as far as they can be read; who they name is asked once."""
    rows = list(arrivals)
    said = [_claims(row) for row in rows]
    keys: set[str] = set()
    for claims in said:
        keys |= {str(claims.get(k, "")) for k in ("sender", "organisation", "owner")}
        keys |= {str(r.get("organisation", "")) for r in _recipients(claims)}
    names = dict(Organisation.objects.filter(key__in=keys - {""}).values_list("key", "name"))
    return [_held_item(row, claims, names) for row, claims in zip(rows, said, strict=True)]


def _claims(row: Arrival) -> dict[str, Any]:
    try:
        return dict(signing.claims_of(bytes(row.document or b"")))
    except signing.BadSignature:
        return {}


def _recipients(claims: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = claims.get("recipients")
    return [r for r in found if isinstance(r, Mapping)] if isinstance(found, list) else []


def _held_item(row: Arrival, claims: Mapping[str, Any], names: Mapping[str, str]) -> HeldItem:
    def name(key: Any) -> str:
        return names.get(str(key), str(key)[:80])

    sender = next((name(claims[k]) for k in ("sender", "organisation", "owner") if claims.get(k)), "")
    recipients = _recipients(claims)
    return HeldItem(
        arrival=row,
        reason=reason_of(row.code),
        sender=sender,
        recipients="; ".join(name(r.get("organisation")) for r in recipients[:10]),
        number=", ".join(str(r.get("sequence", ""))[:12] for r in recipients[:10]),
        fingerprint=grouped(row.subject) if row.code == "exchange.key_needs_comparison" else "",
    )


@dataclass(frozen=True, slots=True)
class ShownIncident:
    """An incident with its meaning."""

    incident: LinkIncident
    reason: Reason


def incidents_of(peer_id: int | None = None) -> QuerySet[LinkIncident]:
    """Return the incidents of a link, or of all, those that nobody looked at first, the newest first."""
    found = LinkIncident.objects.select_related("peer")
    found = found if peer_id is None else found.filter(peer=peer_id)
    return found.order_by(F("seen_at").desc(nulls_first=True), "-at", "-id")


def explained(incidents: Iterable[LinkIncident]) -> list[ShownIncident]:
    """Return incidents with what they mean."""
    return [ShownIncident(i, reason_of(i.code)) for i in incidents]


def waiting_parcels(peer: Peer) -> QuerySet[Parcel]:
    """Return what waits to go out to a peer, in its order. No bytes."""
    found = Parcel.objects.filter(peer=peer, position__gt=peer.confirmed_through).order_by("position")
    return found.select_related("dispatch__sender", "receipt__addressee__organisation").defer(
        "document", "dispatch__signed", "receipt__signed"
    )


@dataclass(frozen=True, slots=True)
class MissingNumbers:
    """Numbers of a sender's sequence to a recipient that are not here."""

    sender: str
    recipient: str
    numbers: tuple[int, ...]  # the first of them
    count: int
    sender_key: str = ""
    recipient_key: str = ""


def missing_of(
    *,
    peer_id: int | None = None,
    organisation_ids: Collection[int] | None = None,
    most_pairs: int = SHOWN_PAIRS,
    behind: bool = False,
) -> tuple[list[MissingNumbers], int]:
    """Return which numbers are missing of papers from other nodes to organisations here, and how many pairs have gaps.

    A number may be missing because it is under way, is held, was refused, or was never given to us: the link page says which.
    Two queries, whatever the number of pairs.

    Args:
        peer_id: only of senders that live at this node; None: of all.
        organisation_ids: only to these recipients; None: to all who live here.
        behind: also of senders at nodes that are spoken to through this one.
    """
    rows = Addressee.objects.filter(organisation__residence__isnull=False, organisation__residence__peer__isnull=True)
    elsewhere = Residence.objects.filter(peer__isnull=False)
    if peer_id is not None:
        elsewhere = elsewhere.filter(Q(peer=peer_id) | Q(peer__via=peer_id) if behind else Q(peer=peer_id))
    rows = rows.filter(sender_id_copy__in=elsewhere.values("organisation"))
    if organisation_ids is not None:
        rows = rows.filter(organisation__in=organisation_ids)
    pairs = (
        rows.order_by()
        .values("sender_id_copy", "organisation")
        .annotate(n=Count("pk"), top=Max("sequence"))
        .filter(top__gt=F("n"))
        .order_by("sender_id_copy", "organisation")
    )
    found = list(pairs)
    wanted = found[:most_pairs]
    if not wanted:
        return [], 0
    which = Q()
    for one in wanted:
        which |= Q(sender_id_copy=one["sender_id_copy"], organisation=one["organisation"])
    pair = [F("sender_id_copy"), F("organisation")]
    before = Window(Lead("sequence", default=0), partition_by=pair, order_by=F("sequence").desc())
    stretches = (
        Addressee.objects.filter(which)
        .annotate(before=Coalesce(before, 0))
        .filter(before__lt=F("sequence") - 1)
        .values_list("sender_id_copy", "organisation", "before", "sequence", *_NAMES)
        .order_by("sender_id_copy", "organisation", "sequence")
    )
    missing: dict[tuple[int, int], list[int]] = defaultdict(list)
    names: dict[tuple[int, int], tuple[str, str, str, str]] = {}
    for sender, recipient, low, high, *named in stretches:
        names[sender, recipient] = (named[0], named[1], named[2], named[3])
        numbers = missing[sender, recipient]
        numbers += range(low + 1, min(high, low + 1 + SHOWN_NUMBERS - len(numbers)))
    counts = {(p["sender_id_copy"], p["organisation"]): p["top"] - p["n"] for p in wanted}
    shown = [MissingNumbers(*names[way][:2], tuple(numbers), counts[way], *names[way][2:]) for way, numbers in missing.items()]
    return shown, len(found)


_NAMES = ("dispatch__sender__name", "organisation__name", "dispatch__sender__key", "organisation__key")


def missing_as_said(peer: Peer) -> list[dict[str, Any]]:
    """Return what this node tells a peer that it misses (protocol, section 9): the first numbers of the first pairs."""
    found, _pairs = missing_of(peer_id=peer.pk, most_pairs=MOST_PAIRS, behind=True)
    return [{"sender": m.sender_key, "recipient": m.recipient_key, "sequences": list(m.numbers)} for m in found]


def read_missing(said: object) -> list[dict[str, Any]]:
    """Return what another node says that it misses, as far as it is such a list: no more than this node would say itself."""
    found = []
    for each in said if isinstance(said, list) else ():
        pair = [each.get(k) for k in ("sender", "recipient")] if isinstance(each, dict) else []
        sequences = each.get("sequences") if isinstance(each, dict) else None
        if isinstance(sequences, list) and all(
            isinstance(key, str) and 0 < len(key) <= 80 and key.isprintable() for key in pair
        ):
            numbers = [n for n in sequences if isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 31]
            found.append({"sender": pair[0], "recipient": pair[1], "sequences": numbers[:SHOWN_NUMBERS]})
        if len(found) == MOST_PAIRS:
            break
    return [each for each in found if each["sequences"]]


def missed_there(said: object, *, most_pairs: int = SHOWN_PAIRS) -> tuple[list[MissingNumbers], int]:
    """Return what another node says that it misses, by the names of the organisations, and in how many pairs.

    Numbers of which a receipt came since are left out. `said`: `missing` of a bundle.
    """
    pairs = read_missing(said)
    which = Q(pk__in=())
    for p in pairs:
        which |= Q(dispatch__sender__key=p["sender"], organisation__key=p["recipient"], sequence__in=p["sequences"])
    arrived = Addressee.objects.filter(which, arrived_at__isnull=False) if pairs else Addressee.objects.none()
    there = set(arrived.values_list("dispatch__sender__key", "organisation__key", "sequence"))
    names = dict(Organisation.objects.filter(key__in={p[k] for p in pairs for k in _ENDS}).values_list("key", "name"))
    found = []
    for p in pairs:
        sender, recipient = (p[k] for k in _ENDS)
        numbers = tuple(n for n in p["sequences"] if (sender, recipient, n) not in there)
        if numbers:
            shown = MissingNumbers(
                names.get(sender, sender), names.get(recipient, recipient), numbers, len(numbers), sender, recipient
            )
            found.append(shown)
    return found[:most_pairs], len(found)


_ENDS = ("sender", "recipient")


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key with its owner, and what its end asks for."""

    owner: str
    kid: str
    fingerprint: str
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None
    warning: int | None  # 30, 7, 1, 0 (expired); None: nothing to do
    is_newest: bool
    organisation: str = ""  # key of the organisation, "" for a node's own


def _shown(owner: str, key: Any, at: datetime, newest: bool, organisation: str = "") -> ShownKey:
    warning = expiry_warning(key.valid_until, at) if newest and key.revoked_at is None else None
    return ShownKey(
        owner, key.kid, grouped(key.kid), key.valid_from, key.valid_until, key.revoked_at, warning, newest, organisation
    )


def node_keys(*, peer_id: int | None, at: datetime) -> list[ShownKey]:
    """Return the keys of a node itself (None: of this one), the newest first."""
    found = list(NodeKey.objects.filter(peer=peer_id).order_by("-valid_from", "-id"))
    newest = next((k.pk for k in found if k.revoked_at is None), None)
    return [_shown("", k, at, k.pk == newest) for k in found]


def organisation_keys(*, peer_id: int | None, at: datetime, newest_only: bool = False) -> list[ShownKey]:
    """Return the signing keys of organisations that live at a peer (None: here), by name, the newest first."""
    newest = set(_newest_keys().filter(organisation__residence__peer=peer_id).values_list("pk", flat=True))
    found = SigningKey.objects.filter(organisation__residence__isnull=False, organisation__residence__peer=peer_id)
    if newest_only:
        found = found.filter(pk__in=newest)
    rows = found.select_related("organisation").order_by("organisation__name_sort", "organisation", "-valid_from", "-id")
    return [_shown(k.organisation.name, k, at, k.pk in newest, k.organisation.key) for k in rows]


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the time of this node's journal is vouched for by others."""

    state: TrustState
    witnessed_at: datetime | None
    oldest_at: datetime | None  # of the oldest seal that nobody vouches for
    grace_days: int


def journal_trust(*, at: datetime) -> Trust:
    """Return the state of trust in this node's journal: which seals a linked node or an authority vouches for."""
    ours = PeerCheckpoint.objects.filter(ours=True, witnessed_at__isnull=False)
    best = ours.aggregate(seal=Max("seal"), at=Max("witnessed_at"))
    stamp, oldest = journal.latest_stamp(), journal.oldest_unwitnessed_at(witnessed=best["seal"] or 0)
    grace = timedelta(days=settings.HIEPDONG_WITNESS_GRACE_DAYS)
    state = trust_state(
        last_stamp_at=stamp.made_at if stamp else None,
        last_witness_at=best["at"],
        oldest_unwitnessed_at=oldest,
        grace=grace,
        at=at,
    )
    return Trust(state, best["at"], oldest, grace.days)


def this_node_if_any(seat: Seat) -> Node | None:
    """Return this node's identity, or None while it stands alone."""
    require_view(seat)
    return links.node_or_none()


def pair_number_of(seat: Seat, peer_id: int, *, at: datetime) -> tuple[str, links.Invitation]:
    """Return the number to compare with the other administrator, and what the invitation says."""
    require(seat, Action.MANAGE_NODE)
    invitation = links.read_invitation(bytes(links.peer_for(peer_id).invitation))
    return links.number_with(invitation.kid, at), invitation


# --- where a paper is ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a paper is or is not at somebody: for whom, the steps, whether the question still stands."""

    name: str
    steps: tuple[Step, ...]
    node: str = ""  # where the recipient lives, if elsewhere
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Everything that the page of a paper says about its way between nodes; empty on a node that stands alone."""

    answers: tuple[Answer, ...] = ()
    received: tuple[Step, ...] = ()
    narrowed: tuple[Step, ...] = ()
    elsewhere: Mapping[int, str] | None = None  # organisation -> name of the node where it lives

    @property
    def is_open(self) -> bool:
        """Say whether somebody has not got it yet."""
        return any(a.is_open for a in self.answers)

    @property
    def has_gap(self) -> bool:
        """Say whether other papers of the same sequence are missing here."""
        return any(s.code == "gap" for s in self.received)


def _line(peer: Peer) -> Line:
    return Line(
        name=peer.name,
        state=peer.state,
        has_address=bool(peer.address),
        confirmed_through=peer.confirmed_through,
        reached_at=peer.reached_at,
        heard_at=peer.heard_at,
        failures=peer.failures,
        last_error=peer.last_error,
        next_try_at=peer.next_try_at,
    )


def whereabouts(seat: Seat, dispatch: Dispatch) -> Whereabouts:
    """Return why a paper is or is not at each recipient, as `queries.dispatch_for` read it (which is the gate).

    A number of queries that does not grow with the recipients; two where all live here.
    """
    node = links.node_or_none()
    if node is None:
        return Whereabouts()
    addressees = list(dispatch.addressees.all())
    ids = {a.organisation_id for a in addressees} | {dispatch.sender_id}
    homes: dict[int, Peer | None] = {
        r.organisation_id: r.peer
        for r in Residence.objects.filter(organisation__in=ids)
        .select_related("peer", "peer__via")
        .defer("peer__invitation", "peer__via__invitation")
    }
    elsewhere = {pk: peer.name for pk, peer in homes.items() if peer is not None}
    sender_at = homes.get(dispatch.sender_id)
    if sender_at is None:
        narrowed = _narrowed(dispatch)
        if not elsewhere and not narrowed and all(a.organisation_id in homes for a in addressees):
            return Whereabouts(elsewhere={})
        places = {p.peer_id: _place(p) for p in Parcel.objects.filter(dispatch=dispatch).order_by("id").defer("document")}
        recovering = node.state == Node.State.RECOVERING
        answers = tuple(
            _answer(dispatch, together, homes, places, recovering=recovering) for together in _alike(addressees, homes)
        )
        return Whereabouts(answers=answers, narrowed=narrowed, elsewhere=elsewhere)
    mine = visible_organisation_ids(seat) & {pk for pk, peer in homes.items() if peer is None}
    return Whereabouts(received=_received(dispatch, addressees, sender_at, mine), elsewhere=elsewhere)


def _place(parcel: Parcel) -> Place:
    return Place(parcel.position, parcel.made_at, parcel.outcome)


def _answers_of(a: Addressee) -> Answers:
    return Answers(a.arrived_at, a.acknowledged_at, a.returned_at, a.in_work_at, a.done_at, a.return_reason)


def _alike(addressees: Sequence[Addressee], homes: Mapping[int, Peer | None]) -> list[list[Addressee]]:
    """Return the recipients in groups with one way: those at one node from whom no receipt has come, and each other alone."""
    groups: dict[tuple[int, int], list[Addressee]] = {}
    for a in addressees:
        peer = homes.get(a.organisation_id)
        alone = peer is None or _answers_of(a) != Answers()
        groups.setdefault((0, a.pk) if alone or peer is None else (peer.pk, 0), []).append(a)
    return list(groups.values())


def _answer(
    dispatch: Dispatch,
    together: Sequence[Addressee],
    homes: Mapping[int, Peer | None],
    places: Mapping[int, Place],
    *,
    recovering: bool,
) -> Answer:
    a = together[0]
    name = ", ".join(other.organisation.name for other in together)
    peer = homes.get(a.organisation_id)
    route = (peer.via or peer) if peer is not None else None
    way = Way(
        name=name,
        sent_at=dispatch.sent_at,
        answers=_answers_of(a),
        is_here=peer is None and a.organisation_id in homes,
        node=peer.name if peer is not None else "",
        line=_line(route) if route is not None else None,
        place=places.get(route.pk) if route is not None else None,
        recovering=recovering,
    )
    steps = why(way)
    return Answer(name, steps, way.node, is_open=a.arrived_at is None)


def _narrowed(dispatch: Dispatch) -> tuple[Step, ...]:
    """Return who was left out when it was sent, from the journal: nothing in the paper itself says so."""
    sent = journal.entries_about(dispatch).filter(code="exchange.dispatch.sent").values_list("facts", flat=True).first()
    left_out = sent.get("narrowed") if isinstance(sent, dict) else None
    if not isinstance(left_out, dict):
        return ()
    names = dict(Organisation.objects.filter(key__in=left_out).values_list("key", "name"))
    known = {r.value for r in Narrowing}
    return tuple(why_narrowed(names.get(k) or k, Narrowing(reason)) for k, reason in left_out.items() if reason in known)


def _received(dispatch: Dispatch, addressees: Sequence[Addressee], peer: Peer, mine: Collection[int]) -> tuple[Step, ...]:
    own = [a for a in addressees if a.organisation_id in mine and a.arrived_at is not None]
    came = Arrival.objects.filter(digest=dispatch.digest).order_by("id").values_list("way", flat=True).first()
    missing = numbers_missing(dispatch.sender_id, [a.organisation_id for a in own])
    receipts = Receipt.objects.filter(addressee__in=[a.pk for a in own]).values_list("pk", "code")
    codes = dict(receipts)
    parcels = Parcel.objects.filter(receipt__in=codes).order_by("position").defer("document")
    back = [(codes[p.receipt_id], _place(p)) for p in parcels if p.receipt_id is not None]
    route = peer.via or peer
    return why_received(
        Received(
            sender=dispatch.sender.name,
            node=peer.name,
            line=_line(route),
            way=came or "",
            arrived_at=min((a.arrived_at for a in own if a.arrived_at), default=None),
            missing=missing,
            receipts=back,
        )
    )


def numbers_missing(sender_id: int, organisation_ids: Sequence[int]) -> list[int]:
    """Return the numbers of a sender's sequences to some recipients that are not here, at most 50."""
    rows = Addressee.objects.filter(sender_id_copy=sender_id, organisation__in=organisation_ids)
    before = Window(Lead("sequence", default=0), partition_by=[F("organisation")], order_by=F("sequence").desc())
    stretches = (
        rows.annotate(before=Coalesce(before, 0))
        .filter(before__lt=F("sequence") - 1)
        .order_by("sequence")
        .values_list("before", "sequence")[:50]
    )
    missing: set[int] = set()
    for low, high in stretches:
        missing |= set(range(low + 1, min(high, low + 51)))
    return sorted(missing)[:50]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """That a body lives at another node, or at none, and whether what is written to it now will wait."""

    node: str  # name of its node; "" where none is known
    wait: Wait
    silent_hours: int


def elsewhere(organisation_ids: Iterable[int], *, at: datetime) -> dict[int, Elsewhere]:
    """Return, for those of the organisations that do not live here, where they do: to mark them while one writes to them.

    Two queries, however many they are. On a node that stands alone all live here.
    """
    ids = set(organisation_ids)
    if links.node_or_none() is None:
        return {}
    found = dict.fromkeys(ids, Elsewhere("", Wait.NOWHERE, 0))
    rows = Residence.objects.filter(organisation__in=ids).select_related("peer__via")
    for row in rows.defer("peer__invitation", "peer__via__invitation"):
        if row.peer is None:
            del found[row.organisation_id]
            continue
        spoken_to = row.peer.via or row.peer  # behind a relay, the line is the relay's
        state = str(row.peer.state if row.peer.state != Peer.State.LINKED else spoken_to.state)
        heard = spoken_to.heard_at or spoken_to.linked_at
        wait, silent = wait_on(state, heard, at=at, quiet_hours=settings.HIEPDONG_QUIET_HOURS)
        found[row.organisation_id] = Elsewhere(row.peer.name, wait, silent)
    return found
