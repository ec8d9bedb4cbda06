"""Two nodes that hold the same regulation compute the same due moments; this finds where they do not, and why.

A `Computed` is what one node computed for a regulation and a year, with what it computed it from: the versions by the SHA-256
of their files, the days off, the bodies with their kinds, times, superiors and territories. Comparing two gives every duty that
only one of them has or that is due at another moment, each with its cause where it can be told from these.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785

from hiepdong.kernel.errors import DomainError, gettext_noop

FORMAT = "hiepdong.duties/1"


class NotComparable(DomainError):
    """A file that was not made by `hiepdong compare export`, or was changed since, or is about something else."""

    code = "duties.not_comparable"
    message = gettext_noop("%(name)s cannot be compared: %(why)s.")
    hint = gettext_noop("Make it again with hiepdong compare export, on each node with the same regulation and year.")


@dataclass(frozen=True, slots=True)
class Computed:
    """What one node computed. Moments are UTC to the second, as texts; bodies, versions and duties are by their keys."""

    node: str
    regulation: str
    year: int
    program: str  # version of the program
    versions: Mapping[int, str]  # version -> SHA-256 of its file
    bodies: Mapping[str, Any]  # organisation key -> kind, times, superiors, territories
    duties: Mapping[str, tuple[str, int, str]]  # reference -> due moment, version, digest of the days off
    signed: str = ""  # "good", "unknown_key": what is known of the signature; for the reader only
    made_at: str = ""

    def content(self) -> dict[str, Any]:
        """Return what is compared, as JSON: without who made it and when."""
        return {
            "regulation": self.regulation,
            "year": self.year,
            "versions": {str(k): v for k, v in self.versions.items()},
            "bodies": dict(self.bodies),
            "duties": [[reference, *row] for reference, row in sorted(self.duties.items())],
        }

    @property
    def duties_digest(self) -> str:
        """The SHA-256 over the duties alone, hex: equal on two nodes that compute the same due moments."""
        return digest_of({"duties": [[r, due, version] for r, (due, version, _) in sorted(self.duties.items())]})


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of canonical JSON, hex."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def read_computed(data: Any, name: str) -> tuple[Computed, str]:
    """Return what a file says, and its signed statement (JWS, not verified here).

    Raises:
        NotComparable: it is no such file.
    """
    try:
        content = data["content"]
        duties = {str(r): (_moment(due), int(version), str(days)) for r, due, version, days in content["duties"]}
        found = Computed(
            node=str(data["node"])[:120],
            regulation=str(content["regulation"]),
            year=int(content["year"]),
            program=str(data["program"])[:40],
            versions={int(k): str(v) for k, v in content["versions"].items()},
            bodies={str(k): dict(v) for k, v in content["bodies"].items()},
            duties=duties,
            made_at=_moment(data["at"]),
        )
        if data["format"] != FORMAT:
            raise NotComparable(name=name, why=f"format {str(data['format'])[:40]}")
        return found, str(data["signed"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotComparable(name=name, why=f"{type(error).__name__}: {str(error)[:80]}") from error


def _moment(text: Any) -> str:
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError(f"no moment in UTC: {str(text)[:30]}")
    datetime.fromisoformat(text)
    return text


@dataclass(frozen=True, slots=True)
class Difference:
    """One duty that is not the same in both. `code`: only_first, only_second, due, rule (same moment, other version).

    `cause`: version (another text, or another version in force), calendar (other days off), bodies (organisations, their times,
    superiors or territories), event (noted by people of one side), program (another version of the program), or "" if none of
    these explains it.
    """

    reference: str
    code: str
    cause: str
    first: str = ""
    second: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {k: getattr(self, k) for k in ("reference", "code", "cause", "first", "second")}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every difference of two, by reference, and the differences of what they were computed from."""

    first: Computed
    second: Computed
    duties: tuple[Difference, ...]
    versions: tuple[int, ...]  # that only one holds, or with other bytes
    bodies: tuple[str, ...]  # known to one only, or described otherwise
    calendars: bool  # other days off were used for some duty
    by_cause: Mapping[str, int] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Both compute the same due moments."""
        return not self.duties


def compared(first: Computed, second: Computed, names: tuple[str, str] = ("1", "2")) -> Comparison:
    """Return how two differ.

    Raises:
        NotComparable: they are about different regulations or years.
    """
    if (first.regulation, first.year) != (second.regulation, second.year):
        why = f"{first.regulation} {first.year} / {second.regulation} {second.year}"
        raise NotComparable(name=names[1], why=why)
    versions = tuple(sorted(_unlike(first.versions, second.versions)))
    bodies = _unlike(first.bodies, second.bodies)
    programs = first.program != second.program
    found = []
    for reference in sorted(first.duties.keys() | second.duties.keys()):
        one, other = first.duties.get(reference), second.duties.get(reference)
        if one is not None and other is not None and one[:2] == other[:2]:
            continue
        found.append(_difference(reference, one, other, set(versions), bodies, programs=programs))
    by_cause: dict[str, int] = {}
    for difference in found:
        by_cause[difference.cause] = by_cause.get(difference.cause, 0) + 1
    calendars = {row[2] for row in first.duties.values()} != {row[2] for row in second.duties.values()}
    return Comparison(first, second, tuple(found), versions, tuple(sorted(bodies)), calendars, by_cause)


def _unlike[K](one: Mapping[K, Any], other: Mapping[K, Any]) -> set[K]:
    return {k for k in one.keys() | other.keys() if one.get(k) != other.get(k)}


def _difference(
    reference: str,
    one: tuple[str, int, str] | None,
    other: tuple[str, int, str] | None,
    versions: set[int],
    bodies: Iterable[str],
    *,
    programs: bool,
) -> Difference:
    unlike = set(bodies)
    concerned = set(reference.split("/")[2:4]) & unlike
    event = reference.rsplit("/", 1)[-1].startswith("event:")
    known = one or other
    text = known is not None and known[1] in versions
    if one is None or other is None:
        code = "only_first" if other is None else "only_second"
        # a relation (same territory, superior) may rest on a body that is neither debtor nor creditor: the last guess
        cause = "event" if event else "version" if text else "bodies" if concerned or unlike else "program" if programs else ""
        return Difference(reference, code, cause, one[0] if one else "", other[0] if other else "")
    code = "due" if one[0] != other[0] else "rule"
    cause = "version" if one[1] != other[1] or text else "calendar" if one[2] != other[2] else "program" if programs else ""
    return Difference(reference, code, cause, one[0], other[0])


def file_of(computed: Computed, signed: str) -> bytes:
    """Return the file of an export: what was computed, and the node's signature over its digest."""
    data = {
        "format": FORMAT,
        "node": computed.node,
        "program": computed.program,
        "at": computed.made_at,
        "signed": signed,
        "content": computed.content(),
    }
    return json.dumps(data, ensure_ascii=False, indent=1).encode() + b"\n"
