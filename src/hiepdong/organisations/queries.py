"""Reading organisations. Organisations and units are public to everyone signed in."""

from collections.abc import Collection, Iterable
from datetime import date

from django.db.models import Q, QuerySet

from hiepdong.kernel.errors import NotFound
from hiepdong.kernel.text import fold
from hiepdong.territories.queries import holding_on

from .models import Organisation, OrganisationSuccession, Reorganisation, Responsibility, Superior


def organisation_by_key(key: str) -> Organisation:
    """Return the organisation with that key.

    Raises:
        NotFound: there is none.
    """
    found = Organisation.objects.filter(key=key).first()
    if found is None:
        raise NotFound
    return found


def organisations_by_keys(keys: Iterable[str]) -> dict[str, Organisation]:
    """Return the organisations that exist among the keys."""
    return {o.key: o for o in Organisation.objects.filter(key__in=set(keys))}


def organisations_by_ids(ids: Iterable[int]) -> dict[int, Organisation]:
    """Return the organisations that exist among the ids."""
    return Organisation.objects.in_bulk(set(ids))


def subtree_ids(organisation_id: int) -> frozenset[int]:
    """Return the organisation and every body that ever stood below it, by dated superiors."""
    children: dict[int, list[int]] = {}
    for child, parent in Superior.objects.values_list("organisation_id", "superior_id"):
        children.setdefault(parent, []).append(child)
    found = {organisation_id}
    todo = [organisation_id]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return frozenset(found)


def members(*, kinds: Collection[str] = (), on: date) -> list[Organisation]:
    """Return the bodies of those kinds (all kinds when empty) that exist on the local day, in dictionary order."""
    found = Organisation.objects.filter(holding_on(on))
    if kinds:
        found = found.filter(kind__in=set(kinds))
    return list(found.order_by("name_sort", "id"))


def same_territory_pairs(debtor_ids: Collection[int], creditor_ids: Collection[int], on: date) -> set[tuple[int, int]]:
    """Return (debtor, creditor) whose territories of responsibility meet on the day: equal, or one inside the other.

    Two queries, whatever the number of bodies.
    """
    rows = Responsibility.objects.filter(holding_on(on), organisation__in={*debtor_ids, *creditor_ids}).values_list(
        "organisation_id", "unit_id", "unit__parent_id", "unit__parent__parent_id"
    )
    chains: dict[int, list[tuple[int, ...]]] = {}
    for organisation, *units in rows:
        chains.setdefault(organisation, []).append(tuple(u for u in units if u))
    by_unit: dict[int, set[int]] = {}
    wanted = set(creditor_ids)
    for organisation, lines in chains.items():
        if organisation in wanted:
            for line in lines:
                by_unit.setdefault(line[0], set()).add(organisation)
    pairs = set()
    for debtor in set(debtor_ids):
        for line in chains.get(debtor, ()):
            for unit in line:  # the creditor's unit is the debtor's or holds it
                pairs |= {(debtor, c) for c in by_unit.get(unit, ())}
    own: dict[int, set[int]] = {}
    for debtor in set(debtor_ids):
        for line in chains.get(debtor, ()):
            own.setdefault(line[0], set()).add(debtor)
    for creditor in wanted:
        for line in chains.get(creditor, ()):
            for unit in line[1:]:  # the debtor's unit holds the creditor's
                pairs |= {(d, creditor) for d in own.get(unit, ())}
    return {(d, c) for d, c in pairs if d != c}


def superior_pairs(ids: Collection[int], on: date) -> set[tuple[int, int]]:
    """Return (organisation, superior) for the organisations, as they stood on the day."""
    found = Superior.objects.filter(holding_on(on), organisation__in=set(ids))
    return set(found.values_list("organisation_id", "superior_id"))


def organisations_on(on: date, *, kind: str = "", search: str = "") -> QuerySet[Organisation]:
    """Return the bodies as they stood on the day, in dictionary order; the search knows no marks."""
    found = Organisation.objects.filter(holding_on(on))
    if kind:
        found = found.filter(kind=kind)
    if search:
        found = found.filter(Q(name_folded__contains=fold(search)) | Q(key__contains=search.strip().lower()))
    return found.order_by("name_sort", "id")


def search_organisations(text: str, *, limit: int = 20) -> list[Organisation]:
    """Return bodies of any time whose name holds the text, without marks."""
    return list(Organisation.objects.filter(name_folded__contains=fold(text)).order_by("name_sort", "id")[:limit])


def ancestor_ids(organisation_id: int) -> frozenset[int]:
    """Return the organisation and every body that ever stood above it."""
    above: dict[int, list[int]] = {}
    for child, parent in Superior.objects.values_list("organisation_id", "superior_id"):
        above.setdefault(child, []).append(parent)
    found, todo = {organisation_id}, [organisation_id]
    while todo:
        for parent in above.get(todo.pop(), ()):
            if parent not in found:
                found.add(parent)
                todo.append(parent)
    return frozenset(found)


def any_organisation() -> bool:
    """Say whether this node knows any organisation yet."""
    return Organisation.objects.exists()


def kinds_in_use() -> list[str]:
    """Return the kinds of which there are organisations."""
    return sorted(set(Organisation.objects.values_list("kind", flat=True)))


def life_of(organisation: Organisation) -> dict[str, object]:
    """Return everything dated about an organisation: superiors, subordinates, territory, predecessors, successors."""
    return {
        "organisation": organisation,
        "superiors": list(organisation.superiors.select_related("superior").order_by("valid_from")),
        "subordinates": list(
            organisation.subordinates.select_related("organisation").order_by("organisation__name_sort", "valid_from")
        ),
        "territory": list(
            organisation.responsibilities.select_related("unit__parent").order_by("unit__name_sort", "valid_from")
        ),
        "successors": list(organisation.successions.select_related("successor").order_by("effective_on")),
        "predecessors": list(organisation.predecessions.select_related("predecessor").order_by("effective_on")),
    }


def heirs_today(organisation: Organisation, on: date) -> list[Organisation]:
    """Return the bodies that carry the work of an ended one on the day, following successions; itself while it holds."""
    found: dict[int, Organisation] = {}
    seen, todo = {organisation.pk}, [organisation]
    while todo:
        body = todo.pop()
        if body.valid_from <= on and (body.valid_until is None or on < body.valid_until):
            found[body.pk] = body
            continue
        links = OrganisationSuccession.objects.filter(predecessor=body, effective_on__lte=on).select_related("successor")
        for link in links:
            if link.successor_id not in seen:
                seen.add(link.successor_id)
                todo.append(link.successor)
    return sorted(found.values(), key=lambda o: o.name_sort)


def reorganisations() -> QuerySet[Reorganisation]:
    """Return the reorganisations that were loaded, the latest first."""
    return Reorganisation.objects.order_by("-effective_on", "key")


def reorganisation_for(key: str) -> Reorganisation:
    """Return one reorganisation with its report.

    Raises:
        NotFound: there is none.
    """
    found = Reorganisation.objects.filter(key=key).first()
    if found is None:
        raise NotFound
    return found
