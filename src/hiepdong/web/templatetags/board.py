"""The twelve cells of one line of the regularity board, in one go: a page of the board holds a thousand of them."""

from collections.abc import Collection
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
EMPTY = '<td><span class="hd-cell hd-empty-cell">·</span></td>'


@register.simple_tag
def board_cells(direction: Any, pair_id: int, silent_months: Collection[int], list_url: str) -> SafeString:
    """Return the cells of one direction of a pair: shape, word and numbers, each a link to its duties.

    `silent_months` are the months in which the pair was silent: what is missing there is shown as silence. Shapes are our
    own words, everything else that is put in is a number or escaped.
    """
    names: dict[str, str] = {}
    link = f"{escape(list_url)}?pair={pair_id:d}&amp;debtor={direction.debtor.pk:d}&amp;month="
    cells = []
    for cell in direction.cells:
        total, received = cell.counts.total, cell.counts.received
        if not total:
            cells.append(EMPTY)
            continue
        shape = "silent" if cell.shape == "missing" and cell.month in silent_months else cell.shape
        name = names.get(cell.shape) or names.setdefault(cell.shape, escape(cell.shape_name))
        told = f'<i class="fst-normal">{received:d}/{total:d}</i>' if total > 1 else ""
        cells.append(
            f'<td><a class="hd-cell hd-{shape}" href="{link}{cell.first:%Y-%m}" aria-label="{name} {received:d}/{total:d}">'
            f"{told}</a></td>"
        )
    return mark_safe("".join(cells))  # noqa: S308
