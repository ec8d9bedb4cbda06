"""The gate: which organisations a seat speaks for and may look into."""

from datetime import date

from hiepdong.kernel.errors import NotAllowed
from hiepdong.organisations import queries as organisations

from .domain.permissions import Action
from .models import Seat


def seats_of(person_id: int, *, on: date) -> list[Seat]:
    """Return the seats the person holds on the local day, in the order of the organisations' names."""
    return list(
        Seat.objects.filter(person_id=person_id, valid_from__lte=on, organisation__valid_from__lte=on)
        .exclude(valid_until__lte=on)
        .select_related("person", "organisation")
        .order_by("organisation__name_sort", "id")
    )


def visible_organisation_ids(seat: Seat) -> frozenset[int]:
    """Return the organisations whose papers the seat may read: its own and every body below it, at any time.

    What a seat may see follows from the parties: a dispatch is visible when one of its parties is in this set. A node
    administrator reads no papers, so the set is empty. Cached on the seat object for the length of a request.
    """
    cached = getattr(seat, "_visible_organisation_ids", None)
    if cached is None:
        cached = organisations.subtree_ids(seat.organisation_id) if seat.may(Action.READ) else frozenset()
        seat._visible_organisation_ids = cached  # type: ignore[attr-defined]
    return cached


def require(seat: Seat, action: Action, *, organisation_id: int | None = None) -> None:
    """Raise `NotAllowed` unless the seat's role allows the action, for its own organisation where one is named."""
    if not seat.may(action) or (organisation_id is not None and organisation_id != seat.organisation_id):
        raise NotAllowed
