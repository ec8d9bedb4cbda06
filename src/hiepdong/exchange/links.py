"""Who this node is, which nodes it is linked with, whose keys it trusts. Nothing of another node is taken before a link.

Writes are services: keyword-only, one transaction, one journal entry. `actor` is a node administrator's seat, or None for a
command typed on the server.
"""

import json
import re
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.text import nfc
from hiepdong.organisations import services as organisations_services
from hiepdong.organisations.models import Organisation

from . import outbox, signing
from .domain.envelope import canonical, instant
from .domain.links import ItemKind, pair_number
from .keys import ensure_key, last_signed, make_key, signed_with
from .models import LinkIncident, Node, NodeKey, Peer, Residence, SigningKey

INVITATION_FORMAT = "hiepdong.invitation/1"
KEY_FORMAT = "hiepdong.key/1"
INVITATION_DAYS = 30
CARRYING = (signing.REQUEST_TYPE, signing.BUNDLE_TYPE)  # prove nothing by themselves, so a key that has ended may sign them
LARGEST_INVITATION = 4 * 1024 * 1024


class NodeNotFounded(DomainError):
    """This node has no identity yet, so it cannot speak with others."""

    code = "exchange.node_not_founded"
    message = gettext_noop("This node has no identity of its own yet.")
    hint = gettext_noop("Found it first: hiepdong node found --name NAME --speaker ORGANISATION")


class NodeAlreadyFounded(DomainError):
    """The identity of a node is made once."""

    code = "exchange.node_already_founded"
    message = gettext_noop("This node was founded before, as %(name)s.")
    hint = gettext_noop("An identity is kept for ever; change the address or the speaker with hiepdong node set.")


class NodeRecovering(DomainError):
    """A node restored from a backup may have given out numbers that it does not know of."""

    code = "exchange.node_recovering"
    message = gettext_noop("This node was restored from a backup and first asks the linked nodes what it had sent.")
    hint = gettext_noop(
        "Wait until each linked node has answered, or carry a bundle from it; the link page shows who is missing. "
        "Drafts can be written meanwhile."
    )


class InvitationUnusable(DomainError):
    """An invitation is damaged, too old, our own, or claims what it may not."""

    code = "exchange.invitation_unusable"
    message = gettext_noop("The invitation cannot be used: %(why)s.")
    hint = gettext_noop("Ask the administrator of the other node for a fresh one.")


class PairNumberDiffers(DomainError):
    """The number that was read out is not the one computed here: somebody may have changed an invitation on its way."""

    code = "exchange.pair_number_differs"
    message = gettext_noop("The number is not the same on both sides.")
    hint = gettext_noop("Do not link. Exchange the invitations again by another way, and compare again by telephone.")


class AddressUnusable(DomainError):
    """An address at which other nodes could not reach this one."""

    code = "exchange.address_unusable"
    message = gettext_noop("%(found)s is no address of a node.")
    hint = gettext_noop("Write https://NAME or https://NAME/FOLDER, or nothing where nobody can reach this node.")


class CertificateUnusable(DomainError):
    """What was given is no SHA-256 of a certificate."""

    code = "exchange.certificate_unusable"
    message = gettext_noop("%(found)s is no SHA-256 of a certificate.")
    hint = gettext_noop("Give the 64 characters, or the certificate as a PEM file.")


class ClaimedTwice(DomainError):
    """Two nodes cannot both be the home of one organisation."""

    code = "exchange.claimed_twice"
    message = gettext_noop("The other node names organisations whose home is elsewhere: %(names)s.")
    hint = gettext_noop("Settle who hosts them; release one here with hiepdong node release KEY, then accept again.")


class NotAtHome(DomainError):
    """The organisation lives at another node, where its key is."""

    code = "exchange.not_at_home"
    message = gettext_noop("%(name)s has its home at another node; only that node signs for it.")
    hint = gettext_noop("Sign in at that node.")


def node_or_none() -> Node | None:
    """Return this node's identity, or None while it stands alone."""
    return Node.objects.select_related("speaker").first()


def this_node() -> Node:
    """Return this node's identity.

    Raises:
        NodeNotFounded: it has none yet.
    """
    node = node_or_none()
    if node is None:
        raise NodeNotFounded
    return node


def node_key(at: datetime) -> NodeKey:
    """Return the key with which this node signs."""
    found = NodeKey.objects.filter(peer__isnull=True, revoked_at__isnull=True).exclude(valid_until__lte=at)
    key = found.exclude(private_encrypted="").order_by("-valid_from", "-id").first()
    if key is None:
        raise NodeNotFounded
    return key


def carrying_key(peer: Peer, at: datetime) -> NodeKey:
    """Return the key that signs requests and bundles to a peer: the newest one that it can know.

    Until it has said that it holds the statement of a new key, the one before it signs what only carries; that key may have
    ended since. Where that one was revoked and the peer refuses it, the answer that confirmed it was lost: the next try bears
    the new key.
    """
    current = node_key(at)
    if peer.state == Peer.State.INVITED:
        return current
    told = outbox.told_of(peer, kid=current.kid)
    if told is None or told.position <= peer.confirmed_through or peer.failures % 2:
        return current
    earlier = NodeKey.objects.filter(peer__isnull=True, valid_from__lte=current.valid_from).exclude(private_encrypted="")
    for key in earlier.exclude(pk=current.pk).order_by("-valid_from", "-id"):
        told = outbox.told_of(peer, kid=key.kid)
        if told is None or told.position <= peer.confirmed_through:
            return key
    return current


