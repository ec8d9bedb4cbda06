"""Loading a version of a regulation: all or nothing."""

import hashlib
from datetime import datetime
from typing import Any

from django.db import transaction

from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import nfc
from hiepdong.organisations import queries as organisations

from .domain.format import Problem, Regulation, check
from .models import Article, DutyRule, Form, Instrument, Party


class InvalidRegulation(DomainError):
    """The file has problems; nothing was loaded."""

    code = "regulations.invalid_file"
    message = gettext_noop("%(name)s was not loaded: %(count)s problems.")
    hint = gettext_noop("Correct what is listed and load the file again; nothing was changed.")

    def __init__(self, *, name: str, problems: list[Problem]) -> None:
        super().__init__(name=name, count=len(problems))
        self.problems = problems


@transaction.atomic
def load_instrument(*, file_bytes: bytes, name: str, actor: Any, at: datetime) -> Instrument:
    """Load one version. The same bytes again give the version that is there; an amendment closes the one before.

    Raises:
        InvalidRegulation: with every problem; nothing was changed.
    """
    digest = hashlib.sha256(file_bytes).hexdigest()
    same = Instrument.objects.filter(digest=digest).first()
    if same is not None:
        return same
    regulation, problems = check(file_bytes, name)
    if regulation is None:
        raise InvalidRegulation(name=name, problems=problems)
    keys = {regulation.issuer, *(k for k, _ in regulation.parties)}
    for duty in regulation.duties:
        selectors = [duty["debtor"], duty["creditor"], *duty.get("copies", [])]
        keys |= {s["organisation"] for s in selectors if "organisation" in s}
    known = organisations.organisations_by_keys(keys)
    problems = [
        Problem(name, "organisation", key, "khóa của cơ quan đã nạp (hiepdong organisations load …)")
        for key in sorted(keys - known.keys())
    ]
    parent = None
    if regulation.parent:
        parent = Instrument.objects.filter(key=regulation.parent).order_by("-version").first()
        if parent is None:
            problems.append(Problem(name, "parent", regulation.parent, "khóa của quy chế đã nạp"))
    before = Instrument.objects.filter(key=regulation.key).order_by("-version").first()
    if before is not None:
        if regulation.version != before.version + 1:
            problems.append(Problem(name, "version", str(regulation.version), f"{before.version + 1} (sửa đổi bản đã nạp)"))
        if regulation.effective_from <= before.effective_from:
            accepted = f"ngày sau {before.effective_from.isoformat()}, ngày hiệu lực của bản trước"
            problems.append(Problem(name, "effective_from", regulation.effective_from.isoformat(), accepted))
    if problems:
        raise InvalidRegulation(name=name, problems=problems)
    if before is not None and (before.effective_until is None or before.effective_until > regulation.effective_from):
        Instrument.objects.filter(pk=before.pk).update(effective_until=regulation.effective_from)
    instrument = Instrument.objects.create(
        key=regulation.key,
        version=regulation.version,
        number=nfc(regulation.number),
        title=nfc(regulation.title),
        signed_on=regulation.signed_on,
        effective_from=regulation.effective_from,
        effective_until=regulation.effective_until,
        parent=parent,
        issuer=known[regulation.issuer],
        fields=list(regulation.fields),
        thresholds=regulation.thresholds,
        periods={f["key"]: f for f in regulation.families},
        source=nfc(regulation.source),
        verified=regulation.verified,
        file_bytes=file_bytes,
        digest=digest,
        loaded_at=at,
    )
    _contents(instrument, regulation, known)
    record("regulations.instrument.loaded", subject=instrument, actor=actor, at=at, name=instrument.title)
    return instrument


def _contents(instrument: Instrument, regulation: Regulation, known: dict[str, Any]) -> None:
    Party.objects.bulk_create(
        Party(instrument=instrument, organisation=known[key], side=side) for key, side in regulation.parties
    )
    Article.objects.bulk_create(
        Article(instrument=instrument, clause=a["clause"], heading=nfc(a["heading"]), text=nfc(a["text"]), position=i)
        for i, a in enumerate(regulation.articles, 1)
    )
    forms = Form.objects.bulk_create(
        Form(
            instrument=instrument,
            key=f["key"],
            title=nfc(f["title"]),
            definition={"indicators": f["indicators"], "sections": f["sections"]},
        )
        for f in regulation.forms
    )
    by_key = {f.key: f for f in forms}
    DutyRule.objects.bulk_create(
        DutyRule(
            instrument=instrument,
            key=d["key"],
            title=nfc(d["title"]),
            clause=d["clause"],
            field=d.get("field", ""),
            content=d["content"]["type"],
            form=by_key.get(d["content"].get("form", "")),
            spec={
                k: d[k]
                for k in (
                    *("debtor", "creditor", "copies", "content", "trigger", "deadline"),
                    *("reminders", "may_waive", "may_suspend"),
                )
                if k in d
            },
            source=nfc(d["source"]),
            verified=d["verified"],
        )
        for d in regulation.duties
    )
