"""hiepdong node found|show|set|take|release|pin|renew-key|revoke-key: who this node is, and which organisations live here."""

import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import directory, link_queries, links, recovery
from hiepdong.exchange.domain.dispatch import ReasonMissing
from hiepdong.exchange.domain.link_health import grouped
from hiepdong.exchange.templatetags.links import trust_name
from hiepdong.kernel.errors import NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.shell.commands import PlainCommand, bytes_of
from hiepdong.shell.templatetags.hiepdong import day


def body(key: str) -> Organisation:
    """Return the organisation with a key; one that is not known is a refusal that names it."""
    try:
        return organisations.organisation_by_key(key)
    except NotFound as error:
        raise CommandError(f"{key}: {_('There is no organisation with this key.')}", returncode=1) from error


def _way_back(peer: dict[str, Any]) -> str:
    if peer["line"]:
        said = _("%(name)s: asked over the line by itself; without a line: hiepdong bundle export %(peer)s")
    else:
        said = _("%(name)s: hiepdong bundle export %(peer)s, carry the stick there, bring its bundle back and import it")
    return "  " + said % peer


def digest_of_certificate(path: Path) -> str:
    """Return the SHA-256 of the certificate in a PEM file, hex."""
    text = bytes_of(path).decode("ascii", "replace")
    begin, end = text.find("-----BEGIN CERTIFICATE-----"), text.find("-----END CERTIFICATE-----")
    try:
        der = ssl.PEM_cert_to_DER_cert(text[begin : end + len("-----END CERTIFICATE-----")])
    except ValueError as error:
        raise CommandError(f"{path}: {_('this is no certificate in PEM form')}", returncode=1) from error
    return hashlib.sha256(der).hexdigest()


