"""Writing the journal."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models

from .models import Entry


def record(
    code: str, *, subject: models.Model, actor: Any, at: datetime, name: str = "", facts: dict[str, Any] | None = None
) -> Entry:
    """Append one entry, in the caller's transaction.

    Args:
        code: "app.object.past_participle", the same word as in the wiring table and the log.
        subject: the object the fact is about.
        actor: a seat (has `organisation_id` and `journal_name`), or None for the system.
        at: the aware instant of the fact.
        name: how people name the subject; str(subject) is never used.
        facts: small JSON facts (ids as they were, reasons), no personal data.
    """
    made = entry(code, subject=subject, actor=actor, at=at, name=name, facts=facts)
    made.save()
    return made


def record_many(entries: Iterable[Entry]) -> None:
    """Append entries that a bulk service has filled in, in the caller's transaction."""
    Entry.objects.bulk_create(entries, batch_size=1000)


def entry(
    code: str, *, subject: models.Model, actor: Any, at: datetime, name: str = "", facts: dict[str, Any] | None = None
) -> Entry:
    """Return an entry without saving it, for `record_many`; the arguments are those of `record`."""
    return Entry(
        code=code,
        at=at,
        subject_kind=subject._meta.label,
        subject_id=str(subject.pk),
        subject_name=name[:300],
        actor_kind="seat" if actor is not None else "system",
        actor_id=str(actor.pk) if actor is not None else "",
        actor_name=actor.journal_name[:300] if actor is not None else "",
        organisation_id=actor.organisation_id if actor is not None else None,
        facts=facts or {},
    )
