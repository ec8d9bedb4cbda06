"""Walking the journal: the one place where a fact below leads to work above."""

from datetime import datetime

from django.db import transaction

from hiepdong.journal.models import Entry

from .wiring import REACTIONS


def react(*, at: datetime, limit: int = 500) -> int:
    """Do the reactions of up to `limit` open entries, oldest first, each with its entry in one transaction.

    Returns the number of entries walked. A reaction that fails leaves its entry open and is tried again.
    """
    walked = 0
    for pk in list(Entry.objects.filter(reacted_at__isnull=True).order_by("id").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            entry = Entry.objects.select_for_update().filter(pk=pk, reacted_at__isnull=True).first()
            if entry is None:
                continue
            for reaction in REACTIONS.get(entry.code, ()):
                reaction(entry, at)
            Entry.objects.filter(pk=pk).update(reacted_at=at)
            walked += 1
    return walked