def sign_as_node(payload: Mapping[str, Any], *, typ: str, at: datetime) -> bytes:
    """Sign a document in the name of this node."""
    return signed_with(node_key(at), canonical(payload), typ=typ)


def verified_of_peer(document: bytes, *, typ: str, peer: Peer | None = None) -> tuple[dict[str, Any], Peer]:
    """Return what a linked node signed, and which node it is.

    Raises:
        BadSignature: the signature is false, or of no node that is linked (or not of `peer`), or by a key that had ended.
    """
    header = signing.header_of(document)
    found = NodeKey.objects.filter(kid=header["kid"], peer__isnull=False, revoked_at__isnull=True).select_related("peer")
    key = (found.filter(peer=peer) if peer is not None else found).first()
    if key is None or key.peer is None:
        raise signing.BadSignature(what="kid")
    signing.verify(document, public_jwk=key.public_jwk, kid=key.kid, typ=typ)
    claims = signing.claims_of(document)
    if typ not in CARRYING and key.valid_until is not None and str(claims.get("at", "")) > instant(key.valid_until):
        raise signing.BadSignature(what="valid_until")
    return claims, key.peer


@transaction.atomic
def found_node(
    *, name: str, speaker: Organisation, at_home: Collection[Organisation], address: str = "", actor: Seat | None, at: datetime
) -> Node:
    """Give this node its identity: a name, keys of its own, the organisations whose home it is (the speaker is one)."""
    require_unless_command(actor, Action.MANAGE_NODE)
    earlier = node_or_none()
    if earlier is not None:
        raise NodeAlreadyFounded(name=earlier.name)
    address = address.strip().rstrip("/")
    try:
        _check_address(address)
    except ValueError as error:
        raise AddressUnusable(found=address[:80]) from error
    fresh = signing.new_key(settings.SECRET_KEY)
    recipient, identity = signing.new_age_identity(settings.SECRET_KEY)
    node = Node.objects.create(
        node_id=uuid.uuid4(),
        name=nfc(name.strip())[:120],
        speaker=speaker,
        address=address,
        incarnation=secrets.token_hex(8),
        age_recipient=recipient,
        age_identity_encrypted=identity,
        made_at=at,
    )
    NodeKey.objects.create(kid=fresh.kid, public_jwk=fresh.public_jwk, private_encrypted=fresh.private_encrypted, valid_from=at)
    Residence.objects.bulk_create(
        Residence(organisation=o, peer=None, since=at) for o in {o.pk: o for o in [*at_home, speaker]}.values()
    )
    record("exchange.node.founded", subject=node, actor=actor, at=at, name=node.name, facts={"node": str(node.node_id)})
    return node


@transaction.atomic
def set_node(
    *,
    name: str | None = None,
    address: str | None = None,
    speaker: Organisation | None = None,
    actor: Seat | None,
    at: datetime,
) -> Node:
    """Change the node's name, address or speaker; what is None stays. Its identity and its keys never change here.

    Raises:
        AddressUnusable: others could not use it. NotAtHome: the speaker lives elsewhere.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node = this_node()
    facts = {}
    if name is not None and name.strip():
        node.name = facts["name"] = nfc(name.strip())[:120]
    if address is not None:
        address = address.strip().rstrip("/")
        try:
            _check_address(address)
        except ValueError as error:
            raise AddressUnusable(found=address[:80]) from error
        node.address = facts["address"] = address
    if speaker is not None:
        if not is_at_home(speaker.pk):
            raise NotAtHome(name=speaker.name)
        node.speaker, facts["speaker"] = speaker, speaker.key
    if facts:
        node.save(update_fields=["name", "address", "speaker"])
        record("exchange.node.changed", subject=node, actor=actor, at=at, name=node.name, facts=facts)
    return node


@transaction.atomic
def pin_certificates(*, peer_id: int, digests: Collection[str], actor: Seat | None, at: datetime) -> Peer:
    """Set which certificates (SHA-256 of their DER bytes, hex) a node may show on the line; none: those of an authority.

    Raises:
        CertificateUnusable: one of them is no SHA-256.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    peer = peer_for(peer_id, for_update=True)
    wanted = sorted({d.replace(":", "").lower() for d in digests})
    wrong = next((d for d in wanted if len(d) != 64 or set(d) - set("0123456789abcdef")), None)
    if wrong is not None:
        raise CertificateUnusable(found=wrong[:80])
    if wanted != peer.tls:
        peer.tls = wanted
        peer.save(update_fields=["tls"])
        record("exchange.peer.pinned", subject=peer, actor=actor, at=at, name=peer.name, facts={"tls": wanted})
    return peer


@transaction.atomic
def take_home(*, organisation: Organisation, actor: Seat | None, at: datetime) -> None:
    """Make this node the home of one more organisation, unless another node is."""
    require_unless_command(actor, Action.MANAGE_NODE)
    this_node()
    found = Residence.objects.filter(organisation=organisation).first()
    if found is not None and found.peer_id is not None:
        raise ClaimedTwice(names=organisation.name)
    if found is None:
        Residence.objects.create(organisation=organisation, peer=None, since=at)
        record("exchange.home.taken", subject=organisation, actor=actor, at=at, name=organisation.name)


