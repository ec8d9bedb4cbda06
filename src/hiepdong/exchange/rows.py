"""The rows that stand for a signed paper: built from its bytes, on every node alike."""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hiepdong.documents.models import File
from hiepdong.documents.services import keep_file
from hiepdong.kernel.text import fold, nfc
from hiepdong.organisations.models import Organisation
from hiepdong.shell.bulk import fresh

from . import search_index
from .domain.envelope import SERVICE_KINDS, Content, InvalidContent
from .models import Addressee, Attachment, Dispatch, SigningKey

EARLIEST, LATEST = datetime(1945, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)  # what can be stored and shown
LONGEST_INDEXED = 200_000  # characters of a paper in the word index; PostgreSQL takes a megabyte of words
EMPTY = hashlib.sha256(b"").hexdigest()  # of a file without a byte: nobody needs to bring it
OUT, SERVICE = "out", "service"  # registers: papers that people write; what nodes tell each other
_HEX = set("0123456789abcdef")


def register_of(kind: str) -> str:
    """Return the register in which a kind of dispatch is numbered."""
    return SERVICE if kind in SERVICE_KINDS else OUT


def stands_apart(kind: str) -> bool:
    """Say whether a kind of dispatch is no exchange between people: what takes back, and the nodes' own service."""
    return kind == "withdrawal" or kind in SERVICE_KINDS


def texts_of(content: Content) -> Iterable[str]:
    """Yield every text of a paper: subject, reason, title, and all that its body holds."""
    yield from (content.subject, content.reason, content.signer_title)
    yield from strings_in(content.body)


