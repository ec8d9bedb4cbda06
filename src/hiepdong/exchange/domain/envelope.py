"""What exactly is signed: the content of a dispatch and of a receipt, as canonical JSON (RFC 8785, UTF-8, NFC).

The bytes are kept as signed; reading never rebuilds them, and keys that this version does not know survive in `extra`.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import rfc8785

from hiepdong.kernel.errors import DomainError, gettext_noop

FORMAT = "hiepdong.dispatch/1"
RECEIPT_FORMAT = "hiepdong.receipt/1"
SERVICE_KINDS = ("directory", "regulation", "account")  # what nodes tell each other for the sake of the exchange
KINDS = ("report", "nil_report", "notice", "withdrawal", *SERVICE_KINDS)
URGENCIES = ("ordinary", "urgent", "very_urgent", "immediate")
LONGEST_SUBJECT = 300
LONGEST_TEXT = 100_000
MOST_RECIPIENTS = 500
DIGEST = re.compile(r"[0-9a-f]{64}")


class InvalidContent(DomainError):
    """The content of a dispatch cannot be sent or read."""

    code = "exchange.invalid_content"
    message = gettext_noop("The dispatch cannot be sent: %(path)s: %(found)s.")
    hint = gettext_noop("Accepted: %(accepted)s.")


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient: organisation key, "to" or "copy", its place in the sequence and the digest before it."""

    organisation: str
    role: str = "to"
    sequence: int = 0
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one dispatch, before (sequence 0, no register) or after numbering."""

    id: str
    kind: str
    sender: str
    subject: str
    recipients: tuple[Recipient, ...]
    sent_at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)
    urgency: str = "ordinary"
    signer_title: str = ""
    year: int = 0
    number: int = 0
    notation: str = ""
    event_at: datetime | None = None
    answers: tuple[str, ...] = ()
    replaces: str = ""
    withdraws: str = ""
    reason: str = ""
    attachments: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def instant(at: datetime) -> str:
    """Return an aware moment as UTC to the second: "2020-03-20T03:00:00Z"."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _nfc(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return {_nfc(k): _nfc(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_nfc(v) for v in value]
    return value


def as_json(content: Content) -> dict[str, Any]:
    """Return the content as the JSON that is signed."""
    known = {
        "format": FORMAT,
        "id": content.id,
        "kind": content.kind,
        "sender": content.sender,
        "signer": {"title": content.signer_title},
        "register": {"year": content.year, "number": content.number, "notation": content.notation},
        "recipients": [
            {"organisation": r.organisation, "role": r.role, "sequence": r.sequence, "previous": r.previous}
            for r in content.recipients
        ],
        "urgency": content.urgency,
        "subject": content.subject,
        "sent_at": instant(content.sent_at),
        "event_at": instant(content.event_at) if content.event_at else None,
        "answers": list(content.answers),
        "replaces": content.replaces or None,
        "withdraws": content.withdraws or None,
        "reason": content.reason,
        "body": content.body,
        "attachments": list(content.attachments),
    }
    return dict(_nfc({**content.extra, **known}))


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a member that stands twice would be read differently by two programs.

    Raises:
        ValueError: a member stands twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return found


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return canonical JSON bytes (RFC 8785)."""
    try:
        return bytes(rfc8785.dumps(dict(value)))
    except rfc8785.CanonicalizationError as error:
        raise InvalidContent(path="body", found=str(error), accepted="JSON") from error


def check_content(content: Content) -> None:
    """Refuse what may not be signed.

    Raises:
        InvalidContent: the first fault, with its path.
    """

    def refuse(path: str, found: object, accepted: str) -> None:
        raise InvalidContent(path=path, found=str(found), accepted=accepted)

    if content.kind not in KINDS:
        refuse("kind", content.kind, ", ".join(KINDS))
    if content.urgency not in URGENCIES:
        refuse("urgency", content.urgency, ", ".join(URGENCIES))
    if not content.subject.strip():
        refuse("subject", "∅", "1 … 300")
    if len(content.subject) > LONGEST_SUBJECT:
        refuse("subject", len(content.subject), f"≤ {LONGEST_SUBJECT}")
    if not any(r.role == "to" for r in content.recipients):
        refuse("recipients", "∅", "≥ 1")
    if len(content.recipients) > MOST_RECIPIENTS:
        refuse("recipients", len(content.recipients), f"≤ {MOST_RECIPIENTS}")
    keys = [r.organisation for r in content.recipients]
    if len(set(keys)) != len(keys) or content.sender in keys:
        refuse("recipients", ", ".join(keys), "each once, not the sender")
    if len(str(content.body.get("text", ""))) > LONGEST_TEXT:
        refuse("body.text", len(content.body["text"]), f"≤ {LONGEST_TEXT}")
    if content.kind == "withdrawal" and not (content.withdraws and content.reason.strip()):
        refuse("reason", "∅", "a withdrawal names the dispatch and gives a reason")
    if content.kind == "report" and "form" not in content.body:
        refuse("body.form", "∅", "a report has a form")
    if content.sent_at.tzinfo is None:
        refuse("sent_at", content.sent_at, "an aware moment")


def read_content(payload: bytes) -> Content:
    """Return the content of signed bytes; keys not known to this version are kept in `extra`.

    Raises:
        InvalidContent: the bytes are not a dispatch of this format.
    """
    try:
        data = json.loads(payload, object_pairs_hook=each_once)
    except ValueError as error:
        raise InvalidContent(path="content", found=type(error).__name__, accepted=FORMAT) from error
    return content_of(data)


def content_of(data: Any) -> Content:
    """Return the content of a dispatch that was read from JSON, as `read_content` does.

    Raises:
        InvalidContent.
    """
    try:
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InvalidContent(path="format", found=str(data.get("format"))[:60], accepted=FORMAT)
        content = Content(
            id=str(data["id"]),
            kind=str(data["kind"]),
            sender=str(data["sender"]),
            subject=str(data["subject"]),
            recipients=tuple(
                Recipient(str(r["organisation"]), str(r["role"]), int(r["sequence"]), str(r["previous"]))
                for r in data["recipients"]
            ),
            sent_at=datetime.fromisoformat(data["sent_at"]),
            body=dict(data["body"]),
            urgency=str(data["urgency"]),
            signer_title=str(data["signer"]["title"]),
            year=int(data["register"]["year"]),
            number=int(data["register"]["number"]),
            notation=str(data["register"]["notation"]),
            event_at=datetime.fromisoformat(data["event_at"]) if data.get("event_at") else None,
            answers=tuple(str(a) for a in data["answers"]),
            replaces=str(data.get("replaces") or ""),
            withdraws=str(data.get("withdraws") or ""),
            reason=str(data.get("reason", "")),
            attachments=tuple(dict(a) for a in data.get("attachments", ())),
            extra={k: v for k, v in data.items() if k not in _KNOWN},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidContent(path="content", found=type(error).__name__, accepted=FORMAT) from error
    check_content(content)
    return content


_EMPTY = Content("", "notice", "", "", (), datetime(2000, 1, 1, tzinfo=UTC))
_KNOWN = frozenset(as_json(_EMPTY))


def receipt_json(
    *, dispatch_digest: str, dispatch_id: str, organisation: str, code: str, at: datetime, reason: str
) -> dict[str, Any]:
    """Return the JSON of a receipt: which bytes (by SHA-256), who answers, what, when, why."""
    return {
        "format": RECEIPT_FORMAT,
        "dispatch": dispatch_id,
        "digest": dispatch_digest,
        "organisation": organisation,
        "code": code,
        "at": instant(at),
        "reason": unicodedata.normalize("NFC", reason),
    }