@transaction.atomic
def release_home(*, organisation: Organisation, actor: Seat | None, at: datetime) -> None:
    """Let an organisation go, so that another node can be its home. Its keys here sign nothing more; its papers stay."""
    require_unless_command(actor, Action.MANAGE_NODE)
    this_node()
    Residence.objects.filter(organisation=organisation, peer__isnull=True).delete()
    unended = Q(valid_until__isnull=True) | Q(valid_until__gt=at)
    ours = SigningKey.objects.filter(unended, organisation=organisation).exclude(private_encrypted="")
    ours.update(valid_until=at)
    record("exchange.home.released", subject=organisation, actor=actor, at=at, name=organisation.name)


def homes_of(organisation_ids: Iterable[int]) -> dict[int, int | None]:
    """Return where organisations live: the number of a peer, or 0 for here, or None for nobody known.

    A node without an identity is the home of all.
    """
    ids = set(organisation_ids)
    if node_or_none() is None:
        return dict.fromkeys(ids, 0)
    return homes_among(ids)


def homes_among(ids: Collection[int]) -> dict[int, int | None]:
    """Return the same on a node that has an identity."""
    known = dict(Residence.objects.filter(organisation__in=ids).values_list("organisation", "peer"))
    return {i: (known[i] or 0) if i in known else None for i in ids}


def is_at_home(organisation_id: int) -> bool:
    """Say whether this node signs for the organisation."""
    return homes_of([organisation_id])[organisation_id] == 0


# --- invitations -----------------------------------------------------------------------------------------------------------


def directory_of(organisations: Iterable[Organisation]) -> dict[str, Any]:
    """Return what other nodes must know of organisations: who they are, for which territory, with which keys."""
    rows = list(
        Organisation.objects.filter(pk__in=[o.pk for o in organisations])
        .prefetch_related("superiors__superior", "responsibilities__unit", "signing_keys")
        .order_by("key")
    )
    bodies, keys = [], []
    for o in rows:
        superior = next((s.superior.key for s in o.superiors.all() if s.valid_until is None), "")
        bodies.append(
            {
                "key": o.key,
                "kind": o.kind,
                "name": o.name,
                "short_name": o.short_name,
                "notation": o.notation,
                "place": o.place,
                "valid_from": o.valid_from.isoformat(),
                "valid_until": o.valid_until.isoformat() if o.valid_until else None,
                "superior": superior,
                "territory": sorted(
                    f"{r.unit.level}:{r.unit.code}" for r in o.responsibilities.all() if r.valid_from == o.valid_from
                ),
                "source": o.source,
                "verified": o.verified,
            }
        )
        keys += [
            {
                "owner": o.key,
                "jwk": signing.public_half(key.public_jwk),
                "valid_from": instant(key.valid_from),
                "valid_until": instant(key.valid_until) if key.valid_until else None,
            }
            for key in o.signing_keys.all()
            if key.private_encrypted and key.revoked_at is None
        ]
    return {"organisations": bodies, "keys": keys}


def at_home() -> list[Organisation]:
    """Return the organisations whose home this node is, by their names."""
    return list(residents(None))


def residents(peer_id: int | None) -> QuerySet[Organisation]:
    """Return the organisations that live at a peer (None: here), by name."""
    found = Organisation.objects.filter(residence__isnull=False, residence__peer=peer_id)
    return found.order_by("name_sort", "id")


