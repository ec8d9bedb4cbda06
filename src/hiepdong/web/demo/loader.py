"""Load an example folder: organisations, regulation, people, the synthetic year; each part through its service."""

import tomllib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from hiepdong.accounts import queries as accounts_queries
from hiepdong.accounts import services as accounts
from hiepdong.duties import services as duties
from hiepdong.duties.models import Duty
from hiepdong.exchange import services as exchange
from hiepdong.exchange.models import Dispatch
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.organisations import queries as organisations
from hiepdong.organisations import services as organisations_services
from hiepdong.organisations.models import Organisation
from hiepdong.regulations import services as regulations
from hiepdong.regulations.models import Instrument
from hiepdong.territories import services as territories
from hiepdong.web import services as web

from .year import PREFIX, Owed, Planned, Shape, make_year

BATCH = 400


class RealRecords(DomainError):
    """The node holds papers that are not of a demo."""

    code = "web.real_records"
    message = gettext_noop("This node holds real dispatches; made-up ones are never mixed with them.")
    hint = gettext_noop("Choose another, empty data folder: HIEPDONG_DATA=/path hiepdong setup.")


SETS = ("coastal", "sea_only", "land_only", "sea_partners_only", "land_partners_only", "epidemic_only")


def shape_of(parameters: dict[str, Any]) -> Shape:
    """Return the generator's parameters from demo.toml."""
    named = {k: v for k, v in parameters.items() if k in Shape.__dataclass_fields__}
    named["until"] = datetime.fromisoformat(parameters["until"])
    named["silent_months"] = tuple(parameters["silent_months"])
    named["silence_starts"] = tuple(parameters["silence_starts"])
    named |= {k: frozenset(parameters[k]) for k in SETS if k in parameters}
    named["figures"] = {k: (v[0], v[1]) for k, v in parameters["figures"].items()}
    return Shape(**named)


def load_example(*, folder: Path, at: datetime, progress: Callable[[str], None]) -> dict[str, Any]:
    """Load the whole example; `at` is now, the moment of entry. Running it on a loaded node changes nothing."""
    parameters = tomllib.loads((folder / "demo.toml").read_text(encoding="utf-8"))
    if Dispatch.objects.exclude(subject__startswith=PREFIX).exists():
        raise RealRecords
    territories.load_units(actor=None, at=at)
    progress("đơn vị hành chính")
    organisations_services.load_organisations(
        file_bytes=(folder / "organisations.toml").read_bytes(), name="organisations.toml", actor=None, at=at
    )
    instrument = regulations.load_instrument(
        file_bytes=(folder / "regulation.toml").read_bytes(), name="regulation.toml", actor=None, at=at
    )
    progress("cơ quan, quy chế")
    _people(parameters, at)
    progress("người dùng minh họa")
    shape = shape_of(parameters)
    last = date(shape.until.year, 12, 14)
    duties.make_duties(instrument_key=instrument.key, until=last, actor=None, at=at)
    plans = make_year(owed_of(instrument), shape)
    progress(f"sinh {len(plans)} công văn minh họa")
    if not Dispatch.objects.filter(uuid=plans[0].id).exists():
        _send(plans, at, progress)
    web.react(at=at, limit=100_000)
    progress("nghĩa vụ, số liệu")
    return {"instrument": instrument.key, "dispatches": len(plans), "duties": Duty.objects.count()}


def _people(parameters: dict[str, Any], at: datetime) -> None:
    known = organisations.organisations_by_keys(p["organisation"] for p in parameters["person"])
    for row in parameters["person"]:
        if accounts_queries.person_by_name(row["name"]):
            continue
        person = accounts.make_person(
            sign_in_name=row["name"],
            display_name=row["title"],
            password=parameters["password"],
            actor=None,
            at=at,
            check=False,
        )
        accounts.grant_seat(
            person=person,
            organisation=known[row["organisation"]],
            role=row["role"],
            title=row["title"],
            since=date(2019, 12, 15),
            actor=None,
            at=at,
        )


def owed_of(instrument: Instrument) -> list[Owed]:
    """Return the duties of an instrument as the generator sees them."""
    rows = Duty.objects.filter(rule__instrument=instrument).select_related("rule__form", "debtor", "creditor")
    names = organisations.organisations_by_ids({i for d in rows for i in d.copies})
    found = []
    for d in rows:
        form = d.rule.form
        found.append(
            Owed(
                reference=d.reference,
                rule=d.rule.key,
                content=d.rule.content,
                nil_allowed=bool(d.rule.spec["content"].get("nil_allowed")),
                debtor=d.debtor.key,
                debtor_name=d.debtor.name,
                debtor_kind=d.debtor.kind,
                creditor=d.creditor.key,
                creditor_name=d.creditor.name,
                label=d.occasion,
                opens_at=d.opens_at,
                due_at=d.due_at,
                period_from=d.period_from.isoformat(),
                period_to=d.period_to.isoformat(),
                copies=tuple(names[i].key for i in d.copies),
                form=None
                if form is None
                else {"instrument": instrument.key, "version": instrument.version, "key": form.key, **form.definition},
            )
        )
    return found


def outgoing_of(plan: Planned, known: dict[str, Organisation]) -> exchange.Outgoing:
    """Return a planned paper as the services take it; `known` holds its bodies by key."""
    return exchange.Outgoing(
        kind=plan.kind,
        sender=known[plan.sender],
        to=[known[k] for k in plan.to],
        copies=[known[k] for k in plan.copies],
        subject=plan.subject,
        sent_at=plan.sent_at,
        body=plan.body,
        answers=plan.answers,
        acknowledged_at=plan.acknowledged_at,
        returned_at=plan.returned_at,
        return_reason=plan.return_reason,
        replaces_id=plan.replaces_id,
        id=plan.id,
    )


def _send(plans: list[Planned], at: datetime, progress: Callable[[str], None]) -> None:
    keys = {k for p in plans for k in (p.sender, *p.to, *p.copies)}
    known = organisations.organisations_by_keys(keys)
    with transaction.atomic():
        for start in range(0, len(plans), BATCH):
            batch = plans[start : start + BATCH]
            exchange.send_many(
                items=[outgoing_of(p, known) for p in batch],
                actor=None,
                at=at,
            )
            progress(f"ký và gửi {min(start + BATCH, len(plans))}/{len(plans)}")
