"""Every address of a node with what it answers to whom, and a small world with a record of each kind."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import F
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from hiepdong.accounts.services import make_calendar_token
from hiepdong.documents.services import keep_file
from hiepdong.exchange import bundle_desk, invitation_address, links, statements
from hiepdong.exchange import services as exchange
from hiepdong.exchange.models import Dispatch, JointDocument, Peer
from hiepdong.organisations.models import Organisation, Reorganisation
from hiepdong.regulations.services import propose
from hiepdong.review.services import build_review, put_item
from support.joint import regulation_text
from support.make import KEY, LONG_AGO, SENT_AT, World, entered, notice, seat
from support.strangers import Stranger, at_home

ROLES = ("viewer", "clerk", "signer", "organisation_administrator", "node_administrator")
SIGN_IN = "sign-in"
LINKED_AT = datetime.fromisoformat("2020-03-18T03:00:00+00:00")


@dataclass(frozen=True)
class Row:
    """What an address answers: one status for each of ROLES, at the acting party and at the outsider."""

    party: str
    outsider: str
    args: Callable[["Walk"], list[Any]] = lambda w: []
    at: str = "station"  # which party acts
    post: dict[str, str] | None = None  # POST with these fields; None: GET
    anonymous: int | str = SIGN_IN
    ended: int = 403  # a person whose only seat has ended
    other: int | None = 405  # the other of GET and POST, by those who may; None: the address takes both


def dispatch(w: "Walk") -> list[Any]:
    return [w.dispatch.uuid]


def duty(w: "Walk") -> list[Any]:
    return [w.duty.pk]


def review(w: "Walk") -> list[Any]:
    return [w.review.pk]


EVERYONE = "200 200 200 200 200"
READERS = "200 200 200 200 404"  # of a record: a node administrator reads nobody's papers
NOBODY = "404 404 404 404 404"
CLERKS = "403 302 302 403 403"
SIGNERS = "403 403 302 403 403"
EDITORS = "403 200 200 403 403"
REVIEWS = "200 200 200 200 403"
NO_REVIEW = "404 404 404 404 403"
NO_CLERK = "403 404 404 403 403"  # the role is refused before the record is looked for
NO_SIGNER = "403 403 404 403 403"
ADMINISTRATOR = "403 403 403 403 200"  # who runs the node
ADMINISTERS = "403 403 403 403 302"


def peer(w: "Walk") -> list[Any]:
    return [w.peer.pk]


def secret_address(w: "Walk") -> list[Any]:
    """A secret address of an invitation, made for this visit."""
    secret(w)
    return [invitation_address.open_addresses(at=timezone.now())[0].pk]


def secret(w: "Walk") -> list[Any]:
    """The token of such an address."""
    w.peer  # noqa: B018 - it founds this node
    links.set_node(address="https://nut.example", actor=None, at=LINKED_AT)
    return [invitation_address.offer(actor=None, at=timezone.now()).rpartition("/")[2]]


def held(w: "Walk") -> list[Any]:
    return [w.peer.arrivals.get().pk]


def errand(w: "Walk") -> list[Any]:
    """A bundle that was written for the other node."""
    asked = {"peer_id": w.peer.pk, "encrypt": True, "empty": True, "actor": seat(w.world.station, "node_administrator")}
    return [bundle_desk.ask_export(**asked, at=LINKED_AT).token]


def refused(w: "Walk") -> list[Any]:
    """A paper to another node that is held there and not taken, for its key was revoked."""
    return [w.refused.uuid]


def acknowledged(w: "Walk") -> list[Any]:
    exchange.acknowledge(dispatch_uuid=w.dispatch.uuid, actor=w.world.reader, at=SENT_AT)
    return [w.dispatch.uuid]


def receipt(w: "Walk") -> list[Any]:
    return [w.dispatch.uuid, w.dispatch.addressees.get().receipts.get(code="arrived").pk]


TABLE: dict[str, Row] = {
    # the desk and what stands beside it
    "web:desk": Row(EVERYONE, EVERYONE),
    "web:board": Row(EVERYONE, EVERYONE),
    "web:calendar": Row(EVERYONE, EVERYONE),
    "web:calendar_secret": Row("302 302 302 302 302", "302 302 302 302 302", post={}),
    "web:calendar_feed": Row(EVERYONE, EVERYONE, lambda w: [w.secret], anonymous=200, ended=200),
    "web:search": Row(EVERYONE, EVERYONE),
    "web:help": Row(EVERYONE, EVERYONE),
    "web:moment": Row("302 302 302 302 302", "302 302 302 302 302", post={"on": "2020-03-01"}),
    # people
    "accounts:sign_in": Row(EVERYONE, EVERYONE, anonymous=200, ended=200, other=None),
    "accounts:sign_out": Row("302 302 302 302 302", "302 302 302 302 302", post={}, anonymous=SIGN_IN, ended=302),
    "accounts:seat_switch": Row(NOBODY, NOBODY, post={"seat": "0"}),
    "accounts:password": Row(EVERYONE, EVERYONE, other=None),
    "accounts:token_list": Row(EVERYONE, EVERYONE, other=None),
    "accounts:token_end": Row(NOBODY, NOBODY, lambda w: [1], post={}),  # each seat ends its own
    "accounts:seat_list": Row("403 403 403 200 200", "403 403 403 200 200"),
    "accounts:seat_new": Row("403 403 403 200 200", "403 403 403 200 200", other=None),
    "accounts:seat_end": Row("403 403 403 302 302", "403 403 403 404 302", lambda w: [w.world.clerk.pk], post={}),
    # public reference data: whoever signs in
    "organisations:organisation_list": Row(EVERYONE, EVERYONE, ended=200),
    "organisations:organisation_detail": Row(EVERYONE, EVERYONE, lambda w: [w.world.station.key], ended=200),
    "territories:unit_list": Row(EVERYONE, EVERYONE, ended=200),
    "territories:unit_detail": Row(EVERYONE, EVERYONE, lambda w: [w.world.unit.pk], ended=200),
    "organisations:reorganisation_list": Row(EVERYONE, EVERYONE, ended=200),
    "organisations:reorganisation_detail": Row(EVERYONE, EVERYONE, lambda w: ["t.sap-xep"], ended=200),
    # papers
    "exchange:dispatch_detail": Row(READERS, NOBODY, dispatch),
    "exchange:dispatch_raw": Row(READERS, NOBODY, dispatch),
    "exchange:dispatch_evidence": Row(READERS, NOBODY, dispatch),
    "exchange:evidence_form": Row(REVIEWS, REVIEWS),
    "exchange:evidence_pair": Row(REVIEWS, NO_REVIEW),
    "exchange:again_list": Row(REVIEWS, REVIEWS),
    "exchange:dispatch_again": Row(SIGNERS, NO_SIGNER, refused, post={}),
    "exchange:dispatch_file": Row(READERS, NOBODY, lambda w: [w.dispatch.uuid, w.dispatch.attachments.get().pk]),
    "exchange:dispatch_acknowledge": Row(CLERKS, NO_CLERK, dispatch, at="district", post={}),
    "exchange:dispatch_return": Row(SIGNERS, NO_SIGNER, dispatch, at="district", post={"reason": "Thiếu số liệu."}),
    "exchange:dispatch_withdraw": Row(SIGNERS, NO_SIGNER, dispatch, post={"reason": "Gửi nhầm."}),
    "exchange:dispatch_replace": Row(CLERKS, NO_CLERK, dispatch, post={}),
    "exchange:register_out": Row(READERS, NOBODY, lambda w: [], other=405),
    "exchange:register_in": Row(READERS, NOBODY, lambda w: [], other=405),
    "exchange:draft_list": Row("200 200 200 200 403", "200 200 200 200 403"),
    "exchange:notice_new": Row(CLERKS, CLERKS),
    "exchange:draft_form": Row("403 200 200 403 403", NO_CLERK, lambda w: [w.draft.pk], other=None),
    "exchange:draft_discard": Row(CLERKS, NO_CLERK, lambda w: [w.draft.pk], post={}),
    "exchange:separate_channel": Row(CLERKS, CLERKS, post={}),
    "exchange:receipt_raw": Row(READERS, NOBODY, receipt),
    "exchange:dispatch_progress": Row(CLERKS, NO_CLERK, acknowledged, at="district", post={"code": "in_work"}),
    # links with other nodes: how they are, for who reads papers here; what is on them, for who runs the node
    "exchange:link_list": Row(EVERYONE, EVERYONE),
    "exchange:link_detail": Row(EVERYONE, EVERYONE, peer),
    "exchange:link_items": Row(ADMINISTRATOR, ADMINISTRATOR, peer),
    "exchange:link_new": Row(ADMINISTRATOR, ADMINISTRATOR, other=None),
    "exchange:address_end": Row(ADMINISTERS, ADMINISTERS, secret_address, post={}),
    "invitation": Row(EVERYONE, EVERYONE, secret, anonymous=200, ended=200, other=415),  # who has its address
    "exchange:link_confirm": Row(ADMINISTERS, ADMINISTERS, peer, post={"same": "1"}),
    "exchange:link_state": Row(ADMINISTERS, ADMINISTERS, peer, post={"state": "paused"}),
    "exchange:link_release": Row(ADMINISTERS, ADMINISTERS, held, post={}),
    "exchange:link_dismiss": Row(ADMINISTERS, ADMINISTERS, held, post={"reason": "Gửi nhầm."}),
    "exchange:bundle_list": Row(ADMINISTRATOR, ADMINISTRATOR),
    "exchange:bundle_detail": Row(ADMINISTRATOR, ADMINISTRATOR, lambda w: [errand(w) and w.peer.bundles.latest("pk").pk]),
    "exchange:bundle_make": Row(ADMINISTERS, ADMINISTERS, peer, post={"empty": "1"}),
    "exchange:bundle_upload": Row("403 403 403 403 422", "403 403 403 403 422", post={}, other=None),
    "exchange:bundle_errand": Row(ADMINISTRATOR, ADMINISTRATOR, errand),
    "exchange:bundle_take": Row("403 403 403 403 404", "403 403 403 403 404", errand, post={}, other=None),
    "exchange:bundle_drop": Row(ADMINISTERS, ADMINISTERS, errand, post={}),
    "exchange:bundle_file": Row(ADMINISTRATOR, ADMINISTRATOR, lambda w: [*errand(w), 1]),
    "exchange:bundle_sheet": Row(ADMINISTRATOR, ADMINISTRATOR, lambda w: [*errand(w), 1]),
    "exchange:bundle_sheet_pdf": Row(ADMINISTRATOR, ADMINISTRATOR, lambda w: [*errand(w), 1]),
    "exchange:link_seen": Row(ADMINISTERS, ADMINISTERS, lambda w: [w.peer.incidents.get().pk], post={}),
    "exchange:key_list": Row(ADMINISTRATOR, ADMINISTRATOR),
    "exchange:key_rotate": Row(ADMINISTERS, ADMINISTERS, lambda w: [w.peer and w.world.station.key], post={}),
    # statements of account, and what several sign
    "exchange:account_list": Row(REVIEWS, REVIEWS),
    "exchange:account_make": Row(CLERKS, CLERKS, post={"month": "2020-03", "other": "t.huyen-uy"}),
    "exchange:account_detail": Row(REVIEWS, NO_REVIEW, lambda w: w.account.name.split("/")),
    "exchange:account_pdf": Row(REVIEWS, NO_REVIEW, lambda w: [w.account.digest]),
    "exchange:account_sign": Row(SIGNERS, NO_SIGNER, lambda w: [w.account.digest], post={}),
    "exchange:joint_raw": Row(READERS, NOBODY, lambda w: [w.account.digest]),
    "regulations:proposal_detail": Row(EVERYONE, "404 404 404 404 200", lambda w: [w.proposal.digest]),
    "regulations:proposal_sign": Row(SIGNERS, "403 403 404 403 403", lambda w: [w.proposal.digest], post={}),
    # regulations: a node administrator loads them and may read them
    "regulations:instrument_list": Row(EVERYONE, EVERYONE),
    "regulations:instrument_detail": Row(EVERYONE, "404 404 404 404 200", lambda w: [w.world.instrument.key]),
    "regulations:instrument_file": Row(EVERYONE, "404 404 404 404 200", lambda w: [w.world.instrument.key, 1]),
    # duties
    "duties:duty_list": Row(EVERYONE, EVERYONE),
    "duties:duty_detail": Row(READERS, NOBODY, duty),
    "duties:duty_by_reference": Row("302 302 302 302 404", NOBODY, lambda w: [w.duty.reference]),
    "duties:duty_write": Row(CLERKS, NO_CLERK, duty, other=None),
    "duties:nil_send": Row(SIGNERS, NO_SIGNER, duty, post={}),
    "duties:duty_waive": Row(SIGNERS, NO_SIGNER, duty, at="district", post={"reason": "Bận chống dịch."}),
    "duties:duty_suspend": Row(SIGNERS, NO_SIGNER, duty, at="district", post={"reason": "Bận chống dịch."}),
    # reports and figures
    "reporting:report_new": Row(CLERKS, NO_CLERK, lambda w: []),
    "reporting:report_form": Row("403 200 200 403 403", NO_CLERK, lambda w: [w.report_draft], other=None),
    "reporting:report_preview": Row("200 200 200 200 403", "404 404 404 404 403", lambda w: [w.report_draft]),
    "reporting:figure_list": Row(EVERYONE, EVERYONE),
    # the review: written by the body that issued the regulation
    "review:review_list": Row(REVIEWS, REVIEWS),
    "review:review_build": Row(CLERKS, "403 422 422 403 403", at="province", post={"regulation": KEY, "year": "2020"}),
    "review:review_detail": Row(REVIEWS, NO_REVIEW, review, at="province"),
    "review:review_rebuild": Row(CLERKS, NO_CLERK, review, at="province", post={}),
    "review:records": Row(REVIEWS, NO_REVIEW, review, at="province"),
    "review:passage_form": Row(EDITORS, NO_CLERK, lambda w: [w.review.pk, "section:situation"], at="province", other=None),
    "review:causes_form": Row(EDITORS, NO_CLERK, lambda w: [w.review.pk, w.finding], at="province", other=None),
    "review:item_new": Row(EDITORS, NO_CLERK, lambda w: [w.review.pk, "task"], at="province", other=None),
    "review:item_form": Row(EDITORS, NO_CLERK, lambda w: [w.review.pk, w.item.pk], at="province", other=None),
    "review:conference_form": Row(EDITORS, NO_CLERK, review, at="province", other=None),
    "review:approve": Row("403 403 200 403 403", NO_SIGNER, review, at="province", other=None),
    "review:send": Row("403 409 409 403 403", NO_CLERK, review, at="province", post={}),
    "review:download": Row(REVIEWS, NO_REVIEW, lambda w: [w.review.pk, "json"], at="province"),
}
# What a GET carries behind its address.
QUERIES: dict[str, Callable[["Walk"], str]] = {
    "exchange:register_out": lambda w: f"?organisation={w.world.station.pk}",
    "exchange:register_in": lambda w: f"?organisation={w.world.station.pk}",
    "reporting:report_new": lambda w: f"?duty={w.duty.reference}",
    "exchange:evidence_pair": lambda w: "?one=t.don-mot&other=t.huyen-uy&first=2020-01-01&last=2020-12-31",
}


class Walk:
    """The small world with a record of each kind."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.duties()
        kept = keep_file(data=b"%PDF-1.4", name="so-lieu.pdf", media_type="application/pdf", at=SENT_AT)
        self.dispatch = world.report("2020-03", files=[("so-lieu.pdf", kept)])
        self.duty = world.duty("2020-04")
        self.draft = world.draft()
        self.report_draft = uuid.UUID(int=0)
        self.secret = make_calendar_token(actor=world.clerk, at=self.dispatch.entered_at)
        answer = entered(world.clerk).post(reverse("duties:duty_write", args=[world.duty("2020-05").pk]))
        made = {"key": "t.sap-xep", "title": "Sắp xếp", "effective_on": LONG_AGO, "digest": "d", "loaded_at": SENT_AT}
        Reorganisation.objects.create(**made, report={"act": "thử", "decisions": [], "counts": {"decisions": 0}})
        writer = seat(world.province, "signer")
        at = SENT_AT + timedelta(days=100)
        self.review = build_review(instrument_key=KEY, year=2020, actor=writer, at=at, as_of=at)
        self.finding = self.review.facts["findings"][0]["key"]
        self.item = put_item(review_id=self.review.pk, kind="task", text="Rà soát.", actor=writer, at=at)
        self.report_draft = uuid.UUID(answer.headers["Location"].rstrip("/").rsplit("/", 1)[1])

    @cached_property
    def account(self) -> JointDocument:
        """A statement of account of the station with the district, not signed yet."""
        world, at = self.world, SENT_AT + timedelta(days=100)
        return statements.make(organisation=world.station, other=world.district, month="2020-03", actor=None, at=at)

    @cached_property
    def proposal(self) -> JointDocument:
        """A regulation that the station and the district are to sign."""
        parties = ((self.world.station.key, "border_guard"), (self.world.district.key, "locality"))
        return propose(file_bytes=regulation_text(parties=parties), name="r.toml", actor=None, at=SENT_AT)

    @cached_property
    def peer(self) -> Peer:
        """Another node, linked with this one when it is first asked for, with one item that waits and one incident."""
        world = self.world
        at_home(world.province, world.station, world.district, world.outsider, at=LINKED_AT)
        stranger = Stranger({"x.huyen": "Huyện ủy Xa"}, at=LINKED_AT)
        found = stranger.link()
        stranger.position = 1  # what came before it may be on its way, so it waits
        taken = stranger.gives(found, stranger.paper("x.huyen", [world.station.key], replaces=str(uuid.uuid4())))
        assert [o.state for o in taken.outcomes] == ["held"]
        links.note_incident(peer=found, code="exchange.altered", facts={"dispatch": "…"}, at=LINKED_AT)
        return found

    @cached_property
    def refused(self) -> Dispatch:
        """A paper of the station that the other node holds and does not take: its key was revoked meanwhile."""
        far, world, at = self.peer, self.world, LINKED_AT + timedelta(days=1)
        to = Organisation.objects.get(key="x.huyen")
        sent = exchange.send(item=notice(world.station, [to]), actor=world.signer, at=at)
        links.revoke_key(kid=sent.key.kid, reason="thử", actor=None, at=at)
        Peer.objects.filter(pk=far.pk).update(confirmed_through=F("sent_through"))
        return sent


def names(patterns: list[Any] | None = None, space: str = "") -> Iterator[str]:
    """Yield the full name of every address; one without a name yields its pattern."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(entry, URLResolver) and entry.namespace == "api":
            continue  # no pages: tests/integration/api walks what its description names
        if isinstance(entry, URLResolver):
            yield from names(entry.url_patterns, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern):
            yield f"{space}{entry.name or entry.pattern}"


def ask(client: Client, name: str, row: Row, walk: Walk, *, post: bool) -> Any:
    """Ask once and take back whatever it changed."""
    address = reverse(name, args=row.args(walk)) + (QUERIES[name](walk) if name in QUERIES else "")
    with transaction.atomic():
        answer = client.post(address, row.post or {}) if post else client.get(address)
        transaction.set_rollback(True)
    if answer.streaming:
        b"".join(answer.streaming_content)  # type: ignore[arg-type]
    return answer
