"""What a review consists of: its sections, the list of causes, the shape of its computed facts, its digest.

`Review.facts` (format "hiepdong.review/1") holds what was computed from the records, and nothing that people wrote:

    {"format", "instrument": {"key", "version", "number", "title", "signed_on", "effective_from", "verified", "source",
                              "children"},
     "organisation": {"key", "name", "kind", "notation", "place", "superior", "reports_to"},
     "year", "period": {"first", "last"}, "as_of", "made_up",
     "bodies": {key: {"name", "short", "kind"}}, "sides": {side: [key]},
     "volume": {"all", "report", "nil_report", "notice", "withdrawal"},
     "fields": [{"key", "name", "clause", "figures": [figure]}],
     "counts": counts, "by_body": [{"body", "sides", **counts}], "by_rule": [{"rule", "title", "clause", **counts}],
     "pairs": [{"first", "second", "ways": [{"debtor", "creditor", **counts, "silence": gap or null}], "silence"}],
     "thresholds": {…}, "findings": [findings.Finding.as_dict()]}

`counts` are expected, on_time, late, missing, nil, open, exempt. A figure is {"indicator", "definition", "name", "unit",
"group", "aggregate", "value" (decimal text or null), "precision", "reports", "bodies", "not_reported", "without_number",
"parts_of", "paired_with", "before": {"year", "value", "unit", "precision", "source", "verified", "refused" or "difference",
"percent", "rough"} or null, "published": [{"year", "value", "unit", "precision", "scope", "source", "verified",
"same_count"}]}. Days are ISO texts, local and inclusive.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "hiepdong.review/1"

# Order and content follow what published reviews contain; each may be rewritten by people (`Passage.place`).
SECTIONS = (
    "leadership",
    "situation",
    "results",
    "exchange",
    "strengths",
    "limitations",
    "causes",
    "lessons",
    "tasks",
    "proposals",
)

CAUSES = (
    "terrain",
    "opposite_side",
    "unclear_rules",
    "few_people",
    "no_line",
    "epidemic",
    "economy",
    "new_model",
    "awareness",
    "leadership",
    "other",
)


def is_place(place: str, facts: Mapping[str, Any]) -> bool:
    """Say whether people may write a text at the place: a section, a field of coordination, a finding that exists."""
    kind, _, key = place.partition(":")
    known: Iterable[str] = {
        "section": SECTIONS,
        "field": [f["key"] for f in facts.get("fields", ())],
        "finding": [f["key"] for f in facts.get("findings", ())],
    }.get(kind, ())
    return key in known


@dataclass(frozen=True, slots=True)
class Kept:
    """A text of a person after a rebuild: `outdated` when what it replaced is computed differently now."""

    text: str
    outdated: bool


def kept_text(*, written: str, basis: str, computed: str) -> Kept:
    """Return what stands at a place: the person's words always win, and it is said when their ground has moved."""
    return Kept(written, outdated=basis != computed)


def digest_of(frozen: bytes) -> str:
    """Return the SHA-256 of an approved review's canonical JSON, hex."""
    return hashlib.sha256(frozen).hexdigest()
