"""hiepdong review build|approve|export"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from hiepdong.duties.services import NoSuchInstrument
from hiepdong.kernel.errors import NotFound
from hiepdong.organisations.queries import organisations_by_keys
from hiepdong.regulations.queries import instrument_keys
from hiepdong.review import queries, services
from hiepdong.review.models import Review
from hiepdong.shell.commands import PlainCommand, bytes_of

KINDS = ("docx", "pdf", "json")


class Command(PlainCommand):
    help = (
        "Build the yearly review of a regulation from the records, and write its files. Building again computes the numbers "
        "and findings anew and keeps what people wrote. Approving needs a signer and is done on the page. "
        "Exit code 0: done; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="build | export | list")
        building = actions.add_parser("build", help="compute the review of a year and write its files")
        building.add_argument("--regulation", required=True, help="key of the regulation, for example nghe-an.qcph-2020")
        building.add_argument("--year", required=True, type=int, help="the reporting year")
        building.add_argument("--as-of", help="moment up to which records count, as 2020-12-18T09:00+07:00; now unless given")
        building.add_argument("--organisation", default="", help="key of the body that writes it; the issuer unless given")
        building.add_argument("--published", type=Path, help="TOML file of published facts to set beside the records")
        building.add_argument("--out", type=Path, help="folder for review.docx, review.pdf and review.json")
        building.add_argument("--json", action="store_true", help="print the facts as JSON")
        exporting = actions.add_parser("export", help="write the files of a review that was built before")
        exporting.add_argument("review", type=int, help="number of the review; see `list`")
        exporting.add_argument("--out", type=Path, required=True, help="folder for review.docx, review.pdf and review.json")
        exporting.add_argument("--json", action="store_true", help="print what was written as JSON")
        listing = actions.add_parser("list", help="list the reviews of the node")
        listing.add_argument("--json", action="store_true", help="print the list as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "build":
                self._build(options)
            case "export":
                try:
                    review = queries.review_for(None, options["review"])
                except NotFound as error:
                    raise CommandError(
                        f"{options['review']}: nút không có tổng kết số này (xem `hiepdong review list`).", returncode=1
                    ) from error
                self._written(review, options["out"], as_json=options["json"])
            case _:
                self._list(as_json=options["json"])

    def _build(self, options: dict[str, Any]) -> None:
        as_of = _instant(options["as_of"])
        published = bytes_of(options["published"]) if options["published"] else None
        if options["regulation"] not in instrument_keys():
            raise NoSuchInstrument(key=options["regulation"])
        if options["organisation"] and not organisations_by_keys([options["organisation"]]):
            raise CommandError(f"--organisation {options['organisation']}: nút không có cơ quan mang khóa này.", returncode=1)
        made = {
            "instrument_key": options["regulation"],
            "year": options["year"],
            "organisation_key": options["organisation"],
            "as_of": as_of,
        }
        self.stderr.write("review: computing from the records")
        review = services.build_review(**made, actor=None, at=timezone.now())
        if published is not None:
            services.take_published(review_id=review.pk, file_bytes=published, actor=None, at=timezone.now())
            review = services.build_review(**made, actor=None, at=timezone.now())  # once more, with the published figures
        if options["out"]:
            self._written(review, options["out"], as_json=False)
        if options["json"]:
            self.stdout.write(json.dumps(review.facts, ensure_ascii=False, indent=1))
            return
        counts, findings = review.facts["counts"], review.facts["findings"]
        self.stdout.write(
            f"review {review.pk}: {counts['expected']} due, {counts['on_time']} on time, {counts['late']} late, "
            f"{counts['missing']} missing; {len(findings)} findings"
        )

    def _written(self, review: Review, folder: Path, *, as_json: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for kind in KINDS:
            path = folder / f"review.{kind}"
            path.write_bytes(services.download(review=review, kind=kind).data)
            paths.append(str(path))
            self.stderr.write(f"review: {path}")
        if as_json:
            self.stdout.write(json.dumps({"review": review.pk, "files": paths}, ensure_ascii=False))

    def _list(self, *, as_json: bool) -> None:
        rows = [
            {
                "review": r.pk,
                "regulation": r.instrument_key,
                "year": r.year,
                "organisation": r.organisation.key,
                "built_at": r.built_at.isoformat(),
                "approved": r.approved_at is not None,
                "digest": r.digest,
            }
            for r in Review.objects.select_related("organisation").defer("facts", "frozen").order_by("-year", "instrument_key")
        ]
        if as_json:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1))
            return
        for row in rows:
            state = "approved" if row["approved"] else "under work"
            self.stdout.write(f"{row['review']}  {row['regulation']}  {row['year']}  {row['organisation']}  {state}")


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CommandError(f"--as-of {text!r}: write a moment with its zone, as 2020-12-18T09:00+07:00", returncode=2)
    return found
