"""Reading units: as they were on a day, and what became of them. Units are public to everyone signed in."""

from collections.abc import Iterable, Mapping
from datetime import date

from django.db.models import Prefetch, Q, QuerySet

from hiepdong.kernel.errors import NotFound
from hiepdong.kernel.text import fold

from .models import Succession, Unit, UnitFlag


def holding_on(on: date, prefix: str = "") -> Q:
    """Return the condition that a dated row holds on the local day."""
    return Q(**{f"{prefix}valid_from__lte": on}) & (
        Q(**{f"{prefix}valid_until__isnull": True}) | Q(**{f"{prefix}valid_until__gt": on})
    )


def units_on(on: date, *, level: str = "", parent: Unit | None = None, search: str = "", flag: str = "") -> QuerySet[Unit]:
    """Return the units as they stood on the local day, in dictionary order. The search knows no marks."""
    found = Unit.objects.filter(holding_on(on)).select_related("parent", "parent__parent")
    found = found.prefetch_related(Prefetch("flags", UnitFlag.objects.filter(holding_on(on)), to_attr="flags_now"))
    if level:
        found = found.filter(level=level)
    if parent is not None:
        found = found.filter(Q(parent=parent) | Q(parent__parent=parent))
    if search:
        found = found.filter(Q(name_folded__contains=fold(search)) | Q(code=search.strip()))
    if flag:
        found = found.filter(Q(flags__flag=flag) & holding_on(on, "flags__")).distinct()
    return found.order_by("name_sort", "code")


def unit_for(code: str, level: str, on: date) -> Unit:
    """Return the unit that carried the code at that level on the day.

    Raises:
        NotFound: no unit did.
    """
    found = Unit.objects.filter(holding_on(on), code=code, level=level).select_related("parent", "parent__parent").first()
    if found is None:
        raise NotFound
    return found


def unit_by_id(pk: int) -> Unit:
    """Return one row by its number.

    Raises:
        NotFound: there is none.
    """
    found = Unit.objects.filter(pk=pk).select_related("parent", "parent__parent").first()
    if found is None:
        raise NotFound
    return found


def units_by_code(codes: Iterable[str], on: date) -> dict[tuple[str, str], Unit]:
    """Return units by (level, code) as they stood on the day, in one query."""
    return {(u.level, u.code): u for u in Unit.objects.filter(holding_on(on), code__in=set(codes))}


def heirs_of(unit: Unit) -> list[Succession]:
    """Return what the unit went into, with share and act."""
    return list(unit.successions.select_related("successor", "successor__parent").order_by("successor__name_sort"))


def forebears_of(unit: Unit) -> list[Succession]:
    """Return what the unit was made of, with share and act."""
    return list(unit.predecessions.select_related("predecessor", "predecessor__parent").order_by("predecessor__name_sort"))


def in_units_of(unit_ids: Iterable[int], on: date) -> set[int]:
    """Return the ids of the units that stand in place of the given ones on the day, following successions both ways.

    A district that was dissolved stands today for the communes its communes went into.
    """
    ids = set(unit_ids)
    holding = set(Unit.objects.filter(holding_on(on), pk__in=ids).values_list("pk", flat=True))
    todo, seen = ids - holding, set(ids)
    while todo:
        forward = Succession.objects.filter(predecessor__in=todo, effective_on__lte=on).values_list("successor", flat=True)
        back = Succession.objects.filter(successor__in=todo, effective_on__gt=on).values_list("predecessor", flat=True)
        below = Unit.objects.filter(parent__in=todo, successions__isnull=False).values_list("pk", flat=True)
        step = ({*forward, *back} or {*below}) - seen
        seen |= step
        now = set(Unit.objects.filter(holding_on(on), pk__in=step).values_list("pk", flat=True))
        holding |= now
        todo = step - now
    return holding


def children_of(unit: Unit) -> list[Unit]:
    """Return the units that belong to the unit, in dictionary order."""
    return list(unit.children.order_by("name_sort", "valid_from"))


def flags_of(unit: Unit) -> list[UnitFlag]:
    """Return the dated flags of the unit."""
    return list(unit.flags.order_by("flag", "valid_from"))


def units_in(ids: Iterable[int]) -> list[Unit]:
    """Return units by their numbers, in dictionary order."""
    return list(Unit.objects.filter(pk__in=set(ids)).select_related("parent").order_by("name_sort"))


def flags_on(days: Mapping[int, date]) -> dict[int, list[str]]:
    """Return the flags of units (by id), each as they stood on its day."""
    found: dict[int, list[str]] = {}
    for flag in UnitFlag.objects.filter(unit__in=days).order_by("flag"):
        on = days[flag.unit_id]
        if flag.valid_from <= on and (flag.valid_until is None or on < flag.valid_until):
            found.setdefault(flag.unit_id, []).append(flag.flag)
    return found