class Command(PlainCommand):
    help = (
        "Give this node its identity, say which organisations live here, and pin the certificates of linked nodes. A node "
        "that stands alone needs none of it. Exit code 0: done; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        founding = actions.add_parser(
            "found", help="give this node its identity, once: a name, keys, the organisations at home"
        )
        founding.add_argument("--name", required=True, help="name that other nodes show")
        founding.add_argument("--speaker", required=True, metavar="KEY", help="organisation that signs in the name of the node")
        self._bodies(founding)
        founding.add_argument("--address", default="", help="https://… under which others reach this node; none: it asks them")
        showing = actions.add_parser("show", help="show the identity, the keys and the organisations at home")
        setting = actions.add_parser("set", help="change the name, the address or the speaker")
        setting.add_argument("--name", help="new name")
        setting.add_argument("--address", help='new address; "" for none')
        setting.add_argument("--speaker", metavar="KEY", help="new speaker, an organisation at home")
        taking = actions.add_parser("take", help="make this node the home of more organisations")
        self._bodies(taking)
        releasing = actions.add_parser("release", help="let an organisation go, so that another node can be its home")
        releasing.add_argument("keys", nargs="+", metavar="KEY", help="key of the organisation")
        pinning = actions.add_parser(
            "pin", help="set which certificates a linked node may show on the line; none: an authority's"
        )
        pinning.add_argument("peer", metavar="PEER", help="number, name or beginning of the id of the linked node")
        pinning.add_argument(
            "--certificate", action="append", default=[], type=Path, metavar="FILE", help="PEM file; repeat it"
        )
        pinning.add_argument("--sha256", action="append", default=[], metavar="HEX", help="SHA-256 of the DER form; repeat it")
        renewing = actions.add_parser("renew-key", help="give the node a new key of its own; the one before signs for it")
        revoking = actions.add_parser(
            "revoke-key", help="revoke the node's key, which fell into wrong hands, and make a new one"
        )
        revoking.add_argument("--reason", required=True, help="why; linked nodes see it")
        ending = actions.add_parser(
            "end-recovery",
            help="after a restore, send again although a linked node has not told what it held; numbers may then be used twice",
        )
        for each in (founding, showing, setting, taking, releasing, pinning, renewing, revoking, ending):
            each.add_argument("--json", action="store_true", help="print the result as JSON")

    def _bodies(self, parser: Any) -> None:
        parser.add_argument("--organisation", action="append", default=[], metavar="KEY", help="lives here; repeat it")
        parser.add_argument("--under", action="append", default=[], metavar="KEY", help="it and all below it; repeat it")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            done = getattr(self, f"_{options['action'].replace('-', '_')}")(options)
            if options["json"]:
                self.stdout.write(json.dumps(done, ensure_ascii=False, default=str))
                return
            for line in self._told(done):
                self.stdout.write(line)

    def _named(self, options: dict[str, Any]) -> list[Organisation]:
        found = {o.pk: o for o in map(body, options["organisation"])}
        for key in options["under"]:
            below = organisations.organisations_by_ids(organisations.subtree_ids(body(key).pk))
            found |= {pk: o for pk, o in below.items() if o.valid_until is None}
        return list(found.values())

    def _found(self, options: dict[str, Any]) -> dict[str, Any]:
        links.found_node(
            name=options["name"],
            speaker=body(options["speaker"]),
            at_home=self._named(options),
            address=options["address"],
            actor=None,
            at=timezone.now(),
        )
        return self._show(options)

    def _show(self, options: dict[str, Any]) -> dict[str, Any]:
        now = timezone.now()
        node = links.this_node()
        trust = link_queries.journal_trust(at=now)
        return {
            "node": str(node.node_id),
            "name": node.name,
            "speaker": node.speaker.key if node.speaker else "",
            "address": node.address,
            "state": node.state,
            "keys": [k.kid for k in link_queries.node_keys(peer_id=None, at=now) if k.revoked_at is None],
            "journal": str(trust.state),
            "journal_witnessed_at": trust.witnessed_at.isoformat() if trust.witnessed_at else None,
            "journal_unwitnessed_since": trust.oldest_at.isoformat() if trust.oldest_at else None,
            "since": day(trust.oldest_at) if trust.oldest_at else "",
            "organisations": [{"key": o.key, "name": o.name} for o in links.residents(None)],
            "not_told": [{"peer": p.pk, "name": p.name, "line": bool(p.address)} for p in recovery.not_told()],
        }

    def _set(self, options: dict[str, Any]) -> dict[str, Any]:
        if options["name"] is None and options["address"] is None and options["speaker"] is None:
            raise CommandError(_("Give --name, --address or --speaker."), returncode=2)
        speaker = body(options["speaker"]) if options["speaker"] else None
        now, before = timezone.now(), links.this_node().speaker
        links.set_node(name=options["name"], address=options["address"], speaker=speaker, actor=None, at=now)
        directory.announce(actor=None, at=now, spoken_by=before)
        return self._show(options)

    def _take(self, options: dict[str, Any]) -> dict[str, Any]:
        named = self._named(options)
        if not named:
            raise CommandError(_("Give --organisation or --under."), returncode=2)
        for organisation in named:
            links.take_home(organisation=organisation, actor=None, at=timezone.now())
        directory.announce(actor=None, at=timezone.now())
        return self._show(options)

    def _release(self, options: dict[str, Any]) -> dict[str, Any]:
        for organisation in [body(key) for key in options["keys"]]:
            links.release_home(organisation=organisation, actor=None, at=timezone.now())
        return self._show(options)

    def _pin(self, options: dict[str, Any]) -> dict[str, Any]:
        peer = link_queries.peer_by(options["peer"])
        digests = [*options["sha256"], *map(digest_of_certificate, options["certificate"])]
        peer = links.pin_certificates(peer_id=peer.pk, digests=digests, actor=None, at=timezone.now())
        return {"peer": peer.pk, "name": peer.name, "tls": peer.tls}

    def _end_recovery(self, options: dict[str, Any]) -> dict[str, Any]:
        recovery.end_recovery(actor=None, at=timezone.now(), forced=True)
        return self._show(options)

    def _renew_key(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"renewed": links.rotate_node_key(actor=None, at=timezone.now()).kid}

    def _revoke_key(self, options: dict[str, Any]) -> dict[str, Any]:
        if not options["reason"].strip():
            raise ReasonMissing
        return {"recovered": links.revoke_node_key(reason=options["reason"], actor=None, at=timezone.now()).kid}

    def _told(self, done: dict[str, Any]) -> list[str]:
        if "renewed" in done:
            return [_("This node signs with %(kid)s now; linked nodes learn it by themselves.") % {"kid": done["renewed"]}]
        if "recovered" in done:
            kid = grouped(done["recovered"])
            return [_("Revoked. Read the new fingerprint out to every linked node's administrator: %(kid)s") % {"kid": kid}]
        if "tls" in done:
            if not done["tls"]:
                return [_("%(name)s: no certificate is pinned; one of a trusted authority is needed.") % done]
            return [_("%(name)s: pinned %(tls)s.") % {"name": done["name"], "tls": ", ".join(done["tls"])}]
        lines = [f"{done['name']}  ({done['node']})"]
        lines.append(
            _("speaks: %(speaker)s; address: %(address)s") % {"speaker": done["speaker"], "address": done["address"] or "–"}
        )
        lines.append(_("key: %(keys)s") % {"keys": ", ".join(done["keys"])})
        if done["not_told"]:
            lines.append(_("! restored from a backup: it sends nothing before these nodes have told what they hold of it"))
            lines += [_way_back(peer) for peer in done["not_told"]]
        lines.append(_("time of the journal: %(state)s") % {"state": trust_name(done["journal"])})
        if done["journal"] == "beyond_grace":
            lines.append(_("! nobody outside this node vouches for what it wrote down since %(day)s") % {"day": done["since"]})
        lines.append(_("%(count)s organisations live here:") % {"count": len(done["organisations"])})
        return lines + [f"  {o['key']}  {o['name']}" for o in done["organisations"]]
