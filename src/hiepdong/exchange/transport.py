"""How a dispatch gets to its addressees. Inside one node: at once. Other nodes come later, behind the same Protocol."""

from datetime import datetime
from typing import Protocol

from .models import Addressee, Dispatch


class Transport(Protocol):
    """Carries signed bytes to an organisation; returns the addressees it reached, with the moment of arrival."""

    def carry(self, dispatch: Dispatch, addressees: list[Addressee], *, at: datetime) -> list[tuple[Addressee, datetime]]:
        """Deliver; what is not returned stays in the outbox and is tried again."""
        ...


class LocalTransport:
    """Every organisation of this node has its inbox here: arrival is the commit itself."""

    def carry(self, dispatch: Dispatch, addressees: list[Addressee], *, at: datetime) -> list[tuple[Addressee, datetime]]:
        """Reach everyone, at the moment of sending."""
        return [(addressee, at) for addressee in addressees]
