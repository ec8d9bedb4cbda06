"""Writing the journal, sealing what was written, and having the seals time-stamped."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction

from hiepdong.kernel.errors import DomainError
from hiepdong.shell.bulk import fresh, insert

from . import queries
from .domain import chain
from .domain.trust import stamp_is_due
from .models import Entry, Seal, Stamp, StampFailure
from .timestamping import read_roots, request_token

MOST_SEALED = 10_000
TRIES = 5


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
    """Append entries that a bulk service has filled in, in the caller's transaction; their numbers are not read back."""
    insert(entries)


def entry(
    code: str, *, subject: models.Model, actor: Any, at: datetime, name: str = "", facts: dict[str, Any] | None = None
) -> Entry:
    """Return an entry without saving it, for `record_many`; the arguments are those of `record`."""
    return fresh(
        Entry,
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


class _TakenMeanwhile(Exception):
    """Another worker sealed one of these entries first."""


def seal_entries(*, at: datetime, most: int = MOST_SEALED) -> int:
    """Seal up to `most` entries that no seal covers yet, oldest first, and return how many.

    Harmless beside writers and beside a second worker: an entry is sealed once. What another transaction has not
    committed is not seen and is sealed by a later call, whatever its id. Nobody who writes waits for the hashing,
    only for the marking of the rows.

    Args:
        at: aware moment of the sealing; it stands beside the seal, not in its digest.
        most: how many entries one seal covers at most.
    """
    for _ in range(TRIES):
        rows = queries.unsealed_entries(limit=most)
        # Entries do not change, so hashing them needs no lock. A damaged row keeps no other from being sealed: the check
        # names it.
        lines = {row.id: line for row in rows if (line := chain.digest_or_none(row))}
        if not lines:
            return 0
        try:
            _seal(list(lines), b"".join(lines.values()), at)
        except _TakenMeanwhile:
            continue
        return len(lines)
    return 0  # others are sealing faster than we read: nothing is left behind


@transaction.atomic
def _seal(ids: list[int], lines: bytes, at: datetime) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # SQLite has one writer at a time anyway
            cursor.execute("LOCK TABLE journal_seal IN SHARE ROW EXCLUSIVE MODE")
    before = Seal.objects.order_by("-number").values_list("number", "digest", "total").first()
    number, previous, total = before or (0, "", 0)
    digest = chain.seal_digest(number=number + 1, previous_digest=previous, lines=lines)
    marked = 0
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        marked += Entry.objects.filter(pk__in=part, seal__isnull=True).update(seal=number + 1)
    if marked != len(ids):
        raise _TakenMeanwhile
    Seal.objects.create(
        number=number + 1,
        digest=digest,
        previous_digest=previous,
        entries=len(ids),
        total=total + len(ids),
        first_entry=ids[0],
        last_entry=ids[-1],
        made_at=at,
        lines=lines,
    )


def stamp_latest_seal(*, address: str, roots_path: str, every: timedelta, at: datetime) -> bool:
    """Have the newest seal time-stamped, if it is time to, and say whether a token was stored.

    A token covers the seal and with it all before it. A seal gets one token and never a second: what was not stamped in
    its time is not made to look so later.

    Args:
        address: the authority's address.
        roots_path: file of the root certificates that are trusted for time-stamps, PEM.
        every: the least time between two tokens. After a failed try the pause doubles from a minute up to this.
        at: aware present moment.

    Raises:
        DomainError: what kept it from a token. It is noted, and the next try waits.
    """
    newest, last = queries.latest_seal(), queries.latest_stamp()
    failures, last_failure_at, _ = queries.stamp_failures()
    if newest is None or not stamp_is_due(
        newest_seal=newest.number,
        stamped_seal=last.seal if last else 0,
        last_stamp_at=last.made_at if last else None,
        failures=failures,
        last_failure_at=last_failure_at,
        every=every,
        at=at,
    ):
        return False
    try:
        token = request_token(address=address, digest=newest.digest, roots=read_roots(roots_path))  # in no transaction
    except DomainError as error:
        StampFailure.objects.create(at=at, authority=address[:300], reason=str(error))
        raise
    with transaction.atomic():
        # Two workers may have asked at once; the first token stands.
        _, made = Stamp.objects.get_or_create(
            seal_id=newest.number,
            defaults={
                "response": token.response,
                "authority": address[:300],
                "generated_at": token.generated_at,
                "made_at": at,
            },
        )
        StampFailure.objects.all().delete()
    return made
