"""Fact -> functions, read from top to bottom. Each function takes (entry, at) and doing it twice is harmless."""

from collections.abc import Callable
from datetime import datetime

from hiepdong.duties import services as duties
from hiepdong.exchange import intake, joint
from hiepdong.journal.models import Entry
from hiepdong.regulations import services as regulations
from hiepdong.reporting import services as reporting

Reaction = Callable[[Entry, datetime], None]
REACTIONS: dict[str, list[Reaction]] = {
    "exchange.dispatch.sent": [duties.discharge_by_dispatch, reporting.read_figures],
    "exchange.dispatch.received": [
        duties.discharge_by_dispatch,
        reporting.read_figures,
        joint.take_received,
        regulations.ratify,
    ],
    "exchange.dispatch.returned": [duties.reopen_by_return, reporting.supersede_figures],
    # a regulation comes into force with whatever it lacked last
    "exchange.joint.completed": [regulations.ratify],
    "exchange.file.arrived": [regulations.ratify],
    "exchange.peer.linked": [regulations.ratify],
    # what waited for a regulation that binds its sender; one that comes into force later is found by `work` on that day
    "regulations.instrument.loaded": [intake.judge_narrowed],
}