@transaction.atomic
def make_invitation(*, tls: Collection[str] = (), actor: Seat | None, at: datetime) -> bytes:
    """Return a signed invitation of this node, good for 30 days; every organisation at home gets its key now."""
    require_unless_command(actor, Action.MANAGE_NODE)
    node = this_node()
    homes = at_home()
    for organisation in homes:
        ensure_key(organisation=organisation, actor=actor, at=at)
    key = node_key(at)
    payload = {
        "format": INVITATION_FORMAT,
        "node": {
            "id": str(node.node_id),
            "name": node.name,
            "jwk": signing.public_half(key.public_jwk),
        },
        "speaker": node.speaker.key if node.speaker else "",
        "address": node.address,
        "tls": sorted(tls),
        "age": node.age_recipient,
        "protocol": [1],
        **directory_of(homes),
        "made_at": instant(at),
        "expires_at": instant(at + timedelta(days=INVITATION_DAYS)),
    }
    record("exchange.invitation.made", subject=node, actor=actor, at=at, name=node.name)
    return sign_as_node(payload, typ=signing.INVITATION_TYPE, at=at)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation whose signature fits its own key; who gave it is for people to find out."""

    document: bytes
    node_id: uuid.UUID
    name: str
    kid: str
    jwk: Mapping[str, Any]
    speaker: str
    address: str
    tls: tuple[str, ...]
    age: str
    directory: Mapping[str, Any]
    made_at: datetime
    expires_at: datetime


def read_invitation(document: bytes) -> Invitation:
    """Return what an invitation says.

    Raises:
        InvitationUnusable: damaged, or not of this format.
    """
    document = document.strip()
    if len(document) > LARGEST_INVITATION:
        raise InvitationUnusable(why=f"> {LARGEST_INVITATION} bytes")
    try:
        claims = signing.claims_of(document)
        if claims.get("format") != INVITATION_FORMAT:
            raise InvitationUnusable(why=f"format {str(claims.get('format'))[:40]}")
        node = claims["node"]
        kid = signing.thumbprint_of(node["jwk"])
        signing.verify(document, public_jwk=node["jwk"], kid=kid, typ=signing.INVITATION_TYPE)
        address = str(claims["address"])
        _check_address(address)
        return Invitation(
            document=document,
            node_id=uuid.UUID(node["id"]),
            name=nfc(str(node["name"]))[:120],
            kid=kid,
            jwk=signing.public_half(node["jwk"]),
            speaker=str(claims["speaker"]),
            address=address,
            tls=tuple(str(t) for t in claims["tls"]),
            age=str(claims["age"])[:100],
            directory={"organisations": list(claims["organisations"]), "keys": list(claims["keys"])},
            made_at=datetime.fromisoformat(claims["made_at"]),
            expires_at=datetime.fromisoformat(claims["expires_at"]),
        )
    except (signing.BadSignature, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InvitationUnusable(why=str(error)[:120] or type(error).__name__) from error


LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/.*)?")


def _check_address(address: str) -> None:
    """Raise ValueError unless others can use it: https, or plain http on this very machine."""
    secure = address.startswith("https://") and len(address) > len("https://")
    if address and (len(address) > 200 or not (secure or LOOPBACK.fullmatch(address))):
        raise ValueError(f"address {address[:80]}")


def number_with(invitation_kid: str, at: datetime) -> str:
    """Return the pair number of this node and the node with that key."""
    return pair_number(node_key(at).kid, invitation_kid)


def earlier_numbers_with(invitation_kid: str, at: datetime) -> dict[str, str]:
    """Return the pair numbers under own keys that others may still know: {kid: number}, the newest first.

    A node that read our invitation before our key was renewed shows such a number. Only keys that the present one follows
    without a break, and of which an invitation can still be good.
    """
    return {key.kid: pair_number(key.kid, invitation_kid) for key in _own_keys_before(at)}


def _own_keys_before(at: datetime) -> list[NodeKey]:
    current = node_key(at)
    found: list[NodeKey] = []
    own = NodeKey.objects.filter(peer__isnull=True, valid_from__lte=current.valid_from).exclude(pk=current.pk)
    for key in own.order_by("-valid_from", "-id"):
        ended = key.valid_until
        if key.revoked_at or not key.private_encrypted or ended is None or ended < at - timedelta(days=INVITATION_DAYS):
            break
        found.append(key)
    return found


@transaction.atomic
def accept_invitation(*, document: bytes, actor: Seat | None, at: datetime) -> Peer:
    """Keep an invitation and show the number to compare; nothing of that node is taken yet. Harmless again.

    Raises:
        InvitationUnusable: damaged, expired, our own, or of a node known by another key.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node = this_node()
    invitation = read_invitation(document)
    if invitation.node_id == node.node_id:
        raise InvitationUnusable(why="it is this node's own")
    if at > invitation.expires_at:
        raise InvitationUnusable(why=f"expired on {instant(invitation.expires_at)}")
    peer = Peer.objects.select_for_update(of=("self",)).filter(node_id=invitation.node_id).first()
    owner = NodeKey.objects.filter(kid=invitation.kid).first()
    if owner is not None and (peer is None or owner.peer_id != peer.pk):
        raise InvitationUnusable(why="its key belongs to another node")
    if peer is not None and peer.state in {Peer.State.LINKED, Peer.State.PAUSED}:
        if owner is None:
            raise InvitationUnusable(why="this node is linked already, with another key")
        return peer
    if peer is None:
        peer = Peer.objects.create(node_id=invitation.node_id, name=invitation.name, invitation=invitation.document)
    NodeKey.objects.filter(peer=peer).exclude(kid=invitation.kid).update(revoked_at=at)
    peer.name, peer.invitation, peer.state = invitation.name, invitation.document, Peer.State.INVITED
    peer.address, peer.tls, peer.age_recipient = invitation.address, list(invitation.tls), invitation.age
    peer.save()
    if owner is None:
        NodeKey.objects.create(peer=peer, kid=invitation.kid, public_jwk=invitation.jwk, valid_from=invitation.made_at)
    record("exchange.peer.invited", subject=peer, actor=actor, at=at, name=peer.name, facts={"kid": invitation.kid})
    return peer


