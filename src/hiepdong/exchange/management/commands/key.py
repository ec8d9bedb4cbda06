"""hiepdong key list|rotate|revoke: the signing keys of the organisations that live here."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import link_queries, links
from hiepdong.exchange.domain.dispatch import ReasonMissing
from hiepdong.shell.commands import PlainCommand
from hiepdong.shell.templatetags.hiepdong import day

from .node import body


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


class Command(PlainCommand):
    help = (
        "List, renew and revoke the signing keys of the organisations that live here. A renewed key is vouched for by the one "
        "before; a revoked one is replaced at once, and the other side compares the new fingerprint by telephone. "
        "Exit code 0: done; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list | rotate | revoke")
        listing = actions.add_parser("list", help="list the keys, those that expire soon first")
        listing.add_argument("--all", action="store_true", help="earlier keys too")
        rotating = actions.add_parser("rotate", help="give an organisation a new key; the one before signs for it")
        rotating.add_argument("organisation", metavar="ORG", help="key of the organisation: nghe-an.don-my-ly")
        revoking = actions.add_parser("revoke", help="revoke a key that fell into wrong hands; a new one is made at once")
        revoking.add_argument(
            "kid", metavar="KID", help="fingerprint of the key, as `list` shows it; one that begins with - stands behind --"
        )
        revoking.add_argument("--reason", required=True, help="why; linked nodes see it")
        for each in (listing, rotating, revoking):
            each.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            done, lines = getattr(self, f"_{options['action']}")(options)
            if options["json"]:
                self.stdout.write(json.dumps(done, ensure_ascii=False))
                return
            for line in lines:
                self.stdout.write(line)

    def _list(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        links.this_node()
        found = link_queries.organisation_keys(peer_id=None, at=timezone.now(), newest_only=not options["all"])
        found.sort(key=lambda k: (k.warning is None, k.owner))
        done = [
            {
                "organisation": k.organisation,
                "kid": k.kid,
                "valid_from": _iso(k.valid_from),
                "valid_until": _iso(k.valid_until),
                "revoked_at": _iso(k.revoked_at),
                "warning_days": k.warning,
            }
            for k in found
        ]
        return done, [self._line(k) for k in found] or [_("No organisation lives here with a key yet.")]

    def _line(self, key: link_queries.ShownKey) -> str:
        if key.revoked_at is not None:
            end = _("revoked %(day)s") % {"day": day(key.revoked_at)}
        elif key.warning is not None:
            end = _("! good until %(day)s") % {"day": day(key.valid_until)}
        else:
            end = _("good until %(day)s") % {"day": day(key.valid_until) or "–"}
        return f"{key.kid}  {key.organisation}  {end}"

    def _rotate(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        organisation = body(options["organisation"])
        if not links.is_at_home(organisation.pk):
            raise links.NotAtHome(name=organisation.name)
        made = links.rotate_key(organisation=organisation, actor=None, at=timezone.now())
        facts = {"organisation": organisation.key, "kid": made.kid, "valid_until": _iso(made.valid_until)}
        text = _("%(organisation)s signs with %(kid)s now; linked nodes learn it by themselves.") % facts
        return facts, [text]

    def _revoke(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if not options["reason"].strip():
            raise ReasonMissing
        revoked = links.revoke_key(kid=options["kid"], reason=options["reason"], actor=None, at=timezone.now())
        rows = link_queries.organisation_keys(peer_id=None, at=timezone.now(), newest_only=True)
        new = next(k for k in rows if k.organisation == revoked.organisation.key)
        facts = {"revoked": revoked.kid, "organisation": revoked.organisation.key, "kid": new.kid}
        return facts, [
            _("Revoked: %(revoked)s. %(organisation)s signs with a new key now.") % facts,
            _("Read this fingerprint out to every linked node's administrator: %(kid)s") % (facts | {"kid": new.fingerprint}),
        ]
