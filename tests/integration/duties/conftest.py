"""A small world: one provincial Party committee, two stations, two districts, one regulation of two versions."""

import uuid
from datetime import UTC, date, datetime

import pytest

from hiepdong.accounts.models import Person, Seat
from hiepdong.exchange.models import Addressee, Dispatch, SigningKey
from hiepdong.journal.services import record
from hiepdong.kernel.text import fold, sort_key
from hiepdong.organisations.models import Organisation, Superior
from hiepdong.regulations.models import DutyRule, Instrument, Party

LONG_AGO = date(2000, 1, 1)
MADE_AT = datetime(2020, 1, 1, tzinfo=UTC)


def body(key, kind, name="", *, until=None):
    name = name or key
    return Organisation.objects.create(
        key=key,
        kind=kind,
        name=name,
        valid_from=LONG_AGO,
        valid_until=until,
        source="thử",
        name_folded=fold(name),
        name_sort=sort_key(name),
    )


def instrument(key, issuer, parties, rules, *, version=1, effective_from=date(2019, 12, 15), effective_until=None):
    made = Instrument.objects.create(
        key=key,
        version=version,
        title=f"Quy chế {key}",
        effective_from=effective_from,
        effective_until=effective_until,
        issuer=issuer,
        source="thử",
        file_bytes=b"",
        digest=f"{key}-{version}",
        loaded_at=MADE_AT,
    )
    Party.objects.bulk_create(Party(instrument=made, organisation=o, side=side) for o, side in parties)
    for rule_key, spec in rules.items():
        content = spec.get("content", {"type": "report"})
        DutyRule.objects.create(
            instrument=made,
            key=rule_key,
            title=rule_key,
            clause="5.2",
            content=content["type"],
            spec={"content": content} | spec,
            source="thử",
        )
    return made


MONTHLY = {
    "debtor": {"kind": "border_station"},
    "creditor": {"kind": "party_district", "relation": "any"},
    "content": {"type": "report", "nil_allowed": True},
    "trigger": {"type": "period", "family": "r-rep-month"},
    "deadline": {"type": "after", "amount": 2, "unit": "working_days"},
    "may_waive": ["creditor", "superior"],
    "may_suspend": ["creditor"],
}
QUARTERLY = {
    "debtor": {"kind": "party_district"},
    "creditor": {"side": "border_guard", "kind": ["border_station"]},
    "content": {"type": "report", "nil_allowed": False},
    "trigger": {"type": "period", "family": "r-rep-quarter"},
    "deadline": {"type": "day_of_period_end_month", "day": 20, "on_day_off": "next"},
}
EVENT = {
    "debtor": {"kind": "border_station"},
    "creditor": {"kind": "party_district"},
    "copies": [{"kind": "border_guard_party", "relation": "superior"}],
    "content": {"type": "notice"},
    "trigger": {"type": "event", "event": "marker", "moment": "found"},
    "deadline": {"type": "after", "amount": 6, "unit": "hours"},
}


class World:
    """The bodies, the seats and a way to send."""

    def __init__(self):
        self.province = body("t.dang-uy", "border_guard_party", "Đảng ủy BĐBP")
        self.stations = [body(f"t.don-{n}", "border_station", f"Đồn {n}") for n in ("mot", "hai")]
        self.districts = [body(f"t.huyen-{n}", "party_district", f"Huyện ủy {n}") for n in ("ba", "tu")]
        for station in self.stations:
            Superior.objects.create(organisation=station, superior=self.province, valid_from=LONG_AGO, source="thử")
        self.parties = [
            (self.province, "border_guard"),
            *((s, "border_guard") for s in self.stations),
            *((d, "locality") for d in self.districts),
        ]
        self.instrument = instrument(
            "t.qcph", self.province, self.parties, {"thang": MONTHLY, "quy": QUARTERLY, "su-viec": EVENT}
        )
        self.numbers = 0

    def seat(self, organisation, role="signer"):
        person = Person.objects.create(sign_in_name=uuid.uuid4().hex, display_name="Trực ban")
        return Seat.objects.create(person=person, organisation=organisation, role=role, valid_from=LONG_AGO)

    def reference(self, debtor, creditor, label="2020-03", rule="thang"):
        return f"t.qcph/{rule}/{debtor.key}/{creditor.key}/{label}"

    def dispatch(self, sender, to, sent_at, answers=(), *, kind="report", replaces=None, withdraws=None):
        """Store a dispatch as `exchange` does, and return it with its journal entry."""
        self.numbers += 1
        key, _ = SigningKey.objects.get_or_create(
            kid=sender.key, defaults={"organisation": sender, "public_jwk": {}, "valid_from": MADE_AT}
        )
        made = Dispatch.objects.create(
            uuid=uuid.uuid4(),
            sender=sender,
            kind=kind,
            register_year=2020,
            register_number=self.numbers,
            notation=str(self.numbers),
            subject="Báo cáo",
            subject_folded="bao cao",
            sent_at=sent_at,
            entered_at=sent_at,
            answers=list(answers),
            replaces=replaces,
            signed=b"",
            digest="",
            key=key,
        )
        for organisation in to if isinstance(to, list) else [to]:
            before = Addressee.objects.filter(sender_id_copy=sender.pk, organisation=organisation).count()
            Addressee.objects.create(
                dispatch=made,
                organisation=organisation,
                sender_id_copy=sender.pk,
                sequence=before + 1,
                sent_at=sent_at,
                arrived_at=sent_at,
                apart=kind == "withdrawal",
            )
        facts = {"withdraws": str(withdraws.uuid)} if withdraws else {}
        return made, record("exchange.dispatch.sent", subject=made, actor=None, at=sent_at, facts=facts)

    def give_back(self, dispatch, organisation, at):
        """Return the dispatch for one addressee, and return the journal entry."""
        Addressee.objects.filter(dispatch=dispatch, organisation=organisation).update(returned_at=at)
        facts = {"organisation": organisation.key}
        return record("exchange.dispatch.returned", subject=dispatch, actor=None, at=at, facts=facts)


@pytest.fixture
def world(db):
    return World()
