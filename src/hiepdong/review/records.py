"""Gathers the records of a year and computes the facts of its review. Reads only; the number of queries is constant."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hiepdong.documents.domain.notation import is_party_body
from hiepdong.duties import queries as duties
from hiepdong.duties.domain.periods import Period, family_named, period_labelled, previous_period
from hiepdong.duties.domain.punctuality import Counts
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.regulations import queries as regulations
from hiepdong.regulations.models import Instrument
from hiepdong.reporting import queries as reporting

from .domain.comparison import Known, compare
from .domain.findings import Line, Quiet, Thresholds, Trouble, Unanswered, clause_order, find
from .domain.report import FORMAT


class NoYear(DomainError):
    """The regulation was not in force in that year, or its year family does not know it."""

    code = "review.no_year"
    message = gettext_noop("The regulation %(instrument)s has no reporting year %(year)s.")
    hint = gettext_noop("Choose a year in which it was in force; years in which something was owed: %(known)s.")


def version_for(key: str, year: int) -> tuple[Instrument, Period]:
    """Return the version in force on the last day of the reporting year, and that year's period.

    Raises:
        NotFound: there is no such regulation.
        NoYear: no version of it was in force then.
    """
    versions = regulations.versions_of(key)
    if not versions:
        raise NotFound
    for instrument in reversed(versions):
        family = family_named(instrument.thresholds.get("year_family", "r-rep-year"), duties.own_families(instrument))
        period = period_labelled(family, str(year))
        if period is None:
            continue
        ends = instrument.effective_until
        if instrument.effective_from <= period.last and (ends is None or ends > period.first):
            return instrument, period
    known = sorted({v.effective_from.year for v in versions} | {v.effective_until.year for v in versions if v.effective_until})
    raise NoYear(instrument=key, year=year, known=", ".join(map(str, known)))


def facts_of(
    instrument: Instrument, period: Period, *, organisation: Organisation, year: int, as_of: datetime
) -> dict[str, Any]:
    """Return everything that is computed from the records, as JSON; see `domain.report`."""
    window: dict[str, Any] = {"first": period.first, "last": period.last}
    thresholds = Thresholds.of(instrument.thresholds)
    pairs = duties.pairs_of(instrument.key)
    bodies = {o.pk: o for pair in pairs for o in (pair.first, pair.second)}
    bodies |= {p.organisation_id: p.organisation for p in instrument.parties.select_related("organisation")}
    rows = duties.punctuality(instrument.key, **window, at=as_of, by=("debtor", "creditor", "rule"))
    bad = duties.troubles(instrument.key, **window, at=as_of)
    quiet = duties.silences(instrument.key, **window, as_of=as_of)
    unanswered = duties.unanswered(instrument.key, **window, as_of=as_of, days=thresholds.unacknowledged_days)
    bodies |= _missing(bodies, rows)
    bodies |= {o.pk: o for a in unanswered for o in (a.organisation, a.dispatch.sender)}
    key_of = {pk: o.key for pk, o in bodies.items()}
    rules = {r.key: r for r in instrument.rules.all()}
    findings = find(
        thresholds=thresholds,
        pairs=[(key_of[p.first_id], key_of[p.second_id]) for p in pairs],
        lines=[
            Line(
                key_of[r.debtor_id or 0],
                key_of[r.creditor_id or 0],
                r.rule_key or "",
                r.counts.expected,
                r.counts.on_time,
                r.counts.late,
                r.counts.missing,
            )
            for r in rows
        ],
        troubles=[_trouble(row, key_of) for row in bad],
        silences=[
            Quiet(key_of[s.sender_id], key_of[s.recipient_id], g.after, g.until, g.days, g.open)
            for s in quiet
            if s.sender_id is not None and s.recipient_id is not None
            for g in s.gaps
            if g.days >= thresholds.silence_days
        ],
        unanswered=[
            Unanswered(
                str(a.dispatch.uuid),
                a.dispatch.notation,
                a.dispatch.sender.key,
                a.organisation.key,
                local_day(a.arrived_at),
                ((a.acknowledged_at or as_of) - a.arrived_at).days,
            )
            for a in unanswered
            if a.arrived_at is not None
        ],
    )
    sides = defaultdict(list)
    for party in instrument.parties.select_related("organisation").order_by("id"):
        sides[party.side].append(party.organisation.key)
    return {
        "format": FORMAT,
        "instrument": {
            "key": instrument.key,
            "version": instrument.version,
            "number": instrument.number,
            "title": instrument.title,
            "signed_on": instrument.signed_on.isoformat() if instrument.signed_on else None,
            "effective_from": instrument.effective_from.isoformat(),
            "verified": instrument.verified,
            "source": instrument.source,
            "children": instrument.children.values("key").distinct().count(),
        },
        "organisation": _issuer(organisation, period.last),
        "year": year,
        "period": {"first": period.first.isoformat(), "last": period.last.isoformat()},
        "as_of": as_of.isoformat(),
        "volume": (volume := duties.volume(instrument.key, **window, as_of=as_of)),
        "made_up": bool(volume.pop("made_up")),
        "bodies": {o.key: {"name": o.name, "short": o.short_name, "kind": o.kind} for o in bodies.values()},
        "sides": dict(sides),
        "thresholds": {k: getattr(thresholds, k) for k in Thresholds.__dataclass_fields__},
        "fields": _fields(instrument, period, as_of),
        "counts": _sum(r.counts for r in rows),
        "by_body": _grouped(rows, lambda r: {"body": key_of[r.debtor_id or 0]}),
        "by_rule": _grouped(
            sorted(rows, key=lambda r: clause_order(rules[r.rule_key].clause if r.rule_key in rules else "")),
            lambda r: {
                "rule": r.rule_key,
                "title": rules[r.rule_key].title if r.rule_key in rules else r.rule_key,
                "clause": rules[r.rule_key].clause if r.rule_key in rules else "",
            },
        ),
        "pairs": _pairs(pairs, rows, quiet, key_of),
        "findings": [f.as_dict() for f in findings],
    }


def _issuer(organisation: Organisation, on: date) -> dict[str, str]:
    ids = [superior for _, superior in organisations.superior_pairs([organisation.pk], on)]
    known = organisations.organisations_by_ids(ids)
    above = [known[pk] for pk in ids if pk in known]
    # A paper of the state names no Party committee above its issuing body, and the other way round.
    same_form = [o for o in above if is_party_body(o.kind) == is_party_body(organisation.kind)]
    return {
        "key": organisation.key,
        "name": organisation.name,
        "kind": organisation.kind,
        "notation": organisation.notation,
        "place": organisation.place,
        "superior": same_form[0].name if same_form else "",
        "reports_to": "; ".join(o.name for o in above),
    }


def _missing(bodies: dict[int, Organisation], rows: list[duties.PunctualityRow]) -> dict[int, Organisation]:
    wanted = {i for r in rows for i in (r.debtor_id, r.creditor_id) if i is not None}
    return organisations.organisations_by_ids(wanted - bodies.keys()) if wanted - bodies.keys() else {}


def _trouble(row: dict[str, Any], key_of: dict[int, str]) -> Trouble:
    return Trouble(
        reference=row["reference"],
        rule=row["rule"],
        title=row["title"],
        clause=row["clause"],
        debtor=key_of[row["debtor"]],
        creditor=key_of[row["creditor"]],
        label=row["occasion"],
        first=row["period_from"],
        last=row["period_to"],
        due_on=local_day(row["due_at"] - timedelta(microseconds=1)),
        missing=row["missing"],
        event=row["event"],
    )


# --- counts ------------------------------------------------------------------------------------------------------------

COUNTS = ("expected", "on_time", "late", "missing", "nil", "open", "exempt")


def _counts(counts: Counts) -> dict[str, int]:
    found = {k: getattr(counts, k) for k in COUNTS if k != "exempt"}
    return found | {"exempt": counts.waived + counts.suspended}


def _sum(many: Iterable[Counts]) -> dict[str, int]:
    total = dict.fromkeys(COUNTS, 0)
    for counts in many:
        for key, number in _counts(counts).items():
            total[key] += number
    return total


def _grouped(rows: Iterable[duties.PunctualityRow], head: Any) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], tuple[dict[str, Any], list[Counts]]] = {}
    for row in rows:
        top = head(row)
        groups.setdefault(tuple(top.values()), (top, []))[1].append(row.counts)
    return [top | _sum(many) for top, many in groups.values()]


def _pairs(
    pairs: list[Any], rows: list[duties.PunctualityRow], quiet: list[duties.PairSilence], key_of: dict[int, str]
) -> list[dict[str, Any]]:
    by_way: dict[tuple[int | None, int | None], list[Counts]] = defaultdict(list)
    for row in rows:
        by_way[row.debtor_id, row.creditor_id].append(row.counts)
    longest = {(s.pair_id, s.sender_id): s.longest for s in quiet}
    found = []
    for pair in pairs:
        ways = []
        for debtor, creditor in ((pair.first_id, pair.second_id), (pair.second_id, pair.first_id)):
            if (debtor, creditor) not in by_way:
                continue
            way = {"debtor": key_of[debtor], "creditor": key_of[creditor]} | _sum(by_way[debtor, creditor])
            ways.append(way | {"silence": _gap(longest.get((pair.pk, debtor)))})
        if ways:
            silence = _gap(longest.get((pair.pk, None)))
            found.append({"first": key_of[pair.first_id], "second": key_of[pair.second_id], "ways": ways, "silence": silence})
    return found


def _gap(gap: Any) -> dict[str, Any] | None:
    if gap is None:
        return None
    return {"after": gap.after.isoformat(), "until": gap.until.isoformat(), "days": gap.days, "open": gap.open}


# --- figures -----------------------------------------------------------------------------------------------------------


def _fields(instrument: Instrument, period: Period, as_of: datetime) -> list[dict[str, Any]]:
    totals = reporting.figures_for_review(instrument.key, first=period.first, last=period.last, as_of=as_of)
    before = _year_before(instrument, period, as_of)
    asked = {i["definition"] for form in instrument.forms.all() for i in form.definition["indicators"]}
    by_field: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for total in totals:
        if total.definition in asked or total.reports or total.not_reported or total.without_number:
            earlier = before.get(total.definition) or before.get(total.indicator)
            by_field[total.field].append(_figure(total, earlier, period.last))
    known = [{"key": f["key"], "name": f["name"], "clause": f.get("clause", f.get("article", ""))} for f in instrument.fields]
    rest = [{"key": k, "name": "", "clause": ""} for k in by_field.keys() - {f["key"] for f in known}]
    return [f | {"figures": by_field.get(f["key"], [])} for f in (*known, *sorted(rest, key=lambda f: f["key"]))]


def _year_before(instrument: Instrument, period: Period, as_of: datetime) -> dict[str, reporting.Total]:
    family = family_named(instrument.thresholds.get("year_family", "r-rep-year"), duties.own_families(instrument))
    earlier = previous_period(family, period)
    totals = reporting.figures_for_review(instrument.key, first=earlier.first, last=earlier.last, as_of=as_of)
    known = [t for t in totals if t.value is not None]
    return {t.indicator: t for t in known} | {t.definition: t for t in known}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value.normalize(), "f")


def _figure(total: reporting.Total, earlier: reporting.Total | None, last: date) -> dict[str, Any]:
    now = Known(total.value, total.unit, total.definition, exact=total.precision == "exact")
    before: dict[str, Any] | None = None
    year = last.year
    published = [p for p in total.published if p.year <= year]
    known = next((p for p in published if p.year == year - 1), None)
    if earlier is not None:
        past = Known(earlier.value, earlier.unit, earlier.definition, exact=earlier.precision == "exact")
        before = {"year": year - 1, "value": _text(earlier.value), "unit": earlier.unit, "precision": earlier.precision}
        before |= {"source": "", "verified": True} | _compared(now, past)
    elif known is not None:
        past = Known(known.value, known.unit, known.definition, known.scope, exact=known.precision == "exact")
        before = {"year": known.year, "value": _text(known.value), "unit": known.unit, "precision": known.precision}
        before |= {"scope": known.scope, "source": known.source, "verified": known.verified} | _compared(now, past)
    return {
        "indicator": total.indicator,
        "definition": total.definition,
        "name": total.name,
        "unit": total.unit,
        "group": total.group,
        "aggregate": total.aggregate,
        "parts_of": total.parts_of,
        "paired_with": total.paired_with,
        "value": _text(total.value),
        "precision": total.precision,
        "reports": total.reports,
        "bodies": total.organisations,
        "not_reported": total.not_reported,
        "without_number": total.without_number,
        "before": before,
        "published": [
            {
                "year": p.year,
                "value": _text(p.value),
                "unit": p.unit,
                "scope": p.scope,
                "precision": p.precision,
                "source": p.source,
                "verified": p.verified,
                "same_count": p.definition == total.definition and p.unit == total.unit,
            }
            for p in published
            if p is not known
        ],
    }


def _compared(now: Known, past: Known) -> dict[str, Any]:
    found = compare(now, past)
    if found.refused is not None:
        return {"refused": found.refused.value}
    return {"difference": _text(found.difference), "percent": _text(found.percent), "rough": found.rough}
