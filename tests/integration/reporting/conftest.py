"""A station that owes a district a monthly report by form, and people in their seats."""

import uuid
from datetime import UTC, date, datetime

import pytest

from hiepdong.accounts.models import Person, Seat
from hiepdong.duties.services import make_duties
from hiepdong.kernel.text import fold, sort_key
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import DutyRule, Form, Instrument, Party

LONG_AGO = date(2000, 1, 1)
MADE_AT = datetime(2020, 1, 1, tzinfo=UTC)
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
        },
        {
            "key": "xu-phat",
            "name": "Tiền phạt",
            "unit": "triệu đồng",
            "definition": "xu-phat/1",
            "group": "Vi phạm",
            "field": "toi-pham",
            "aggregate": "sum",
            "parts_of": "",
            "required": False,
        },
        {
            "key": "chot",
            "name": "Chốt cuối kỳ",
            "unit": "chốt",
            "definition": "chot/1",
            "group": "Dịch bệnh",
            "field": "dich-benh",
            "aggregate": "last",
            "parts_of": "",
            "required": False,
        },
    ],
    "sections": [{"key": "tinh-hinh", "name": "Tình hình", "required": True}],
}
RULE = {
    "debtor": {"kind": "border_station"},
    "creditor": {"kind": "party_district", "relation": "any"},
    "content": {"type": "report", "form": "thang", "nil_allowed": True},
    "trigger": {"type": "period", "family": "r-rep-month"},
    "deadline": {"type": "after", "amount": 2, "unit": "working_days"},
}


def body(key, kind, name):
    return Organisation.objects.create(
        key=key, kind=kind, name=name, valid_from=LONG_AGO, source="thử", name_folded=fold(name), name_sort=sort_key(name)
    )


class World:
    def __init__(self):
        self.station = body("t.don", "border_station", "Đồn Biên phòng Một")
        self.other_station = body("t.don-hai", "border_station", "Đồn Biên phòng Hai")
        self.district = body("t.huyen", "party_district", "Huyện ủy Ba")
        self.stranger = body("t.la", "party_commune", "Đảng ủy xã Lạ")
        self.instrument = Instrument.objects.create(
            key="t.qcph",
            version=1,
            title="Quy chế thử",
            effective_from=date(2019, 12, 15),
            issuer=self.district,
            source="thử",
            file_bytes=b"",
            digest="t",
            loaded_at=MADE_AT,
        )
        sides = [(self.station, "border_guard"), (self.other_station, "border_guard"), (self.district, "locality")]
        Party.objects.bulk_create(Party(instrument=self.instrument, organisation=o, side=s) for o, s in sides)
        self.form = Form.objects.create(instrument=self.instrument, key="thang", title="Báo cáo tháng", definition=DEFINITION)
        DutyRule.objects.create(
            instrument=self.instrument,
            key="thang",
            title="Báo cáo tháng của đồn",
            clause="5.2",
            content="report",
            form=self.form,
            spec=RULE,
            source="thử",
        )
        make_duties(instrument_key="t.qcph", until=date(2020, 5, 14), actor=None, at=MADE_AT)

    def seat(self, organisation, role="signer"):
        person = Person.objects.create(sign_in_name=uuid.uuid4().hex, display_name="Trực ban")
        return Seat.objects.create(person=person, organisation=organisation, role=role, valid_from=LONG_AGO)

    def reference(self, label="2020-03", station=None):
        return f"t.qcph/thang/{(station or self.station).key}/{self.district.key}/{label}"


@pytest.fixture
def world(db):
    return World()


@pytest.fixture
def enter(client):
    """Sign a seat in and return the client."""

    def entered(seat):
        client.force_login(seat.person)
        return client

    return entered
