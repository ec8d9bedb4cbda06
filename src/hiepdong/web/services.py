"""Walking the journal: the one place where a fact below leads to work above. And what a node does for itself."""

from datetime import datetime

from django.db import connection, transaction

from hiepdong.journal.models import Entry

from .wiring import REACTIONS


def react(*, at: datetime, limit: int = 500) -> int:
    """Do the reactions of up to `limit` open entries, oldest first, each with its entry in one transaction.

    Returns the number of entries walked. A reaction that fails leaves its entry open and is tried again; it keeps no
    other entry from being walked, and its error is raised when all were.
    """
    walked, failed = 0, []
    for pk in list(Entry.objects.filter(reacted_at__isnull=True).order_by("id").values_list("pk", flat=True)[:limit]):
        try:
            walked += _react_to(pk, at)
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return walked


@transaction.atomic
def _react_to(pk: int, at: datetime) -> bool:
    entry = Entry.objects.select_for_update().filter(pk=pk, reacted_at__isnull=True).first()
    if entry is None:
        return False
    for reaction in REACTIONS.get(entry.code, ()):
        reaction(entry, at)
    Entry.objects.filter(pk=pk).update(reacted_at=at)
    return True


def update_statistics() -> None:
    """Let SQLite see how its rows lie, so that it looks things up by the right index; PostgreSQL does so by itself.

    Without it a node of years answers some pages ten times slower. A second or two, whatever the size of the node.
    """
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA analysis_limit=1000")
            cursor.execute("ANALYZE")
