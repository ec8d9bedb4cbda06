"""hiepdong account make|show|compare"""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import joint, signing, statements
from hiepdong.exchange.domain.account import differences, month_before
from hiepdong.exchange.domain.joint import Terms, read_terms
from hiepdong.exchange.services import UnknownRecipient
from hiepdong.exchange.wording import difference_in_words, way_in_words
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.organisations.models import Organisation
from hiepdong.organisations.queries import organisations_by_keys
from hiepdong.shell.commands import PlainCommand, bytes_of


class NotTwoOfOnePair(DomainError):
    """Two statements of different pairs or months cannot be compared."""

    code = "exchange.not_two_of_one_pair"
    message = gettext_noop("The two files are about different things: %(first)s and %(second)s.")
    hint = gettext_noop("Give two statements of the same two organisations and the same month.")


class Command(PlainCommand):
    help = (
        "Monthly statements of account between two organisations: what each sent the other, what arrived, what is missing. "
        "`make` makes the statement of an organisation that lives here, from the papers and receipts of this node; `show` "
        "lists the statements of a pair and month with their signatures and every difference, and can write one to a file; "
        "`compare` holds two such files against each other. People sign on the page. Exit code 0: done, nothing differs; 1: "
        "refused, or there are differences; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="make | show | compare")
        for name, text in (("make", "make a statement"), ("show", "show the statements of a pair and month")):
            action = actions.add_parser(name, help=text)
            action.add_argument("organisation", metavar="KEY", help="organisation; for make one that lives here")
            action.add_argument("other", metavar="OTHER", help="the other organisation")
            action.add_argument("--month", help="2020-03; without it last month")
            action.add_argument("--json", action="store_true", help="print the result as JSON")
            if name == "show":
                action.add_argument("--out", type=Path, help="write the newest statement of KEY here, with its signatures")
        comparing = actions.add_parser("compare", help="compare two statements that were written to files")
        comparing.add_argument("file", nargs=2, type=Path, help="statement (JWS, general JSON serialisation)")
        comparing.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            if options["action"] == "compare":
                differ = self._compare(options)
            else:
                month = options["month"] or month_before(timezone.now())
                own, other = self._pair(options["organisation"], options["other"])
                if options["action"] == "make":
                    statements.make(organisation=own, other=other, month=month, actor=None, at=timezone.now())
                differ = self._show(own, other, month, options)
        if differ:
            sys.exit(1)

    def _pair(self, *keys: str) -> tuple[Organisation, Organisation]:
        known = organisations_by_keys(keys)
        missing = next((k for k in keys if k not in known), None)
        if missing is not None:
            raise UnknownRecipient(key=missing)
        return known[keys[0]], known[keys[1]]

    def _show(self, own: Organisation, other: Organisation, month: str, options: dict[str, Any]) -> bool:
        a, b = sorted((own, other), key=lambda o: o.key)
        account = statements.account_of(a, b, month)
        names = {o.key: o.name for o in (a, b)}
        mine = next((s for s in account.statements if s.current and s.payload["made_by"] == own.key), None)
        if options.get("out") is not None and mine is not None:
            options["out"].write_text(json.dumps(joint.as_json(mine.document), indent=1) + "\n", encoding="ascii")
        if options["json"]:
            self.stdout.write(json.dumps(self._as_json(account), ensure_ascii=False, indent=1))
            return account.state == "differs"
        if not account.statements:
            self.stdout.write(_("No statement of this month has been made or has come yet."))
        for s in account.statements:
            facts = {"maker": names[s.payload["made_by"]], "at": f"{timezone.localtime(s.made_at):%H:%M %d/%m/%Y}"}
            self.stdout.write(_("Statement of %(maker)s, as of %(at)s:") % facts)
            for way in s.payload["sent"]:
                self.stdout.write("  " + way_in_words(way, names))
            signed = ", ".join(names[p.key] for p in s.signatories if p.at is not None) or _("nobody yet")
            self.stdout.write("  " + _("signed by: %(names)s") % {"names": signed})
            self._tell(s.differences, names, _("this node knows otherwise:"))
        self._tell(account.between, names, _("the two statements differ:"))
        return account.state == "differs"

    def _tell(self, found: list[Any], names: dict[str, str], title: str) -> None:
        if found:
            self.stdout.write("  " + title)
        for difference in found:
            self.stdout.write("  - " + difference_in_words(difference, names))

    def _as_json(self, account: statements.Account) -> dict[str, Any]:
        rows = [
            {
                "digest": s.document.digest,
                "statement": s.payload,
                "signed_by": sorted(joint.signed_by(s.document)),
                "differences": [d.as_json() for d in s.differences],
            }
            for s in account.statements
        ]
        return {"state": account.state, "statements": rows, "between": [d.as_json() for d in account.between]}

    def _compare(self, options: dict[str, Any]) -> bool:
        first, second = (self._read(path) for path in options["file"])
        if first.name != second.name:
            raise NotTwoOfOnePair(first=first.name, second=second.name)
        found = differences(first.claims, second.claims)
        if options["json"]:
            self.stdout.write(json.dumps([d.as_json() for d in found], ensure_ascii=False, indent=1))
            return bool(found)
        names = {o.key: o.name for o in organisations_by_keys(first.parties).values()}
        if not found:
            self.stdout.write(_("The two statements say the same."))
        self._tell(found, {k: names.get(k, k) for k in first.parties}, _("the two statements differ:"))
        return bool(found)

    def _read(self, path: Path) -> Terms:
        try:
            general = signing.general_of(json.loads(bytes_of(path)))
        except (ValueError, RecursionError) as error:
            raise signing.BadSignature(what=f"{path}: JSON") from error
        if general.typ != signing.JOINT_TYPES["account"]:
            raise signing.BadSignature(what=f"{path}: typ {general.typ[:40]}")
        terms = read_terms("account", general.payload)
        unknown = sorted(set(terms.parties) - joint.verified_signers(general))
        if unknown:
            self.stderr.write(_("%(file)s: without a signature of %(names)s that can be checked here.") % {
                "file": path, "names": ", ".join(unknown)
            })  # fmt: skip
        return terms
