"""The cover sheet of a bundle that this node wrote: its facts, who sends it, the PDF beside the file."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from hiepdong.documents.domain.notation import is_party_body
from hiepdong.kernel.disk import whole_file
from hiepdong.kernel.moments import local_day
from hiepdong.organisations import queries as organisations

from . import links
from .bundle_refusals import BundleNotWritten
from .bundles import Written
from .cover_sheet import BundleFacts, Issuer, render_cover_sheet


def facts_of(written: Written) -> BundleFacts:
    """Return what the cover sheet of a bundle says."""
    row = written.row
    return BundleFacts(
        sender=links.this_node().name,
        receiver=row.peer.name,
        made_at=row.made_at,
        bundle_id=str(row.uuid),
        file_name=row.name,
        size=row.size,
        digest=row.digest,
        items=row.items,
        first=row.first,
        last=row.last,
        kinds=dict(written.kinds),
        files=row.files,
        files_size=written.files_size,
        held_through=written.held_through,
        part=written.part,
        parts=written.parts,
        encrypted=written.encrypted,
        made_up=bool(settings.HIEPDONG_DEMO_DAY),
        asks=written.asks,
        echo=written.echo,
    )


def facts_as_json(facts: BundleFacts) -> dict[str, Any]:
    """Return the facts of a sheet so that they can be kept in a file."""
    return asdict(facts) | {"made_at": facts.made_at.isoformat()}


def facts_from_json(kept: Mapping[str, Any]) -> BundleFacts:
    """Return the facts of a sheet that were kept by `facts_as_json`."""
    return BundleFacts(**{**kept, "made_at": datetime.fromisoformat(kept["made_at"])})


def issuer_at(at: datetime) -> Issuer:
    """Return who stands at the head of the sheet: the organisation that speaks for this node, and the one above it."""
    node = links.this_node()
    speaker = node.speaker
    if speaker is None:
        return Issuer(node.name, "")
    pairs = organisations.superior_pairs([speaker.pk], local_day(at))
    known = organisations.organisations_by_ids([superior for _, superior in pairs])
    # A paper of the state names no Party committee above its issuing body, and the other way round.
    above = sorted(o.name for o in known.values() if is_party_body(o.kind) == is_party_body(speaker.kind))
    return Issuer(speaker.name, speaker.kind, above[0] if above else "", speaker.notation, speaker.place)


def cover_path(bundle: Path) -> Path:
    """Return where the sheet of a bundle lies: beside it, under the same name.

    >>> cover_path(Path("a/vinh_ky-son_1-4.zip.age")).name
    'vinh_ky-son_1-4.pdf'
    """
    return bundle.with_name(bundle.name.removesuffix(".age").removesuffix(".zip") + ".pdf")


def write_cover(written: Written) -> Path:
    """Write the cover sheet beside the bundle and return its path; a reader never sees half of it.

    Raises:
        FontsMissing: see `documents.rendering`. BundleNotWritten: the disk is full, gone, read-only.
    """
    target = cover_path(written.path)
    sheet = render_cover_sheet(facts_of(written), issuer=issuer_at(written.row.made_at))
    try:
        with whole_file(target) as out:
            out.write(sheet)
    except OSError as error:
        raise BundleNotWritten(file=target.name, reason=error.strerror or str(error)) from error
    return target
