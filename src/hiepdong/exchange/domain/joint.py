"""Documents that several organisations sign: what their payload must say, and when a set of signatures is complete.

A payload is read as strictly as a verifier reads it (docs/reference/protocol.md, section 6); members that this version does not
know survive, because the bytes are kept and never rebuilt.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop

from .envelope import DIGEST, canonical, each_once

REGULATION_FORMAT = "hiepdong.regulation/1"
ACCOUNT_FORMAT = "hiepdong.account/1"
FORMATS = {"regulation": REGULATION_FORMAT, "account": ACCOUNT_FORMAT}
MOST_PARTIES = 1000
MONTH = re.compile(r"(19|20|21)\d\d-(0[1-9]|1[0-2])")
MOMENT = re.compile(r"(19|20|21)\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
KEY = re.compile(r"[\w.-]{1,80}")
VERDICTS = ("acknowledged", "returned", "")


class InvalidJoint(DomainError):
    """What several are to sign does not say what it must."""

    code = "exchange.invalid_joint"
    message = gettext_noop("The document that several sign cannot be used: %(path)s: %(found)s.")
    hint = gettext_noop("Accepted: %(accepted)s. Ask the node that proposed it which version it runs.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a payload says, as far as this node acts on it. `name` tells documents about the same thing from others."""

    kind: str
    name: str  # "<regulation key>/<version>"; "<month>/<first party>/<second party>"
    parties: tuple[str, ...]  # organisation keys, sorted: each of them must sign
    claims: Mapping[str, Any]


def regulation_payload(*, key: str, version: int, digest: str, parties: Collection[str]) -> dict[str, Any]:
    """Return what the parties of a regulation sign: which file, by its SHA-256, and who must sign."""
    listed = sorted(set(parties))
    return {"format": REGULATION_FORMAT, "key": key, "version": version, "digest": digest, "parties": listed}


def read_terms(kind: str, payload: bytes) -> Terms:
    """Return what a payload says.

    Raises:
        InvalidJoint: the first fault, with its path.
    """
    try:
        claims = json.loads(payload, object_pairs_hook=each_once)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJoint(path="payload", found=type(error).__name__, accepted="JSON") from error
    if not isinstance(claims, dict) or claims.get("format") != FORMATS.get(kind):
        found = claims.get("format") if isinstance(claims, dict) else claims
        raise InvalidJoint(path="format", found=str(found)[:60], accepted=FORMATS.get(kind, ""))
    return _regulation(claims) if kind == "regulation" else _account(claims)


def _need(path: str, value: Any, fits: bool, accepted: str) -> None:
    if not fits:
        raise InvalidJoint(path=path, found=str(value)[:80], accepted=accepted)


def _text(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _moment(value: Any) -> bool:
    """Say whether a value is a moment in UTC, on a day that exists, in years that a page can show."""
    try:
        return _text(MOMENT, value) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


def whole(value: Any, least: int = 1) -> bool:
    """Say whether a value is a whole number from `least` on, below 2^53, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 53


def _regulation(claims: Mapping[str, Any]) -> Terms:
    key, version, digest, parties = (claims.get(k) for k in ("key", "version", "digest", "parties"))
    _need("key", key, _text(KEY, key), "a-z, 0-9, . -")
    _need("version", version, whole(version) and int(version or 0) < 1 << 31, "1, 2, 3 …")
    _need("digest", digest, _text(DIGEST, digest), "SHA-256")
    fits = isinstance(parties, list) and all(_text(KEY, p) for p in parties) and parties == sorted(set(parties))
    _need("parties", parties, fits and 0 < len(parties or ()) <= MOST_PARTIES, "organisation keys, sorted, each once")
    return Terms("regulation", f"{key}/{version}", tuple(parties or ()), claims)


def _account(claims: Mapping[str, Any]) -> Terms:
    month, a, b, sent, made_by, at = (claims.get(k) for k in ("month", "a", "b", "sent", "made_by", "at"))
    _need("month", month, _text(MONTH, month), "2020-03")
    for name, value in (("a", a), ("b", b)):
        _need(name, value, _text(KEY, value), "organisation key")
    _need("a, b", a, a != b, "two organisations")
    _need("made_by", made_by, made_by in {a, b}, "a or b")
    _need("at", at, _moment(at), "2020-04-03T00:00:00Z")
    _need("sent", sent, isinstance(sent, list) and len(sent) <= 2, "[{from, to, first, last, dispatches, missing}]")
    ways = []
    for i, way in enumerate(sent or ()):
        _way(way, f"sent[{i}]", {a, b})
        ways.append((way["from"], way["to"]))
    _need("sent", ways, len(set(ways)) == len(ways), "each way once")
    first, second = sorted((str(a), str(b)))
    return Terms("account", account_name(str(month), first, second), (first, second), claims)


def _way(way: Any, path: str, pair: set[Any]) -> None:
    _need(path, type(way).__name__, isinstance(way, Mapping), "{from, to, first, last, dispatches, missing}")
    _need(f"{path}.from, to", (way.get("from"), way.get("to")), {way.get("from"), way.get("to")} == pair, "a and b")
    first, last, dispatches, missing = (way.get(k) for k in ("first", "last", "dispatches", "missing"))
    _need(f"{path}.first, last", (first, last), whole(first, 0) and whole(last, 0), "0, 1, 2 …")
    _need(f"{path}.dispatches", type(dispatches).__name__, isinstance(dispatches, list), "[…]")
    _need(f"{path}.missing", type(missing).__name__, isinstance(missing, list) and all(whole(n) for n in missing), "[4, …]")
    for row in dispatches:
        fits = isinstance(row, Mapping) and whole(row.get("sequence")) and _text(DIGEST, row.get("digest"))
        fits = fits and (row.get("arrived") is None or _moment(row["arrived"])) and row.get("verdict") in VERDICTS
        _need(f"{path}.dispatches", row, bool(fits), "{sequence, digest, arrived, verdict}")
    numbers = [row["sequence"] for row in dispatches] + missing
    inside = len(set(numbers)) == len(numbers) and all(first <= n <= last for n in numbers)
    _need(f"{path}.dispatches, missing", f"{first} … {last}", inside, "first … last, each number once")


def account_name(month: str, one: str, other: str) -> str:
    """Return the name under which statements of one pair and month stand together.

    >>> account_name("2020-03", "b", "a")
    '2020-03/a/b'
    """
    return "/".join((month, *sorted((one, other))))


def payload_bytes(payload: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: canonical JSON (RFC 8785)."""
    return canonical(payload)


def unsigned(parties: Sequence[str], signed: Collection[str]) -> list[str]:
    """Return who has still to sign, in the order of the parties; nobody: the document is complete.

    >>> unsigned(["a", "b"], {"b"})
    ['a']
    """
    return [p for p in parties if p not in set(signed)]
