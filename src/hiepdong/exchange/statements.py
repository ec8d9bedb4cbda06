"""Monthly statements of account between two organisations: made by each side from its own rows, compared, signed by both.

Both make one when they do not agree; then both stand, and every difference is listed. The first side, by its key, proposes by
itself some days after the month; the other signs it if it says what that side knows too, or makes its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require, visible_organisation_ids
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.organisations.models import Organisation

from . import account_rows, joint, links
from .domain.account import MOST_LISTED, Difference, bounds_of, differences, is_nil, month_before
from .domain.joint import account_name
from .models import Addressee, Dispatch, JointDocument, Node, Residence

PROPOSED_AFTER = timedelta(days=2)  # after the month: receipts of its last day have come by then, over a line
OTHER_SIDE_AFTER = timedelta(days=9)  # the second side makes one if none has come: a stick takes longer


class MonthNotOver(DomainError):
    """A month is accounted for when it is over."""

    code = "exchange.month_not_over"
    message = gettext_noop("The month %(month)s is not over yet.")
    hint = gettext_noop("Make the statement after its last day; papers of that day may still be on their way.")


class OneOrganisation(DomainError):
    """A statement is between two."""

    code = "exchange.one_organisation"
    message = gettext_noop("A statement of account is between two organisations.")
    hint = gettext_noop("Choose the other one.")


@transaction.atomic
def make(*, organisation: Organisation, other: Organisation, month: str, actor: Seat | None, at: datetime) -> JointDocument:
    """Make the statement of an organisation at home here, from this node's rows; while nothing changed it is the one before.

    An earlier one that nobody signed yet never left this node and gives way to it.

    Raises:
        NoMonth, MonthNotOver, OneOrganisation, AccountTooLong. NotAtHome: the other node makes its own. NotAllowed.
    """
    if actor is not None:
        require(actor, Action.DRAFT, organisation_id=organisation.pk)
    if organisation.pk == other.pk:
        raise OneOrganisation
    if not links.is_at_home(organisation.pk):
        raise links.NotAtHome(name=organisation.name)
    if at < bounds_of(month)[1]:
        raise MonthNotOver(month=month)
    list(Organisation.objects.select_for_update(no_key=True).filter(pk=organisation.pk).values_list("pk"))  # two at once wait
    for before in of_pair(organisation, other, month):
        claims = joint.terms_of(before).claims
        if claims["made_by"] != organisation.key:
            continue
        if not account_rows.differences_here(claims):
            fresh = account_rows.statement_of(a=organisation, b=other, month=month, made_by=organisation.key, as_of=at)
            if not differences(fresh, claims):
                return before
        if not before.signatures:
            before.delete()
    payload = account_rows.statement_of(a=organisation, b=other, month=month, made_by=organisation.key, as_of=at)
    return joint.propose(kind="account", payload=payload, actor=actor, at=at)


def of_pair(one: Organisation, other: Organisation, month: str) -> list[JointDocument]:
    """Return the statements of a pair and month, newest first; for services, no gate."""
    found = JointDocument.objects.filter(kind="account", name=account_name(month, one.key, other.key))
    return list(found.order_by("-first_at", "-id"))


def make_due(*, at: datetime) -> list[JointDocument]:
    """Make the statements of last month that are due: for pairs on two nodes that exchanged papers of people in it.

    The first of the two keys proposes two days after the month, the other side after nine, if nothing has come. Service
    papers alone make no statement due, or each statement would be the cause of the next. A restored node waits.

    Raises:
        DomainError: of the first pair for which none could be made; those of the others were made.
    """
    node = Node.objects.first()
    if node is None or node.state != Node.State.NORMAL:
        return []
    month = month_before(at)
    _first, after = bounds_of(month)
    if at < after + PROPOSED_AFTER:
        return []
    made: list[JointDocument] = []
    failed: list[DomainError] = []
    for here, there in _pairs_abroad(month):
        first = here.key < there.key
        if not first and at < after + OTHER_SIDE_AFTER:
            continue
        before = of_pair(here, there, month)
        if any(d.signatures or joint.terms_of(d).claims["made_by"] != here.key for d in before):
            continue  # somebody has seen it: what is made anew from now on, a person makes
        try:
            document = make(organisation=here, other=there, month=month, actor=None, at=at)
        except DomainError as error:
            failed.append(error)
            continue
        made += [document] if document not in before else []
    if failed:
        raise failed[0]
    return made


def _pairs_abroad(month: str) -> list[tuple[Organisation, Organisation]]:
    first, after = bounds_of(month)
    home = set(Residence.objects.filter(peer__isnull=True).values_list("organisation", flat=True))
    abroad = set(Residence.objects.filter(peer__isnull=False).values_list("organisation", flat=True))
    rows = Addressee.objects.filter(sent_at__gte=first, sent_at__lt=after, dispatch__register="out")
    ways = rows.values_list("sender_id_copy", "organisation_id").distinct()
    pairs = {(a, b) if a in home else (b, a) for a, b in ways if (a in home and b in abroad) or (b in home and a in abroad)}
    bodies = Organisation.objects.in_bulk({i for pair in pairs for i in pair})
    return sorted(((bodies[a], bodies[b]) for a, b in pairs), key=lambda p: (p[0].key, p[1].key))


# --- reading ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """One statement as a page shows it."""

    document: JointDocument
    payload: dict[str, Any]
    maker: Organisation | None
    made_at: datetime
    signatories: list[joint.Signatory]
    differences: list[Difference]  # from what this node knows, as of its moment
    nil: bool
    current: bool  # the newest of its maker

    @property
    def state(self) -> str:
        """complete (both signed), differs, or waits."""
        return "complete" if self.document.complete_at else "differs" if self.differences else "waits"


@dataclass(frozen=True, slots=True)
class Account:
    """A pair and a month: its statements, newest first, and how those of the two sides differ from each other."""

    month: str
    a: Organisation
    b: Organisation
    statements: list[Shown]
    between: list[Difference]  # the newest of `a` against the newest of `b`, if both made one

    @property
    def names(self) -> dict[str, str]:
        """The names of the two by their keys."""
        return {o.key: o.name for o in (self.a, self.b)}

    @property
    def state(self) -> str:
        """complete, differs, waits, or none."""
        current = [s for s in self.statements if s.current]
        if any(s.state == "complete" for s in current) and not self.between:
            return "complete"
        if self.between or any(s.differences for s in current):
            return "differs"
        return "waits" if current else "none"


def shown(document: JointDocument, *, current: bool = True) -> Shown:
    """Return a statement with its signatures and with its differences from what this node knows."""
    payload = dict(joint.terms_of(document).claims)
    return Shown(
        document=document,
        payload=payload,
        maker=Organisation.objects.filter(key=payload["made_by"]).first(),
        made_at=datetime.fromisoformat(payload["at"]),
        signatories=joint.signatories(document),
        differences=account_rows.differences_here(payload),
        nil=is_nil(payload),
        current=current,
    )


def account_for(seat: Seat, month: str, one: str, other: str) -> Account:
    """Return the account of a pair and month.

    Raises:
        NotFound: an organisation is not known, or neither is visible to the seat. NoMonth.
    """
    bounds_of(month)
    bodies = {o.key: o for o in Organisation.objects.filter(key__in=[one, other])}
    if len(bodies) < 2 or not {o.pk for o in bodies.values()} & visible_organisation_ids(seat):
        raise NotFound
    return account_of(bodies[min(one, other)], bodies[max(one, other)], month)


def account_of(a: Organisation, b: Organisation, month: str) -> Account:
    """Return the account of a pair and month; for services and commands, no gate."""
    seen: set[str] = set()
    statements = []
    for document in of_pair(a, b, month):
        maker = str(joint.terms_of(document).claims["made_by"])
        statements.append(shown(document, current=maker not in seen))
        seen.add(maker)
    newest = {str(s.payload["made_by"]): s.payload for s in statements if s.current}
    between = differences(newest[a.key], newest[b.key]) if len(newest) == 2 else []
    return Account(month, a, b, statements, between)


def statement_for(seat: Seat, digest: str) -> tuple[Account, Shown]:
    """Return one statement with its pair and month.

    Raises:
        NotFound: there is none, or neither side is visible to the seat.
    """
    document = joint.joint_for(seat, digest)
    if document.kind != "account":
        raise NotFound
    account = account_for(seat, *document.name.split("/"))
    return account, next(s for s in account.statements if s.document.pk == document.pk)


def may_sign(seat: Seat, statement: Shown) -> bool:
    """Say whether the seat may sign it now: a signer of a side at home here that has not signed, and nothing differs."""
    mine = next((s for s in statement.signatories if s.key == seat.organisation.key), None)
    return seat.may(Action.SEND) and mine is not None and mine.at_home and mine.at is None and not statement.differences


def papers_of(account: Account, payload: dict[str, Any]) -> dict[str, Dispatch]:
    """Return the papers that a statement lists, as far as they are here, by digest. The caller has passed the gate."""
    ids = {o.key: o.pk for o in (account.a, account.b)}
    found: dict[str, Dispatch] = {}
    for way in payload["sent"]:
        rows = Addressee.objects.filter(
            sender_id_copy=ids[way["from"]],
            organisation=ids[way["to"]],
            sequence__gte=way["first"],
            sequence__lte=way["last"],
        ).select_related("dispatch")
        rows = rows.only("dispatch__uuid", "dispatch__digest", "dispatch__notation", "dispatch__subject")
        found |= {a.dispatch.digest: a.dispatch for a in rows[: 2 * MOST_LISTED]}
    return found


def accounts_for(seat: Seat, *, month: str = "", other: str = "", limit: int = 60) -> list[Account]:
    """Return the accounts of which a side is visible to the seat, the newest month first, by the names of the pair."""
    ids = visible_organisation_ids(seat)
    visible = {o.key for o in Organisation.objects.filter(pk__in=ids)}
    rows = JointDocument.objects.filter(kind="account")
    rows = rows.filter(name__startswith=f"{month}/") if month else rows
    named = []
    for name in rows.order_by("-name").values_list("name", flat=True).distinct():
        when, a, b = name.split("/")
        if {a, b} & visible and (not other or other in {a, b}):
            named.append((when, a, b))
        if len(named) == limit:
            break
    bodies = {o.key: o for o in Organisation.objects.filter(key__in={k for _, a, b in named for k in (a, b)})}
    found = [account_of(bodies[a], bodies[b], when) for when, a, b in named if a in bodies and b in bodies]
    return sorted(found, key=lambda x: (-int(x.month.replace("-", "")), x.a.name_sort, x.b.name_sort))


def partners_of(organisation_id: int) -> list[Organisation]:
    """Return with whom an organisation ever exchanged papers, by name: those a statement can be made with."""
    ids = set(Dispatch.objects.filter(sender=organisation_id).values_list("addressees__organisation", flat=True).distinct())
    ids |= set(Addressee.objects.filter(organisation=organisation_id).values_list("sender_id_copy", flat=True).distinct())
    return list(Organisation.objects.filter(pk__in=ids - {None, organisation_id}).order_by("name_sort"))


def months_of(accounts: Iterable[Account]) -> list[str]:
    """Return the months of accounts, newest first."""
    return sorted({a.month for a in accounts}, reverse=True)