@transaction.atomic
def confirm_peer(*, peer_id: int, number: str, actor: Seat | None, at: datetime) -> Peer:
    """Link with a node whose number was compared by another way; its organisations and keys are taken from now on.

    `number` is what the other side read out; spaces do not matter. It may be the one under our key before the present one,
    if that side read our invitation before the key was renewed. What became of our keys since any invitation is told now.

    Raises:
        PairNumberDiffers, ClaimedTwice: nothing was changed.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    peer = peer_for(peer_id, for_update=True)
    if peer.state == Peer.State.LINKED:
        return peer
    invitation = read_invitation(bytes(peer.invitation))
    numbers = {node_key(at).kid: number_with(invitation.kid, at)} | earlier_numbers_with(invitation.kid, at)
    typed = "".join(number.split())
    known = next((kid for kid, right in numbers.items() if typed == "".join(right.split())), None)
    if known is None:
        raise PairNumberDiffers
    peer.state, peer.linked_at = Peer.State.LINKED, at
    peer.save(update_fields=["state", "linked_at"])
    take_directory(peer=peer, directory=invitation.directory, at=at)
    peer.speaker = Organisation.objects.filter(key=invitation.speaker, residence__peer=peer).first()
    if peer.speaker is None:
        raise InvitationUnusable(why=f"speaker {invitation.speaker[:80]}")
    peer.save(update_fields=["speaker"])
    told = outbox.enqueue_keys(peer=peer, statements=[*_node_keys_since(known, at), *_keys_told_again(at)], at=at)
    outbox.enqueue_waiting(peer=peer, at=at)
    facts = {"kid": invitation.kid, "own": known, "statements": told}
    record("exchange.peer.linked", subject=peer, actor=actor, at=at, name=peer.name, facts=facts)
    return peer


def take_directory(*, peer: Peer, directory: Mapping[str, Any], at: datetime) -> list[str]:
    """Take over which organisations live at a peer and with which keys; returns what became known, as `waits_for` words.

    It adds. An organisation that lives here or at a third node is refused, and so is a new key for an organisation that has
    one already: that needs a key statement signed by the key before.

    Raises:
        ClaimedTwice, InvalidFile, InvitationUnusable.
    """
    bodies = directory.get("organisations", [])
    keys_named = [str(b["key"]) for b in bodies]
    known = {o.key: o for o in Organisation.objects.filter(key__in=keys_named)}
    homes = homes_of(o.pk for o in known.values())
    taken = sorted(o.name for o in known.values() if homes[o.pk] not in {None, peer.pk})
    if taken:
        raise ClaimedTwice(names=", ".join(taken))
    fresh = [b for b in bodies if b["key"] not in known]
    if fresh:
        organisations_services.load_organisations(file_bytes=_toml_of(fresh), name=f"{peer.name}: directory", actor=None, at=at)
        known |= {o.key: o for o in Organisation.objects.filter(key__in=keys_named)}
    Residence.objects.bulk_create(
        (Residence(organisation=o, peer=peer, since=at) for o in known.values() if homes.get(o.pk) is None),
        ignore_conflicts=True,
    )
    words = [f"organisation:{b['key']}" for b in fresh]
    # A body that was renewed comes with several keys at once; only a key beside one that was known before is a recovery.
    known_keys = SigningKey.objects.filter(organisation__key__in={str(r["owner"]) for r in directory.get("keys", [])})
    with_key = set(known_keys.filter(revoked_at__isnull=True).values_list("organisation__key", flat=True))
    for row in directory.get("keys", []):
        owner = known.get(str(row["owner"])) or Organisation.objects.filter(key=row["owner"], residence__peer=peer).first()
        if owner is None:
            raise InvitationUnusable(why=f"key of {str(row['owner'])[:80]}")
        kid = signing.thumbprint_of(row["jwk"])
        if SigningKey.objects.filter(kid=kid).exclude(organisation=owner).exists():
            raise InvitationUnusable(why=f"key {kid[:16]} belongs to another")
        if owner.key in with_key:
            if not SigningKey.objects.filter(kid=kid).exists():
                note_incident(peer=peer, code="exchange.key_without_continuity", facts={"owner": owner.key, "kid": kid}, at=at)
            continue
        SigningKey.objects.get_or_create(
            kid=kid,
            defaults={
                "organisation": owner,
                "public_jwk": signing.public_half(row["jwk"]),
                "private_encrypted": "",
                "valid_from": datetime.fromisoformat(row["valid_from"]),
                "valid_until": datetime.fromisoformat(row["valid_until"]) if row.get("valid_until") else None,
            },
        )
        words.append(f"key:{kid}")
    _take_particulars(peer, directory)
    return words


def _take_particulars(peer: Peer, directory: Mapping[str, Any]) -> None:
    """Take over where a peer is reached and who speaks for it, as far as its directory says so.

    Pins are not taken so: who could sign for one body of the node would else choose the certificate of its line.
    """
    address, age, speaker = (directory.get(k) for k in ("address", "age", "speaker"))
    if isinstance(address, str) and address != peer.address:
        _check_address(address)
        peer.address, peer.next_try_at = address, None
    if isinstance(age, str) and age.startswith("age1") and len(age) <= 100:
        peer.age_recipient = age
    if isinstance(speaker, str) and speaker:
        peer.speaker = Organisation.objects.filter(key=speaker, residence__peer=peer).first() or peer.speaker
    peer.save(update_fields=["address", "age_recipient", "speaker", "next_try_at"])


def _toml_of(bodies: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the bodies as an organisations file, so that they pass the same check as one that a person wrote."""
    lines = ['format = "hiepdong.organisations/1"']
    for b in bodies:
        lines.append("[[organisation]]")
        for name in ("key", "kind", "name", "short_name", "notation", "place", "superior", "source"):
            if b.get(name):
                lines.append(f"{name} = {json.dumps(str(b[name]), ensure_ascii=False)}")
        for name in ("valid_from", "valid_until"):
            if b.get(name):
                lines.append(f"{name} = {datetime.fromisoformat(str(b[name])).date().isoformat()}")
        lines.append(f"territory = {json.dumps([str(t) for t in b.get('territory', [])])}")
        lines.append(f"verified = {'true' if b.get('verified') is True else 'false'}")
    return ("\n".join(lines) + "\n").encode()


