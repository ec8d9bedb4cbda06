"""Builders: a small real world, made through the same services as the pages use.

A station and a district bound by one regulation, the province's Border Guard Party committee above the station, a commune
that is no party to anything, an administrative unit, people in their seats.
"""

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.test import Client

from hiepdong.accounts.models import Person, Seat
from hiepdong.duties.models import Duty
from hiepdong.duties.services import make_duties
from hiepdong.exchange import services as exchange
from hiepdong.exchange.models import Dispatch, Draft
from hiepdong.kernel.text import fold, sort_key
from hiepdong.organisations.models import Organisation, Responsibility, Superior
from hiepdong.regulations.models import Article, DutyRule, Form, Instrument, Party
from hiepdong.territories.models import Unit
from hiepdong.web.services import react

LONG_AGO = date(2000, 1, 1)
MADE_AT = datetime(2020, 1, 1, tzinfo=UTC)
SENT_AT = datetime(2020, 3, 16, 3, tzinfo=UTC)
KEY = "t.qcph"
_counter = itertools.count(1)

DEFINITION = {
    "indicators": [
        {
            "key": "tuan-tra",
            "name": "Tuần tra",
            "unit": "lượt",
            "definition": "tuan-tra/1",
            "group": "Tuần tra",
            "field": "chu-quyen",
            "aggregate": "sum",
            "parts_of": "",
            "required": True,
        }
    ],
    "sections": [{"key": "tinh-hinh", "name": "Tình hình", "required": False}],
}
FIGURE = {
    "indicator": "tuan-tra",
    "state": "value",
    "value": "12",
    "unit": "lượt",
    "precision": "exact",
    "scope": "",
    "text": "",
}
MONTHLY = {
    "debtor": {"kind": "border_station"},
    "creditor": {"kind": "party_district", "relation": "any"},
    "content": {"type": "report", "form": "thang", "nil_allowed": True},
    "trigger": {"type": "period", "family": "r-rep-month"},
    "deadline": {"type": "after", "amount": 2, "unit": "working_days"},
    "may_waive": ["creditor"],
    "may_suspend": ["creditor"],
}
YEARLY = {
    "debtor": {"kind": "party_district"},
    "creditor": {"kind": "border_station", "relation": "any"},
    "content": {"type": "notice", "nil_allowed": False},
    "trigger": {"type": "yearly", "month": 3, "day": 3},
    "deadline": {"type": "date", "on_day_off": "stay"},
}


def organisation(key: str, kind: str = "other", name: str = "", **more: Any) -> Organisation:
    name = name or key
    values = {"valid_from": LONG_AGO, "source": "thử"} | more
    return Organisation.objects.create(
        key=key, kind=kind, name=name, name_folded=fold(name), name_sort=sort_key(name), **values
    )


def person(sign_in_name: str = "", display_name: str = "Trực ban") -> Person:
    return Person.objects.create(sign_in_name=sign_in_name or f"nguoi-{next(_counter)}", display_name=display_name)


def seat(
    at: Organisation, role: str = "signer", *, who: Person | None = None, until: date | None = None, title: str = ""
) -> Seat:
    return Seat.objects.create(
        person=who or person(), organisation=at, role=role, valid_from=LONG_AGO, valid_until=until, title=title
    )


def entered(by: Seat) -> Client:
    """Return a test client in which the person of the seat is signed in."""
    client = Client()
    client.force_login(by.person)
    return client


def unit(code: str, name: str, *, kind: str = "huyện", level: str = "district", parent: Unit | None = None) -> Unit:
    return Unit.objects.create(
        code=code,
        valid_from=LONG_AGO,
        level=level,
        kind=kind,
        name=name,
        parent=parent,
        name_folded=fold(name),
        name_sort=sort_key(name),
        source="thử",
    )


