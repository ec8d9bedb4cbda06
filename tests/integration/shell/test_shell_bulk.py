"""Rows inserted plainly are as those that `bulk_create` makes, on both databases."""

import uuid
from datetime import timedelta, timezone

import pytest
from django.db import IntegrityError, transaction

from hiepdong.exchange.models import Addressee, Arrival, Dispatch, Parcel, Peer, Receipt, ReceiptCode
from hiepdong.journal.models import Entry
from hiepdong.journal.services import entry
from hiepdong.shell.bulk import fresh, insert, raise_by, update
from support.make import SENT_AT

pytestmark = pytest.mark.django_db


def twin(row, **changes):
    """Return an unsaved row with the same values."""
    kept = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if not f.primary_key}
    return type(row)(**kept | changes)


def values(row):
    return {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if not f.primary_key}


def test_every_kind_of_value_comes_back_as_it_went_in(small_world):
    small_world.duties()
    kept = small_world.report("2020-03")
    fresh = [twin(kept, uuid=uuid.uuid4(), register_number=1000 + n, answers=["a", "b"]) for n in range(3)]
    insert(fresh, keyed=True)
    for row in fresh:
        found = Dispatch.objects.get(pk=row.pk)
        assert values(found) | {"signed": bytes(found.signed)} == values(row) | {"signed": bytes(row.signed)}
    assert len({kept.pk, *(d.pk for d in fresh)}) == 4


def test_a_row_finds_the_key_of_the_row_that_was_made_before_it_and_goes_on_holding_it(small_world, django_assert_num_queries):
    small_world.duties()
    kept = small_world.report("2020-03")
    paper = twin(kept, uuid=uuid.uuid4(), register_number=1000)
    old = kept.addressees.get()
    addressed = twin(old, dispatch_id=None, sequence=77)
    addressed.dispatch = paper
    given = twin(old.receipts.get(), addressee_id=None, code=ReceiptCode.DONE)
    given.addressee = addressed
    for rows in ([paper], [addressed], [given]):
        insert(rows, keyed=True)
    with django_assert_num_queries(0):
        assert given.addressee.dispatch is paper
    assert Receipt.objects.get(code="done").addressee.dispatch.uuid == paper.uuid
    assert Addressee.objects.get(sequence=77).dispatch_id == paper.pk
    later = twin(kept, uuid=uuid.uuid4(), register_number=1001)
    later.save()
    assert later.pk > paper.pk  # a row that is saved in the usual way comes after those


def test_keys_that_were_taken_back_or_removed_bring_no_conflict(small_world):
    small_world.duties()
    kept = small_world.report("2020-03")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert([twin(kept)], keyed=True)  # the same uuid
    fresh = twin(kept, uuid=uuid.uuid4(), register_number=1000)
    insert([fresh], keyed=True)
    assert Dispatch.objects.get(uuid=fresh.uuid).pk == fresh.pk


def test_entries_of_the_journal_and_parcels_go_in_without_keys(small_world):
    before = Entry.objects.count()
    made = entry(
        "exchange.dispatch.sent", subject=small_world.station, actor=None, at=SENT_AT, name="Thử", facts={"a": [1, None]}
    )
    insert([made, made])
    assert Entry.objects.count() == before + 2
    assert Entry.objects.latest("pk").facts == {"a": [1, None]}
    insert([])
    assert not Parcel.objects.exists()


def peer_row():
    return Peer.objects.create(node_id=uuid.uuid4(), name="Bên kia", invitation=b"", earlier_incarnations=["a"])


def test_what_is_written_plainly_is_what_save_writes(db):
    peer = peer_row()
    elsewhere = SENT_AT.astimezone(timezone(timedelta(hours=7))).replace(microsecond=123456)
    peer.heard_at, peer.name, peer.earlier_incarnations, peer.clock_ahead_s = elsewhere, "Tên mới", ["a", {"b": None}], None
    update(peer, "heard_at", "name", "earlier_incarnations", "clock_ahead_s")
    plain = values(Peer.objects.get(pk=peer.pk))
    peer.save()
    assert plain == values(Peer.objects.get(pk=peer.pk))
    assert plain["heard_at"] == elsewhere
    assert plain["earlier_incarnations"] == ["a", {"b": None}]


def test_a_number_is_raised_where_it_stands_whatever_the_row_in_hand_says(db):
    peer = peer_row()
    Peer.objects.filter(pk=peer.pk).update(sent_through=40)
    peer.held_through = 7
    assert raise_by(peer, "sent_through", 3, "held_through") == 43 == peer.sent_through
    assert raise_by(Peer(pk=peer.pk), "sent_through", 1) == 44
    found = Peer.objects.get(pk=peer.pk)
    assert (found.sent_through, found.held_through, found.name) == (44, 7, "Bên kia")


@pytest.mark.parametrize("number", [1, 3])
def test_nothing_and_empty_and_full_values_come_back_alike_however_many_rows(db, number):
    peer = peer_row()
    common = {"peer": peer, "kind": "dispatch", "digest": "d", "way": "https", "state": "held", "received_at": SENT_AT}
    rows = [Arrival(position=n + 1, document=None, hops=[], facts={"a": {"b": [1, "đ"]}}, **common) for n in range(number)]
    rows[0].document, rows[0].settled_at, rows[0].hops = bytes(range(256)), SENT_AT, ["x.y.z"]
    insert(rows, keyed=True)
    for row in rows:
        found = Arrival.objects.get(pk=row.pk)
        assert values(found) | {"document": None} == values(row) | {"document": None}
        assert (found.document and bytes(found.document)) == row.document


def test_a_moment_without_a_zone_is_refused_and_not_guessed(db):
    peer = peer_row()
    peer.heard_at = SENT_AT.replace(tzinfo=None)
    with pytest.raises((ValueError, RuntimeWarning)):
        update(peer, "heard_at")


@pytest.mark.parametrize("model", [Dispatch, Addressee, Receipt, Arrival, Parcel, Entry, Peer])
def test_a_fresh_row_is_as_the_model_makes_it(model, small_world):
    made, usual = fresh(model), model()
    assert {k: v for k, v in made.__dict__.items() if k != "_state"} == {
        k: v for k, v in usual.__dict__.items() if k != "_state"
    }
    assert made._state.adding
    assert made._state.db is None
    with pytest.raises(TypeError, match="no field wrong"):
        fresh(model, wrong=1)


def test_a_fresh_row_holds_what_it_names_and_shares_nothing(small_world, django_assert_num_queries):
    first, second = (fresh(Parcel, peer_id=3, dispatch=None, kind="receipt") for _ in range(2))
    first.hops.append("x")
    assert second.hops == []
    addressed = fresh(Addressee, organisation=small_world.station, role="to")
    with django_assert_num_queries(0):
        assert addressed.organisation is small_world.station
        assert (addressed.organisation_id, first.dispatch) == (small_world.station.pk, None)