def peer_for(peer_id: int, *, for_update: bool = False) -> Peer:
    """Return a peer, or raise `NotFound`."""
    found = Peer.objects.select_for_update(of=("self",)) if for_update else Peer.objects.select_related("speaker")
    peer = found.filter(pk=peer_id).first()
    if peer is None:
        raise NotFound
    return peer


@transaction.atomic
def set_state(*, peer_id: int, state: str, actor: Seat | None, at: datetime) -> Peer:
    """Pause a link, take it up again, or end it. What waits stays; an ended link is taken up by a fresh invitation only."""
    require_unless_command(actor, Action.MANAGE_NODE)
    peer = peer_for(peer_id, for_update=True)
    allowed = {("linked", "paused"), ("paused", "linked"), ("linked", "ended"), ("paused", "ended"), ("invited", "ended")}
    if (str(peer.state), state) in allowed:
        peer.state = state
        peer.save(update_fields=["state"])
        record(f"exchange.peer.{state}", subject=peer, actor=actor, at=at, name=peer.name)
    return peer


MOST_UNSEEN = 200  # incidents of one kind on one link that nobody has looked at


def note_incident(*, peer: Peer, code: str, facts: Mapping[str, Any], at: datetime) -> LinkIncident:
    """Write down something on a link that must not happen; the same thing again is not written twice."""
    same = LinkIncident.objects.filter(peer=peer, code=code, facts=dict(facts), seen_at__isnull=True).first()
    if same is not None:
        return same
    if LinkIncident.objects.filter(peer=peer, code=code, seen_at__isnull=True)[:MOST_UNSEEN].count() >= MOST_UNSEEN:
        return LinkIncident.objects.filter(peer=peer, code=code).latest("at")  # a flood; what is listed says enough
    found = LinkIncident.objects.create(peer=peer, code=code, facts=dict(facts), at=at)
    record("exchange.link.disturbed", subject=peer, actor=None, at=at, name=peer.name, facts={"code": code, **facts})
    return found


@transaction.atomic
def see_incident(*, incident_id: int, actor: Seat | None, at: datetime) -> LinkIncident:
    """Note that somebody looked at an incident; twice is harmless. It stays in the list for ever.

    Raises:
        NotFound: there is none.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    found = LinkIncident.objects.select_for_update(of=("self",)).select_related("peer").filter(pk=incident_id).first()
    if found is None:
        raise NotFound
    if found.seen_at is None:
        found.seen_at, found.seen_by = at, actor.journal_name[:300] if actor is not None else "hiepdong"
        found.save(update_fields=["seen_at", "seen_by"])
        record("exchange.incident.seen", subject=found, actor=actor, at=at, name=found.peer.name, facts={"code": found.code})
    return found


# --- keys ------------------------------------------------------------------------------------------------------------------


def _key_statement(*, node: Node, action: str, owner: str, kid: str, at: datetime, **more: Any) -> dict[str, Any]:
    blank = {"jwk": None, "valid_from": None, "valid_until": None, "replaces": "", "reason": ""}
    head = {"format": KEY_FORMAT, "owner": owner, "node": str(node.node_id), "action": action, "kid": kid, "at": instant(at)}
    return blank | head | more


def _introduces(key: SigningKey, *, node: Node, replaces: str, at: datetime) -> dict[str, Any]:
    return _key_statement(
        node=node, action="add", owner=key.organisation.key, kid=key.kid, at=at, replaces=replaces, **_public(key)
    )


def _revokes(key: SigningKey, *, node: Node, at: datetime) -> dict[str, Any]:
    """Return a revocation; it brings the key, so that one who never heard of it refuses it too."""
    why = key.revoked_because
    return _key_statement(
        node=node, action="revoke", owner=key.organisation.key, kid=key.kid, at=at, reason=why, **_public(key)
    )


def _public(key: SigningKey) -> dict[str, Any]:
    return {
        "jwk": signing.public_half(key.public_jwk),
        "valid_from": instant(key.valid_from),
        "valid_until": instant(key.valid_until) if key.valid_until else None,
    }


@transaction.atomic
def rotate_key(*, organisation: Organisation, actor: Seat | None, at: datetime) -> SigningKey:
    """Give an organisation at home a new key; the key before it signs the statement, and every linked node gets it.

    It begins now; but if the clock went back meanwhile, only when it has passed the last paper that the key before it signed,
    which goes on until then: else others would take what is on its way for signed after the end of its key.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node = this_node()
    old = ensure_key(organisation=organisation, actor=actor, at=at)
    begins = max(at, last_signed(old) or at)
    new = make_key(organisation=organisation, actor=actor, at=at, since=begins)
    statement = _introduces(new, node=node, replaces=old.kid, at=at)
    document = signed_with(old, canonical(statement), typ=signing.KEY_TYPE)
    old.valid_until = begins
    old.save(update_fields=["valid_until"])
    outbox.enqueue_everywhere(kind=ItemKind.KEY, document=document, at=at)
    facts = {"old": old.kid, "new": new.kid, "statements": [signing.digest_of(document)]}
    record("exchange.key.rotated", subject=new, actor=actor, at=at, name=organisation.name, facts=facts)
    return new


