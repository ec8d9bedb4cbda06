"""What this node computed for a regulation and a year, as a signed file, and files of two nodes held against each other."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from importlib import metadata
from typing import Any

from django.db.models import Prefetch

from hiepdong.exchange import links, signing
from hiepdong.exchange.domain.envelope import instant
from hiepdong.exchange.models import NodeKey
from hiepdong.organisations.models import Organisation, Responsibility, Superior
from hiepdong.regulations.models import Instrument

from .domain.comparison import FORMAT, Computed, NotComparable, digest_of, file_of, read_computed
from .models import Duty
from .services import NoSuchInstrument

LARGEST = 200 * 1024 * 1024


def computed_here(*, instrument_key: str, year: int, at: datetime) -> Computed:
    """Return every duty of the regulation whose period ends in the local year, with what it was computed from.

    Raises:
        NoSuchInstrument: no version is in force here. NodeNotFounded: this node has no identity to sign with.
    """
    versions = dict(Instrument.objects.filter(key=instrument_key).values_list("version", "digest"))
    if not versions:
        raise NoSuchInstrument(key=instrument_key)
    rows = Duty.objects.filter(
        rule__instrument__key=instrument_key, period_to__gte=date(year, 1, 1), period_to__lte=date(year, 12, 31)
    )
    found = rows.values_list("reference", "due_at", "rule__instrument__version", "calendar_digest")
    duties = {reference: (instant(due), version, days) for reference, due, version, days in found.iterator(chunk_size=2000)}
    return Computed(
        node=links.this_node().name,
        regulation=instrument_key,
        year=year,
        program=metadata.version("hiepdong"),
        versions=versions,
        bodies=_bodies(instrument_key, duties),
        duties=duties,
        made_at=instant(at),
    )


def _bodies(instrument_key: str, duties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parties, and all that a duty names, with what selecting and pairing them depends on."""
    keys = {key for reference in duties for key in reference.split("/")[2:4]}
    parties = Organisation.objects.filter(pk__in=Instrument.objects.filter(key=instrument_key).values("parties__organisation"))
    keys |= set(parties.values_list("key", flat=True))
    rows = Organisation.objects.filter(key__in=keys).prefetch_related(
        Prefetch("superiors", Superior.objects.select_related("superior")),
        Prefetch("responsibilities", Responsibility.objects.select_related("unit")),
    )
    return {
        o.key: {
            "kind": o.kind,
            "valid": [_day(o.valid_from), _day(o.valid_until)],
            "superiors": sorted([s.superior.key, _day(s.valid_from), _day(s.valid_until)] for s in o.superiors.all()),
            "territories": sorted(
                [f"{r.unit.level}:{r.unit.code}", _day(r.valid_from), _day(r.valid_until)] for r in o.responsibilities.all()
            ),
        }
        for o in rows
    }


def _day(on: date | None) -> str:
    return on.isoformat() if on else ""


def export(*, instrument_key: str, year: int, at: datetime) -> bytes:
    """Return the signed file. It proves nothing to third parties; it shows which node said so, and that nobody changed it."""
    computed = computed_here(instrument_key=instrument_key, year=year, at=at)
    node = links.this_node()
    claims = {
        "format": FORMAT,
        "node": str(node.node_id),
        "regulation": instrument_key,
        "year": year,
        "digest": digest_of(computed.content()),
        "at": instant(at),
    }
    return file_of(computed, links.sign_as_node(claims, typ=signing.DUTIES_TYPE, at=at).decode("ascii"))


def read(data: bytes, name: str) -> Computed:
    """Return what a file says, its signature checked as far as its node's key is known here (`signed`).

    Raises:
        NotComparable: it is no such file, its signature does not fit, or its content is not what was signed.
    """
    if len(data) > LARGEST:
        raise NotComparable(name=name, why=f"> {LARGEST} bytes")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotComparable(name=name, why="JSON") from error
    computed, signed = read_computed(raw, name)
    document = signed.encode("ascii", "replace")
    try:
        kid = signing.header_of(document)["kid"]
        claims = signing.claims_of(document)
        if claims.get("digest") != digest_of(raw["content"]) or claims.get("at") != computed.made_at:
            raise NotComparable(name=name, why="digest")
        key = NodeKey.objects.filter(kid=kid).select_related("peer").first()
        state = "unknown_key"
        if key is not None:
            signing.verify(document, public_jwk=key.public_jwk, kid=kid, typ=signing.DUTIES_TYPE)
            owner = key.peer.node_id if key.peer is not None else links.this_node().node_id
            state = "good" if claims.get("node") == str(owner) else "unknown_key"
    except signing.BadSignature as error:
        raise NotComparable(name=name, why=str(error)) from error
    return replace(computed, signed=state)