def regulation(issuer: Organisation, parties: Sequence[tuple[Organisation, str]]) -> Instrument:
    """Return a regulation with a monthly report by form, owed by stations to districts, and a yearly notice back."""
    made = Instrument.objects.create(
        key=KEY,
        version=1,
        title="Quy chế phối hợp thử",
        effective_from=date(2019, 12, 15),
        issuer=issuer,
        source="thử",
        file_bytes=b'key = "t.qcph"\n',
        digest="t",
        loaded_at=MADE_AT,
    )
    Party.objects.bulk_create(Party(instrument=made, organisation=o, side=side) for o, side in parties)
    Article.objects.create(
        instrument=made, clause="5.2", heading="Chế độ thông tin", text="Hằng tháng đồn gửi báo cáo.", position=1
    )
    form = Form.objects.create(instrument=made, key="thang", title="Báo cáo tháng", definition=DEFINITION)
    for key, title, spec, its in (("thang", "Báo cáo tháng", MONTHLY, form), ("ngay-bp", "Thông báo 3/3", YEARLY, None)):
        kind = spec["content"]["type"]
        DutyRule.objects.create(
            instrument=made, key=key, title=title, clause="5.2", content=kind, form=its, spec=spec, source="thử"
        )
    return made


def notice(sender: Organisation, to: Sequence[Organisation], subject: str = "Thông báo", **more: Any) -> exchange.Outgoing:
    more = {"body": {"text": "Nội dung."}, "sent_at": SENT_AT} | more
    return exchange.Outgoing(kind=more.pop("kind", "notice"), sender=sender, to=list(to), subject=subject, **more)


def send(by: Seat, to: Sequence[Organisation], subject: str = "Thông báo", *, at: datetime = SENT_AT, **more: Any) -> Dispatch:
    """Send a notice of the seat's organisation and do the reactions, as a page does."""
    sent = exchange.send(item=notice(by.organisation, to, subject, **more), actor=by, at=at)
    react(at=at)
    return sent


class World:
    def __init__(self) -> None:
        self.province = organisation("t.dang-uy-bdbp", "border_guard_party", "Đảng ủy Bộ đội Biên phòng", notation="ĐU")
        self.station = organisation("t.don-mot", "border_station", "Đồn Biên phòng Một", notation="ĐBP")
        self.district = organisation("t.huyen-uy", "party_district", "Huyện ủy Ba", notation="HU")
        self.outsider = organisation("t.xa-la", "party_commune", "Đảng ủy xã Lạ", notation="ĐU")
        Superior.objects.create(organisation=self.station, superior=self.province, valid_from=LONG_AGO, source="thử")
        self.unit = unit("417", "Kỳ Sơn")
        Responsibility.objects.create(organisation=self.station, unit=self.unit, valid_from=LONG_AGO, source="thử")
        sides = [(self.province, "border_guard"), (self.station, "border_guard"), (self.district, "locality")]
        self.instrument = regulation(self.province, sides)
        self.signer = seat(self.station, "signer", title="Đồn trưởng")
        self.clerk = seat(self.station, "clerk")
        self.reader = seat(self.district, "signer", title="Chánh Văn phòng")

    def duties(self, until: date = date(2020, 5, 14)) -> None:
        make_duties(instrument_key=KEY, until=until, actor=None, at=MADE_AT)

    def reference(self, label: str = "2020-03") -> str:
        return f"{KEY}/thang/{self.station.key}/{self.district.key}/{label}"

    def duty(self, label: str = "2020-03") -> Duty:
        return Duty.objects.get(reference=self.reference(label))

    def draft(self, *, by: Seat | None = None, **content: Any) -> Draft:
        content = {
            "kind": "notice",
            "subject": "Thông báo",
            "recipients": [{"organisation": self.district.key, "role": "to"}],
            "answers": [],
            "body": {"text": "Nội dung."},
        } | content
        return exchange.save_draft(draft_id=uuid.uuid4(), content=content, actor=by or self.clerk, at=SENT_AT)

    def report(self, label: str = "2020-03", *, at: datetime = SENT_AT, value: str = "12", **more: Any) -> Dispatch:
        """Send the monthly report of the station by form."""
        first = date(int(label[:4]), int(label[5:]), 15) - timedelta(days=28)
        form = {
            "instrument": KEY,
            "version": 1,
            "key": "thang",
            "period_from": first.replace(day=15).isoformat(),
            "period_to": f"{label}-14",
            "figures": [FIGURE | {"value": value}],
            "sections": [],
        }
        answers = [self.reference(label)]
        body = {"text": "", "form": form}
        return send(
            self.signer, [self.district], f"Báo cáo tháng {label}", at=at, kind="report", answers=answers, body=body, **more
        )
