"""What every page frame needs."""

from django.conf import settings
from django.http import HttpRequest


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the node's name, the seat signed in, and the seats the person may change to."""
    return {
        "node_name": settings.HIEPDONG_NODE_NAME,
        "seat": getattr(request, "seat", None),
        "seats": getattr(request, "seats", []),
    }