def strings_in(value: Any) -> Iterable[str]:
    """Yield every string in a JSON value, however deep."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


def check_storable(claims: Mapping[str, Any], payload: bytes) -> None:
    """Refuse text that no database can store: U+0000, and halves of a pair that stand for no character.

    Both can stand in JSON only as an escape, so most documents are not looked into.

    Raises:
        InvalidContent: with what was found.
    """
    if b"\\u" not in payload:
        return
    for text in (*strings_in(claims), *_names_in(claims)):
        if "\0" in text or _HALF.search(text):
            raise InvalidContent(path="text", found="U+0000, U+D800 … U+DFFF", accepted="Unicode")


_HALF = re.compile("[\ud800-\udfff]")


def _names_in(value: Any) -> Iterable[str]:
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, Mapping):
            yield from (str(name) for name in value)
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


def dispatch_of(
    *,
    document: bytes,
    digest: str,
    content: Content,
    key: SigningKey,
    replaces: Dispatch | None,
    withdraws: Dispatch | None,
    at: datetime,
) -> Dispatch:
    """Return the row of a paper, not stored; `at` is when this node stores it."""
    return fresh(
        Dispatch,
        uuid=uuid.UUID(content.id),
        sender=key.organisation,
        kind=content.kind,
        urgency=content.urgency,
        register=register_of(content.kind),
        register_year=content.year,
        register_number=content.number,
        notation=content.notation,
        subject=content.subject,
        subject_folded=fold(content.subject)[:300],
        sent_at=content.sent_at,
        event_at=content.event_at,
        entered_at=at,
        answers=list(content.answers),
        replaces=replaces,
        withdraws=withdraws,
        signed=document,
        digest=digest,
        key=key,
        signer_title=content.signer_title,
    )


def addressees_of(
    dispatch: Dispatch, content: Content, bodies: Mapping[str, Organisation], arrived: Mapping[str, datetime]
) -> list[Addressee]:
    """Return the recipients that are known here, not stored; `arrived` says for whom it arrived here, and when."""
    return [
        fresh(
            Addressee,
            dispatch=dispatch,
            organisation=bodies[r.organisation],
            role=r.role,
            sender_id_copy=dispatch.sender_id,
            sequence=r.sequence,
            previous_digest=r.previous,
            sent_at=dispatch.sent_at,
            apart=stands_apart(content.kind),
            arrived_at=arrived.get(r.organisation),
        )
        for r in content.recipients
        if r.organisation in bodies
    ]


def check_rows(content: Content) -> None:
    """Refuse what no row can hold, although it was signed.

    Raises:
        InvalidContent: with its path.
    """

    def refuse(path: str, found: object, accepted: str) -> InvalidContent:
        return InvalidContent(path=path, found=str(found)[:80], accepted=accepted)

    if not 1945 <= content.year <= 9999 or not 0 < content.number < 1 << 31:
        raise refuse("register", f"{content.year}/{content.number}", "1945 … 9999 / 1, 2, 3 …")
    if len(content.notation) > 60 or len(content.signer_title) > 120:
        raise refuse("register.notation, signer.title", len(content.notation), "≤ 60, ≤ 120")
    for name, moment in (("sent_at", content.sent_at), ("event_at", content.event_at)):
        if moment is not None and (moment.tzinfo is None or not EARLIEST <= moment <= LATEST):
            raise refuse(name, moment, "1945 … 9000, UTC")
    for r in content.recipients:
        if not 0 < r.sequence < 1 << 31 or r.role not in {"to", "copy"}:
            raise refuse("recipients", f"{r.organisation} {r.role} {r.sequence}", "to|copy; 1, 2, 3 …")
        if (r.previous and (len(r.previous) != 64 or set(r.previous) - _HEX)) or bool(r.previous) == (r.sequence == 1):
            raise refuse("recipients.previous", r.previous, "SHA-256; empty for the first")
    for a in content.attachments:
        size, digest = a.get("size"), str(a.get("digest", ""))
        named = isinstance(a.get("name"), str) and isinstance(a.get("media_type"), str)
        if not named or not isinstance(size, int) or not 0 <= size < 1 << 40 or len(digest) != 64 or set(digest) - _HEX:
            raise refuse("attachments", str(dict(a)), "{name, digest, size, media_type}")
    if any(len(a) > 300 for a in content.answers) or len(content.answers) > 500:
        raise refuse("answers", len(content.answers), "≤ 500, each ≤ 300")


def attach(dispatches: Sequence[Dispatch], contents: Sequence[Content], *, at: datetime) -> bool:
    """Name the files that belong to papers; bytes that are not here yet are a marked hole, and asked for.

    Says whether there are any files.
    """
    named = {str(a["digest"]): a for c in contents for a in c.attachments}
    if not named:
        return False
    if EMPTY in named:  # there is no piece of it to wait for
        keep_file(data=b"", name=nfc(str(named[EMPTY]["name"])), media_type=str(named[EMPTY]["media_type"]), at=at)
    known = {f.digest: f for f in File.objects.filter(digest__in=named)}
    unknown = [
        File(
            digest=digest,
            size=int(a["size"]),
            kept=False,
            media_type=str(a["media_type"])[:100],
            name=nfc(str(a["name"]))[:200],
            added_at=at,
        )
        for digest, a in named.items()
        if digest not in known
    ]
    File.objects.bulk_create(unknown, ignore_conflicts=True)
    known |= {f.digest: f for f in File.objects.filter(digest__in=[f.digest for f in unknown])}
    Attachment.objects.bulk_create(
        Attachment(dispatch=d, file=known[str(a["digest"])], name=nfc(str(a["name"]))[:200])
        for d, c in zip(dispatches, contents, strict=True)
        for a in c.attachments
    )
    return True


def index(papers: Iterable[tuple[Dispatch, Content, Sequence[Addressee]]]) -> None:
    """Add papers to the word index."""
    search_index.add(
        (
            d.pk,
            " ".join([c.subject, c.notation, d.sender.name, *(a.organisation.name for a in addressees), *texts_of(c)])[
                :LONGEST_INDEXED
            ],
            {d.sender_id, *(a.organisation_id for a in addressees)},
        )
        for d, c, addressees in papers
    )
