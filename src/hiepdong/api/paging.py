"""Pages by cursor: where the last row stood in its order, so that rows that come meanwhile neither double nor hide one."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from .problems import Invalid


def page_of(rows: QuerySet[Any], *, order: Sequence[str], cursor: str, limit: int) -> tuple[list[Any], str | None]:
    """Return up to `limit` rows behind the cursor ("" for the first), and the cursor behind them, or None at the end.

    `order` names columns as `order_by` does, the last one unique; the page is in that order.

    Raises:
        Invalid: the cursor is not one that was given out here.
    """
    if cursor:
        rows = rows.filter(_behind(order, _read(cursor, len(order))))
    found = list(rows.order_by(*order)[: limit + 1])
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], None if last is None else _written([_value(last, name) for name in order])


def _value(row: Any, name: str) -> Any:
    value = getattr(row, name.removeprefix("-"))
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _written(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read(cursor: str, count: int) -> list[Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        values = [datetime.fromisoformat(v["at"]) if isinstance(v, dict) else _whole(v) for v in found]
        if len(values) != count or any(isinstance(v, datetime) and v.tzinfo is None for v in values):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Invalid(errors=[{"path": "query.cursor", "found": cursor[:40]}]) from error
    return values


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise ValueError
    return value


def _behind(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Return "after these values in this order", compared column by column."""
    behind, same = Q(), Q()
    for name, value in zip(order, values, strict=True):
        column = name.removeprefix("-")
        behind |= same & Q(**{f"{column}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{column: value})
    return behind