@transaction.atomic
def revoke_key(*, kid: str, reason: str, actor: Seat | None, at: datetime) -> SigningKey:
    """Revoke a key of an organisation at home: what others do not hold yet under it will be refused. A new key is made.

    The node vouches for the revocation and for the key after it; the other side compares the new key by telephone.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node = this_node()
    key = SigningKey.objects.select_for_update(of=("self",)).select_related("organisation").filter(kid=kid).first()
    if key is None or not is_at_home(key.organisation_id):
        raise NotFound
    if key.revoked_at is None:
        key.revoked_at, key.revoked_because = at, nfc(reason.strip())[:300]
        key.save(update_fields=["revoked_at", "revoked_because"])
        revoked = sign_as_node(_revokes(key, node=node, at=at), typ=signing.KEY_TYPE, at=at)
        outbox.enqueue_everywhere(kind=ItemKind.KEY, document=revoked, at=at, subject=f"{outbox.REVOKES}{kid}")
        new = make_key(organisation=key.organisation, actor=actor, at=at)
        vouch_for(key=new, replaces=kid, at=at)
        facts = {"new": new.kid, "statements": [signing.digest_of(revoked)]}
        record("exchange.key.revoked", subject=key, actor=actor, at=at, name=key.organisation.name, facts=facts)
    return key


def vouch_for(*, key: SigningKey, replaces: str, at: datetime) -> None:
    """Tell every linked node of a key that the key before it cannot sign for: revoked, lost or expired.

    They hold it, and what it signs, until a person there has compared the number.
    """
    node = node_or_none()
    if node is None:
        return
    document = sign_as_node(_introduces(key, node=node, replaces=replaces, at=at), typ=signing.KEY_TYPE, at=at)
    outbox.enqueue_everywhere(kind=ItemKind.KEY, document=document, at=at)
    facts = {"kid": key.kid, "replaces": replaces, "statements": [signing.digest_of(document)]}
    record("exchange.key.vouched", subject=key, actor=None, at=at, name=key.organisation.name, facts=facts)


@transaction.atomic
def rotate_node_key(*, actor: Seat | None, at: datetime) -> NodeKey:
    """Give this node a new key of its own; the key before it signs the statement, and every linked node gets it.

    What the earlier key signed stays good for ever. Until a linked node has the statement, the earlier key goes on signing
    requests and bundles to it (`carrying_key`).
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node, old = this_node(), node_key(at)
    new = _new_node_key(at)
    document = _node_key_statement(node=node, key=new, replaces=old.kid, signer=old, at=at)
    old.valid_until = at
    old.save(update_fields=["valid_until"])
    outbox.enqueue_everywhere(kind=ItemKind.KEY, document=document, at=at, subject=new.kid)
    facts = {"old": old.kid, "new": new.kid, "statements": [signing.digest_of(document)]}
    record("exchange.node_key.rotated", subject=new, actor=actor, at=at, name=node.name, facts=facts)
    return new


