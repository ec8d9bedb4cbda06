"""Lists as CSV for spreadsheets: streamed, UTF-8 with a mark for Excel, formulas made harmless."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse


class _Line:
    def write(self, value: str) -> str:
        """Give the line back instead of storing it."""
        return value


def safe(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    begins = unicodedata.normalize(
        "NFKC", text.lstrip("\ufeff\u200b \xa0")[:1]
    )  # full-width signs and signs behind a blank too
    return "'" + text if begins in {"=", "+", "-", "@"} or text[:1] in {"\t", "\r", "\n"} else text


def csv_response(name: str, header: list[str], rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """Return a download of the rows."""

    def lines() -> Iterator[str]:
        writer = csv.writer(_Line())
        yield "\ufeff"
        yield writer.writerow([safe(h) for h in header])
        for row in rows:
            yield writer.writerow([safe(cell) for cell in row])

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
