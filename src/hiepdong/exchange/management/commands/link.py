"""hiepdong link invite|accept|confirm|list|show|…: links with other nodes, and what is held on them."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import http_line, intake, invitation_address, link_queries, links
from hiepdong.exchange.domain.dispatch import ReasonMissing
from hiepdong.exchange.domain.link_health import Standing
from hiepdong.exchange.link_queries import LinkRow, all_links, explained, incidents_of, link_row, peer_by, told
from hiepdong.exchange.templatetags.links import item_name, meaning, standing_word, state_name, trouble_text
from hiepdong.shell.commands import PlainCommand, bytes_of
from hiepdong.shell.templatetags.hiepdong import moment

from .node import digest_of_certificate

STATES = {"pause": "paused", "resume": "linked", "end": "ended"}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


class Command(PlainCommand):
    help = (
        "Link this node with others and see how the links are: invitations, the pair number, what waits, what is held back and "
        "why. Exit code 0: done; 1: refused, with the reason, and for `show` also a disturbed link; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        words = (
            "invite | accept | confirm | addresses | pin | list | show | pause | resume | end | held | release | dismiss | "
            "incidents | seen"
        )
        actions = parser.add_subparsers(dest="action", required=True, metavar=words)
        made = {}

        def action(name: str, text: str) -> Any:
            made[name] = actions.add_parser(name, help=text)
            return made[name]

        inviting = action("invite", "make an invitation of this node, good for 30 days")
        inviting.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: to the output)")
        inviting.add_argument(
            "--certificate", action="append", default=[], type=Path, metavar="FILE", help="our certificate (PEM), to be pinned"
        )
        inviting.add_argument(
            "--address",
            action="store_true",
            help="print a secret address that gives it three times, instead of the text",
        )
        addresses = action("addresses", "list the secret addresses that still give an invitation, or end one")
        addresses.add_argument("--end", type=int, metavar="ID", help="end this one")
        accepting = action("accept", "read the invitation of another node and show the number to compare")
        accepting.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the invitation")
        accepting.add_argument("--address", default="", metavar="URL", help="its secret address, instead of a file")
        confirming = action("confirm", "link with a node whose number was compared by telephone")
        confirming.add_argument("peer", metavar="PEER", help="number, name or beginning of the id of the node")
        confirming.add_argument("number", nargs="+", metavar="NUMBER", help="the number as the other administrator read it out")
        pinning = action("pin", "show the SHA-256 of the certificate that answers at an address: what the other side pins")
        pinning.add_argument("host", metavar="HOST[:PORT]", help="name or number of the server; port 443 if none is given")
        action("list", "list the links, disturbed ones first")
        for name, text in (
            ("show", "show one link; exit code 1 while it is disturbed"),
            ("pause", "pause a link: nothing goes out, nothing is taken, what waits stays"),
            ("resume", "take a paused link up again"),
            ("end", "end a link; only a fresh invitation takes it up again"),
        ):
            action(name, text).add_argument("peer", metavar="PEER", help="number, name or beginning of the id of the node")
        holding = action("held", "list what is held back here and why, of one node or of all")
        holding.add_argument("peer", nargs="?", default="", metavar="PEER", help="only of this node")
        holding.add_argument("--refused", action="store_true", help="what was refused instead")
        releasing = action("release", "let a held item pass, by your decision")
        releasing.add_argument("id", type=int, metavar="ID", help="as `held` shows it")
        dismissing = action("dismiss", "refuse a held item for good, by your decision")
        dismissing.add_argument("id", type=int, metavar="ID", help="as `held` shows it")
        dismissing.add_argument("--reason", required=True, help="why; it stays in the records")
        incidents = action("incidents", "list what must not happen on a link and did, of one node or of all")
        incidents.add_argument("peer", nargs="?", default="", metavar="PEER", help="only of this node")
        action("seen", "note that you looked at an incident").add_argument("id", type=int, metavar="ID", help="as listed")
        for each in made.values():
            each.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            done, lines = getattr(self, f"_{options['action'] if options['action'] not in STATES else 'change'}")(options)
            if options["json"]:
                self.stdout.write(json.dumps(done, ensure_ascii=False))
            else:
                for line in lines:
                    self.stdout.write(line)
        if options["action"] == "show" and done["standing"] == Standing.DISTURBED:
            sys.exit(1)

    # --- linking -----------------------------------------------------------------------------------------------------------

    def _invite(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        now = timezone.now()
        tls = [digest_of_certificate(path) for path in options["certificate"]]
        if options["address"]:
            address = invitation_address.offer(tls=tuple(tls), actor=None, at=now)
            return {"address": address, "kid": links.node_key(now).kid}, [
                address,
                _("It gives the invitation three times at most, within 30 days. Compare the number by telephone all the same."),
            ]
        document = links.make_invitation(tls=tls, actor=None, at=now)
        kid = links.node_key(now).kid
        if options["out"] is None:
            return {"invitation": document.decode("ascii"), "kid": kid}, [document.decode("ascii")]
        options["out"].write_bytes(document)
        facts = {"file": str(options["out"]), "kid": kid}
        return facts, [
            _("Written: %(file)s. Give it to the other administrator by any way.") % facts,
            _("Fingerprint of this node's key: %(kid)s") % facts,
        ]

    def _accept(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        now = timezone.now()
        if bool(options["address"]) == (options["file"] is not None):
            raise CommandError(_("Name the file of the invitation, or its --address."), returncode=2)
        if options["address"]:
            peer = invitation_address.accept(address=options["address"], actor=None, at=now)
        else:
            peer = links.accept_invitation(document=bytes_of(options["file"]), actor=None, at=now)
        invitation = links.read_invitation(bytes(peer.invitation))
        number = links.number_with(invitation.kid, now)
        bodies = [str(o.get("key", "")) for o in invitation.directory["organisations"]]
        facts = {"peer": peer.pk, "name": peer.name, "state": str(peer.state), "number": number, "address": invitation.address}
        earlier = list(links.earlier_numbers_with(invitation.kid, now).values())
        return facts | {"organisations": bodies, "earlier_numbers": earlier}, [
            _("%(name)s speaks for %(count)s organisations.") % {"name": peer.name, "count": len(bodies)},
            _("Compare this number with its administrator by telephone: %(number)s") % facts,
            *(
                _("Good as well, if it read our invitation before our key was renewed: %(number)s") % {"number": n}
                for n in earlier
            ),
            _("If it is the same: hiepdong link confirm %(peer)s NUMBER") % facts,
        ]

    def _addresses(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        now = timezone.now()
        if options["end"] is not None:
            invitation_address.end(address_id=options["end"], actor=None, at=now)
        done, lines = [], []
        for each in invitation_address.open_addresses(at=now):
            left = {
                "id": each.pk,
                "made_at": _iso(each.made_at),
                "expires_at": _iso(each.expires_at),
                "left": each.fetches_left,
            }
            done.append(left)
            lines.append(f"{each.pk}  {moment(each.made_at)} – {moment(each.expires_at)}  {each.fetches_left}")
        return done, lines or [_("Nothing.")]

    def _confirm(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        peer = peer_by(options["peer"])
        peer = links.confirm_peer(peer_id=peer.pk, number=" ".join(options["number"]), actor=None, at=timezone.now())
        return {"peer": peer.pk, "name": peer.name, "state": str(peer.state)}, [
            _("Linked with %(name)s.") % {"name": peer.name}
        ]

    def _pin(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        host, port = self._place(options["host"])
        pin = http_line.pin_of(host, port)
        groups = " ".join(pin[i : i + 8] for i in range(0, len(pin), 8))
        return {"host": host, "port": port, "sha256": pin}, [
            _("SHA-256 of the certificate that answers at %(host)s: %(pin)s") % {"host": f"{host}:{port}", "pin": pin},
            _("To read it out: %(groups)s") % {"groups": groups},
            _("Who answered was not checked. Compare it with what its administrator sees on the server itself:"),
            "    openssl x509 -in …crt -outform DER | sha256sum",
            _("Only if all 64 characters are the same, pin it: hiepdong node pin PEER --sha256 %(pin)s") % {"pin": pin},
        ]

    @staticmethod
    def _place(text: str) -> tuple[str, int]:
        try:
            parts = urlsplit("//" + text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not host or port == 0 or parts.path or "@" in text:
            raise CommandError(_("%(text)s is no HOST or HOST:PORT") % {"text": text}, returncode=2)
        return host, port or 443

    def _change(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        peer = peer_by(options["peer"])
        wanted = STATES[options["action"]]
        peer = links.set_state(peer_id=peer.pk, state=wanted, actor=None, at=timezone.now())
        if peer.state != wanted:
            text = _("%(name)s is %(state)s; that cannot be changed so.") % {"name": peer.name, "state": state_name(peer.state)}
            raise CommandError(text, returncode=1)
        return {"peer": peer.pk, "name": peer.name, "state": str(peer.state)}, [f"{peer.name}: {state_name(peer.state)}"]

    # --- how they are ------------------------------------------------------------------------------------------------------

    def _facts(self, row: LinkRow) -> dict[str, Any]:
        peer = row.peer
        return {
            "peer": peer.pk,
            "node": str(peer.node_id),
            "name": peer.name,
            "state": str(peer.state),
            "standing": str(row.health.standing),
            "troubles": [str(t) for t in row.health.troubles],
            "heard_at": _iso(peer.heard_at),
            "reached_at": _iso(peer.reached_at),
            "oldest_waiting_at": _iso(row.oldest_waiting_at),
            "next_try_at": _iso(peer.next_try_at),
            "last_error": peer.last_error,
            "clock_ahead_s": peer.clock_ahead_s,
            "key_until": _iso(row.key_until),
            **{k: row.health.facts[k] for k in ("out", "coming", "held", "incidents")},
        }

    def _list(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        rows = all_links(at=timezone.now())
        lines = [f"{r.peer.pk}  {r.peer.name}  {state_name(r.peer.state)}  {standing_word(r.health)}" for r in rows]
        return [self._facts(r) for r in rows], lines or [_("No links yet. Begin with: hiepdong link invite --out FILE")]

    def _show(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        now = timezone.now()
        row = link_row(peer_by(options["peer"]).pk, at=now)
        peer, facts = row.peer, row.health.facts
        lines = [f"{peer.name}  ({peer.node_id}): {state_name(peer.state)}, {standing_word(row.health)}"]
        lines += [f"  ! {trouble_text(t, row.health)}" for t in row.health.troubles]
        never = _("never")
        heard, reached = moment(peer.heard_at) or never, moment(peer.reached_at) or never
        lines.append(_("heard: %(heard)s; answered: %(reached)s") % {"heard": heard, "reached": reached})
        lines.append(_("waits to go out: %(out)s; not here yet: %(coming)s; held: %(held)s") % facts)
        if peer.failures:
            said = {"n": peer.failures, "error": peer.last_error, "next": moment(peer.next_try_at) or "–"}
            lines.append(_("%(n)s failed tries, the last one: %(error)s; next try %(next)s") % said)
        missing, _pairs = link_queries.missing_of(peer_id=peer.pk)
        gaps: list[dict[str, Any]] = [
            {"sender": m.sender, "recipient": m.recipient, "numbers": list(m.numbers), "count": m.count} for m in missing
        ]
        lines += [f"  {_('missing')}: {g['sender']} → {g['recipient']}: {', '.join(map(str, g['numbers']))}" for g in gaps]
        return self._facts(row) | {"missing": gaps}, lines

    def _held(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        state = "refused" if options["refused"] else "held"
        peers = [peer_by(options["peer"])] if options["peer"] else [r.peer for r in all_links(at=timezone.now())]
        done, lines = [], []
        for peer in peers:
            for item in told(link_queries.arrivals_of(peer.pk, state=state)[:500]):
                row = item.arrival
                done.append(
                    {
                        "id": row.pk,
                        "peer": peer.pk,
                        "kind": row.kind,
                        "position": row.position,
                        "code": row.code,
                        "waits_for": row.waits_for,
                        "digest": row.digest,
                        "received_at": _iso(row.received_at),
                        "sender": item.sender,
                        "facts": row.facts,
                    }
                )
                lines.append(f"{row.pk}  {peer.name}  {item_name(row.kind)}  {item.sender}  {meaning(row.code)}")
                if item.fingerprint:
                    lines.append(f"    {item.fingerprint}")
        return done, lines or [_("Nothing.")]

    def _release(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        row = intake.release(arrival_id=options["id"], actor=None, at=timezone.now())
        if row.state != "applied":
            raise CommandError(_("It still cannot be taken: %(why)s") % {"why": meaning(row.code)}, returncode=1)
        return {"id": row.pk, "state": str(row.state)}, [_("Released: it is taken now, with your decision in the journal.")]

    def _dismiss(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if not options["reason"].strip():
            raise ReasonMissing
        row = intake.dismiss(arrival_id=options["id"], reason=options["reason"], actor=None, at=timezone.now())
        return {"id": row.pk, "state": str(row.state)}, [_("Dismissed. Its bytes stay here as evidence.")]

    def _incidents(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        peer = peer_by(options["peer"]) if options["peer"] else None
        shown = explained(incidents_of(peer.pk if peer else None)[:500])
        done = [
            {
                "id": s.incident.pk,
                "peer": s.incident.peer_id,
                "code": s.incident.code,
                "at": _iso(s.incident.at),
                "seen_at": _iso(s.incident.seen_at),
                "facts": s.incident.facts,
            }
            for s in shown
        ]
        lines = [
            f"{s.incident.pk}  {'–' if s.incident.seen_at else '!'}  {moment(s.incident.at)}  {s.incident.peer.name}  "
            f"{_(s.reason.message)} ({s.incident.code})"
            for s in shown
        ]
        return done, lines or [_("Nothing.")]

    def _seen(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        found = links.see_incident(incident_id=options["id"], actor=None, at=timezone.now())
        return {"id": found.pk, "seen_at": _iso(found.seen_at)}, [_("Noted.")]