@transaction.atomic
def revoke_node_key(*, reason: str, actor: Seat | None, at: datetime) -> NodeKey:
    """Revoke the key of this node, which fell into wrong hands, and make a new one; returns the new key.

    The old key cannot vouch for the new one: each linked node holds its statement, and every word under it, until a person
    there has compared its fingerprint with the one that is read out here.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    node, old = this_node(), node_key(at)
    new = _new_node_key(at)
    introduced = _node_key_statement(node=node, key=new, replaces=old.kid, signer=new, at=at)
    why = nfc(reason.strip())[:300]
    statement = _key_statement(node=node, action="revoke", owner="", kid=old.kid, at=at, reason=why)
    revoked = signed_with(old, canonical(statement), typ=signing.KEY_TYPE)
    old.revoked_at = at
    old.save(update_fields=["revoked_at"])
    # First the new one: with the revocation the others stop listening to the old one.
    outbox.enqueue_everywhere(kind=ItemKind.KEY, document=introduced, at=at, subject=new.kid)
    outbox.enqueue_everywhere(kind=ItemKind.KEY, document=revoked, at=at)
    facts: dict[str, Any] = {"old": old.kid, "new": new.kid, "reason": why}
    facts |= {"statements": [signing.digest_of(introduced), signing.digest_of(revoked)]}
    record("exchange.node_key.revoked", subject=old, actor=actor, at=at, name=node.name, facts=facts)
    return new


def _new_node_key(at: datetime) -> NodeKey:
    fresh = signing.new_key(settings.SECRET_KEY)
    return NodeKey.objects.create(
        kid=fresh.kid, public_jwk=fresh.public_jwk, private_encrypted=fresh.private_encrypted, valid_from=at
    )


def _node_key_statement(*, node: Node, key: NodeKey, replaces: str, signer: NodeKey, at: datetime) -> bytes:
    statement = _key_statement(
        node=node,
        action="add",
        owner="",
        kid=key.kid,
        at=at,
        jwk=signing.public_half(key.public_jwk),
        valid_from=instant(key.valid_from),
        replaces=replaces,
    )
    return signed_with(signer, canonical(statement), typ=signing.KEY_TYPE)


def _node_keys_since(known: str, at: datetime) -> list[tuple[bytes, str]]:
    """Return the statements (document, subject of its parcel) that lead from a key of this node to its present one."""
    node, chain = this_node(), [node_key(at)]
    for key in _own_keys_before(at):
        if chain[-1].kid == known:
            break
        chain.append(key)
    chain.reverse()
    return [
        (_node_key_statement(node=node, key=new, replaces=old.kid, signer=old, at=new.valid_from), new.kid)
        for old, new in pairwise(chain)
    ]


def _keys_told_again(at: datetime) -> list[tuple[bytes, str]]:
    """Return what became of the keys of the bodies at home, as (document, subject of its parcel), for a newly linked node.

    Nobody knows which of our invitations it took, or when; so it gets all of it. What it knows changes nothing there. A
    statement is made as it was made first: by the key before where that one can still vouch, else by the node.
    """
    node, by_node = this_node(), node_key(at)
    found: list[tuple[bytes, str]] = []
    own = SigningKey.objects.filter(organisation__residence__isnull=False, organisation__residence__peer__isnull=True)
    own = own.exclude(private_encrypted="").select_related("organisation").order_by("organisation_id", "id")
    for _organisation, group in groupby(own, key=lambda k: k.organisation_id):
        before: list[SigningKey] = []
        for key in group:
            if before:
                followed = next((k for k in before if k.valid_until == key.valid_from), None)
                vouches = followed is not None and followed.revoked_at is None
                signer: SigningKey | NodeKey = followed if followed is not None and vouches else by_node
                # No key signs what is older than it; only the one before signed when the new one began.
                made_at = key.valid_from if vouches else max(key.valid_from, by_node.valid_from)
                said = _introduces(key, node=node, replaces=(followed or before[-1]).kid, at=made_at)
                found.append((signed_with(signer, canonical(said), typ=signing.KEY_TYPE), ""))
            if key.revoked_at is not None:
                said = _revokes(key, node=node, at=max(key.revoked_at, by_node.valid_from))
                found.append((signed_with(by_node, canonical(said), typ=signing.KEY_TYPE), f"{outbox.REVOKES}{key.kid}"))
            before.append(key)
    return found


def jwk_of(claims: Mapping[str, Any], kid: str) -> dict[str, Any]:
    """Return the public key that a statement brings.

    Raises:
        BadSignature: it brings none, or another one than it names.
    """
    jwk = claims.get("jwk")
    if not isinstance(jwk, Mapping) or signing.thumbprint_of(jwk) != kid:
        raise signing.BadSignature(what="jwk")
    return signing.public_half(jwk)


def learn_node_key(
    *, peer: Peer, claims: Mapping[str, Any], begins: datetime, ends: datetime | None, statement: str, at: datetime
) -> NodeKey:
    """Keep a new key of a peer, whose statement was judged by the caller, and end the key that it replaces."""
    kid = str(claims["kid"])
    values = {"peer": peer, "public_jwk": jwk_of(claims, kid), "valid_from": begins, "valid_until": ends}
    made, fresh = NodeKey.objects.get_or_create(kid=kid, defaults=values)
    if fresh:
        old = NodeKey.objects.filter(peer=peer, kid=str(claims.get("replaces"))).first()
        if old is not None and (old.valid_until is None or old.valid_until > begins):
            old.valid_until = begins
            old.save(update_fields=["valid_until"])
        facts = {"kid": kid, "statements": [statement]}
        record("exchange.node_key.learned", subject=made, actor=None, at=at, name=peer.name, facts=facts)
    return made


def end_node_key(*, peer: Peer, kid: str, reason: str, statement: str, at: datetime) -> None:
    """Take a peer's revocation of a key of its own: nothing that it signed is taken from now on."""
    key = NodeKey.objects.filter(peer=peer, kid=kid, revoked_at__isnull=True).first()
    if key is not None:
        key.revoked_at = at
        key.save(update_fields=["revoked_at"])
        facts = {"kid": kid, "reason": nfc(reason)[:300], "statements": [statement]}
        record("exchange.node_key.revoked", subject=key, actor=None, at=at, name=peer.name, facts=facts)


# --- restored from a backup ------------------------------------------------------------------------------------------------


@transaction.atomic
def mark_restored(*, at: datetime) -> None:
    """Say that this node's data came from a backup: it asks its peers what it had sent before it sends again."""
    node = node_or_none()
    if node is None:
        return
    node.incarnation, node.restored_at = secrets.token_hex(8), at
    asked = who_may_know()
    node.state = Node.State.RECOVERING if asked.exists() else Node.State.NORMAL
    node.save(update_fields=["incarnation", "restored_at", "state"])
    asked.update(recovered_at=None, told_back={})
    record("exchange.node.restored", subject=node, actor=None, at=at, name=node.name)


def who_may_know() -> QuerySet[Peer]:
    """Return the peers that were given numbers from here: a paused one too; one behind a relay was given them through it."""
    return Peer.objects.filter(state__in=outbox.OPEN, via__isnull=True)


def refuse_while_recovering() -> None:
    """Raise `NodeRecovering` while this node may not give out numbers."""
    node = node_or_none()
    if node is not None and node.state == Node.State.RECOVERING:
        raise NodeRecovering
