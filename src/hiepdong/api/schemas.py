"""What goes in and out, for the description. Members that are not named here are let through: a newer node may send them."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field

from hiepdong.exchange.domain.envelope import LONGEST_SUBJECT, LONGEST_TEXT, MOST_RECIPIENTS
from hiepdong.exchange.domain.links import COMPACT, LARGEST_DOCUMENT, MOST_HOPS, MOST_ITEMS

LARGEST_POSITION = (1 << 62) - 1
MOST_ROWS = 200

Position = Annotated[int, Field(strict=True, ge=0, le=LARGEST_POSITION)]
Jws = Annotated[str, Field(pattern=f"^{COMPACT.pattern}$", max_length=LARGEST_DOCUMENT)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Typed = Annotated[str, Field(pattern=r"\S")]  # something that can be seen


class Open(Schema):
    """A shape that newer versions may add members to."""

    model_config = ConfigDict(extra="allow")


class Problem(Schema):
    """RFC 9457, with the code of docs/reference/errors.md."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    errors: list[dict[str, str]] | None = None
    have: int | None = None


# --- between nodes -----------------------------------------------------------------------------------------------------


class Greeting(Open):
    node: UUID
    incarnation: Annotated[str, Field(min_length=1, max_length=32)]
    protocol: list[int]
    at: AwareDatetime
    sent_through: Position
    held_through: Position


class ItemShape(Open):
    position: Annotated[int, Field(strict=True, ge=1, le=LARGEST_POSITION)]
    kind: Annotated[str, Field(pattern="^[a-z_]{1,20}$")]
    document: Jws
    hops: Annotated[list[Jws], Field(max_length=MOST_HOPS)] = []


class ItemsIn(Open):
    items: Annotated[list[ItemShape], Field(max_length=MOST_ITEMS)]


class OutcomeShape(Schema):
    position: int
    digest: Sha256
    state: Literal["applied", "held", "refused"]
    code: str
    receipts: list[str]


class Taken(Schema):
    held_through: int
    results: list[OutcomeShape]
    wanted: list[Sha256]


class ItemsOut(Schema):
    items: list[ItemShape]
    sent_through: int
    wanted: list[Sha256]


class HeldIn(Open):
    held_through: Position


class HeldOut(Schema):
    confirmed_through: int


class EchoOut(Schema):
    items: list[ItemShape]
    held_through: int


class PieceOut(Schema):
    have: int


# --- for the systems of organisations at home here ---------------------------------------------------------------------


class Body(Schema):
    key: str
    name: str


class SeatOut(Schema):
    person: str
    organisation: Body
    role: str
    title: str


class DutyOut(Schema):
    reference: str
    regulation: str
    version: int
    rule: str
    title: str
    clause: str
    occasion: str
    debtor: Body
    creditor: Body
    period_from: date
    period_to: date
    opens_at: datetime
    due_at: datetime  # the first instant that is too late
    provisional: bool
    status: str
    fulfilled_at: datetime | None
    fulfilled_by: UUID | None
    nil: bool


class DutyPage(Schema):
    items: list[DutyOut]
    next: str | None


class AddresseeOut(Schema):
    organisation: Body
    role: str
    sequence: int
    arrived_at: datetime | None
    acknowledged_at: datetime | None
    returned_at: datetime | None
    return_reason: str
    in_work_at: datetime | None
    done_at: datetime | None


class RowOut(Schema):
    """A line of a register."""

    id: UUID
    kind: str
    urgency: str
    notation: str
    year: int
    number: int
    subject: str
    sender: Body
    sent_at: datetime
    digest: Sha256
    addressees: list[AddresseeOut]


class RowPage(Schema):
    items: list[RowOut]
    next: str | None


class ReceiptOut(Schema):
    organisation: str
    code: str
    at: datetime
    reason: str
    digest: Sha256
    signed: str


class AttachmentOut(Schema):
    name: str
    digest: Sha256
    size: int
    media_type: str
    here: bool  # false: the bytes have not come yet


class DispatchOut(RowOut):
    """One paper: the row, what was signed, the receipts as signed."""

    signed: str
    content: dict[str, Any]
    answers: list[str]
    replaces: UUID | None
    withdraws: UUID | None
    replaced_by: list[UUID]
    withdrawn_by: list[UUID]
    receipts: list[ReceiptOut]
    attachments: list[AttachmentOut]


class RecipientIn(Schema):
    organisation: Annotated[str, Field(max_length=120)]
    role: Literal["to", "copy"] = "to"


class DraftIn(Schema):
    """A notice to be laid before people; a program signs nothing."""

    id: UUID | None = None  # made by the caller: sent again, it is the same draft
    subject: Annotated[Typed, Field(max_length=LONGEST_SUBJECT)]
    text: Annotated[Typed, Field(max_length=LONGEST_TEXT)]
    recipients: Annotated[list[RecipientIn], Field(min_length=1, max_length=MOST_RECIPIENTS)]
    urgency: Literal["ordinary", "urgent", "very_urgent", "immediate"] = "ordinary"
    event_at: AwareDatetime | None = None
    answers: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=50)] = []
    submit: bool = False  # lay it before the signer at once


class DraftOut(Schema):
    id: UUID
    revision: int
    saved_at: datetime
    submitted_at: datetime | None
    sent_as: UUID | None
    page: str  # where a person signs it
