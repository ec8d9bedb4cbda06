"""Fact -> functions, read from top to bottom. Each function takes (entry, at) and doing it twice is harmless."""

from collections.abc import Callable
from datetime import datetime

from hiepdong.duties import services as duties
from hiepdong.journal.models import Entry
from hiepdong.reporting import services as reporting

Reaction = Callable[[Entry, datetime], None]
REACTIONS: dict[str, list[Reaction]] = {
    "exchange.dispatch.sent": [duties.discharge_by_dispatch, reporting.read_figures],
    "exchange.dispatch.received": [duties.discharge_by_dispatch, reporting.read_figures],
    "exchange.dispatch.returned": [duties.reopen_by_return, reporting.supersede_figures],
}
