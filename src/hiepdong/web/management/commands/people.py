"""hiepdong people add|end|password|list: the first seats of a node, a new password for who lost one."""

import json
import secrets
import sys
from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.accounts import queries, services
from hiepdong.accounts.domain.permissions import Role
from hiepdong.kernel.errors import NotFound
from hiepdong.organisations.models import Organisation
from hiepdong.organisations.queries import organisation_by_key
from hiepdong.shell.commands import PlainCommand

LENGTH = 12  # bytes of a made password: 16 characters


def day(text: str) -> date:
    """Return the day written as 2026-12-01."""
    return date.fromisoformat(text)


class Command(PlainCommand):
    help = (
        "Make people who may sign in, give them seats, set a new password. A node begins with one node administrator made "
        "here; the rest is done on the page of people and seats. A new password is made and printed once, or read. "
        "Exit code 0: done; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="add | end | password | list")
        adding = actions.add_parser("add", help="give a person, known or new, a seat in an organisation")
        adding.add_argument("sign_in_name", help="what is typed to sign in, best the post: don-my-ly")
        adding.add_argument("--organisation", required=True, metavar="KEY", help="key of the organisation: nghe-an.don-my-ly")
        adding.add_argument("--role", required=True, choices=[r.value for r in Role], help="what the seat may do")
        adding.add_argument("--name", default="", help="name shown, best the post; needed for a new person")
        adding.add_argument("--title", default="", help="position printed under documents")
        adding.add_argument("--since", type=day, metavar="DAY", help="first day of the seat (default today)")
        setting = actions.add_parser("password", help="set a new password for a person")
        setting.add_argument("sign_in_name", help="what is typed to sign in")
        for each in (adding, setting):
            each.add_argument("--password-stdin", action="store_true", help="read the password from the input, one line")
        ending = actions.add_parser("end", help="end a person's seats in an organisation today; they stay in the records")
        ending.add_argument("sign_in_name", help="what is typed to sign in")
        ending.add_argument("--organisation", required=True, metavar="KEY", help="key of the organisation")
        ending.add_argument("--role", default="", choices=["", *(r.value for r in Role)], help="only this role (default all)")
        listing = actions.add_parser("list", help="list the seats of the node, those that have ended too")
        listing.add_argument("--organisation", default="", metavar="KEY", help="only this organisation")
        for each in (adding, setting, ending, listing):
            each.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            if options["action"] in {"end", "list"}:
                self._seats(options)
                return
            done = self._add(options) if options["action"] == "add" else self._password(options)
            if options["json"]:
                self.stdout.write(json.dumps(done, ensure_ascii=False))
                return
            if "organisation" in done:
                text = _("%(person)s: seat at %(organisation)s, role %(role)s.")
                self.stdout.write(text % done)
            if "password" in done:
                self.stdout.write(_("Password of %(person)s, shown only now: %(password)s") % done)
            elif options["action"] == "password" or options["password_stdin"]:
                self.stdout.write(_("%(person)s: the password was set.") % done)

    def _seats(self, options: dict[str, Any]) -> None:
        """List seats, or end those of one person in one organisation."""
        if options["organisation"]:
            self._organisation(options["organisation"])
        found = queries.seats_on_node(organisation_key=options["organisation"])
        if options["action"] == "end":
            name = options["sign_in_name"].strip().lower()
            today = timezone.localdate()
            held = [s for s in found if s.person.sign_in_name == name and (s.valid_until is None or s.valid_until > today)]
            held = [s for s in held if options["role"] in {"", s.role}]
            if not held:
                facts = {"name": name, "organisation": options["organisation"]}
                raise CommandError(_("%(name)s holds no such seat at %(organisation)s.") % facts, returncode=1)
            found = [services.end_seat(seat_id=s.pk, actor=None, at=timezone.now()) for s in held]
        rows = [
            {
                "person": s.person.sign_in_name,
                "name": s.person.display_name,
                "organisation": s.organisation.key,
                "role": s.role,
                "title": s.title,
                "since": s.valid_from.isoformat(),
                "until": s.valid_until.isoformat() if s.valid_until else None,
            }
            for s in found
        ]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(
                "  ".join(str(row[k] or "–") for k in ("person", "organisation", "role", "since", "until", "name"))
            )

    def _add(self, options: dict[str, Any]) -> dict[str, Any]:
        name = options["sign_in_name"].strip().lower()
        organisation = self._organisation(options["organisation"])
        fresh = queries.person_by_name(name) is None
        if fresh and not options["name"]:
            raise CommandError(_("A new person needs --name: what others see, best the post."), returncode=2)
        password, shown = self._new_password(options) if fresh else ("", {})
        seat = services.seat_person(
            sign_in_name=name,
            display_name=options["name"],
            password=password,
            organisation_key=organisation.key,
            role=options["role"],
            title=options["title"],
            since=options["since"] or timezone.localdate(),
            actor=None,
            at=timezone.now(),
        )
        return {"person": name, "organisation": organisation.name, "role": seat.role} | shown

    def _organisation(self, key: str) -> Organisation:
        try:
            return organisation_by_key(key)
        except NotFound as error:
            raise CommandError(f"{key}: {_('There is no organisation with this key.')}", returncode=1) from error

    def _password(self, options: dict[str, Any]) -> dict[str, Any]:
        person = queries.person_by_name(options["sign_in_name"])
        if person is None:
            raise CommandError(_("Nobody signs in as %(name)s.") % {"name": options["sign_in_name"]}, returncode=1)
        password, shown = self._new_password(options)
        services.set_password(person=person, password=password, actor=None, at=timezone.now())
        return {"person": person.sign_in_name} | shown

    def _new_password(self, options: dict[str, Any]) -> tuple[str, dict[str, str]]:
        """Return the password and, if it was made here, what to show of it."""
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\r\n"), {}
        made = secrets.token_urlsafe(LENGTH)
        return made, {"password": made}
