"""Fact -> functions, read from top to bottom. Each function takes (entry, at) and doing it twice is harmless."""

from collections.abc import Callable
from datetime import datetime

from hiepdong.journal.models import Entry

Reaction = Callable[[Entry, datetime], None]
REACTIONS: dict[str, list[Reaction]] = {}
