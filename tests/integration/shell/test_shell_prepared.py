"""A prepared read finds what the query itself finds, on both databases, whatever the values and however many."""

import uuid
from threading import Thread

import pytest
from django.db import connections
from django.db.models import BigIntegerField, CharField, Count, DateTimeField, Exists, OuterRef, UUIDField

from hiepdong.exchange.models import Addressee, Dispatch, Receipt
from hiepdong.organisations.models import Organisation
from hiepdong.shell.prepared import LONGEST, Prepared, among
from support.make import SENT_AT

pytestmark = pytest.mark.django_db


def papers(uuids):
    return Dispatch.objects.filter(uuid__in=uuids).select_related("sender", "key").order_by("pk")


def sent(senders, since, kind):
    received = Exists(Receipt.objects.filter(addressee__dispatch=OuterRef("pk")))
    found = Dispatch.objects.filter(among("sender", senders), sent_at__gte=since, kind=kind)
    return found.annotate(received=received, to=Count("addressees")).order_by("-pk")


@pytest.fixture
def stored(small_world):
    small_world.duties()
    return [small_world.report(month) for month in ("2020-03", "2020-04", "2020-05")]


def plain(row):
    return {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.__dict__.items() if name != "_state"}


def test_rows_are_those_of_the_query_with_what_belongs_to_them(stored, django_assert_num_queries):
    prepared = Prepared(papers, uuids=[UUIDField()])
    for some in ([d.uuid for d in stored], [str(stored[1].uuid)], {stored[0].uuid, uuid.uuid4()}):
        expected = list(papers(list(some)))
        with django_assert_num_queries(1):
            found = prepared(uuids=some)
            assert [(d.sender.name, d.key.kid) for d in found] == [(d.sender.name, d.key.kid) for d in expected]
        assert [plain(d) for d in found] == [plain(d) for d in expected]
        assert found == expected
        assert not found[0]._state.adding


def test_moments_words_and_what_is_counted_beside_are_read_as_by_the_query(stored):
    prepared = Prepared(sent, senders=[BigIntegerField()], since=DateTimeField(), kind=CharField())
    sender = stored[0].sender_id
    for since in (SENT_AT, stored[1].sent_at, stored[2].sent_at.replace(year=2031)):
        found, expected = prepared(senders=[sender, 0], since=since, kind="report"), list(sent([sender, 0], since, "report"))
        assert [(d.pk, d.received, d.to) for d in found] == [(d.pk, d.received, d.to) for d in expected]


def test_values_come_as_tuples_and_of_one_column_alone(stored):
    pairs = Prepared(lambda pk: Addressee.objects.filter(dispatch=pk).values_list("sent_at", "role"), pk=BigIntegerField())
    assert pairs(pk=stored[0].pk) == [(stored[0].addressees.get().sent_at, "to")]
    keys = Prepared(lambda pk: Organisation.objects.filter(pk=pk).values_list("key", flat=True), pk=BigIntegerField())
    assert keys(pk=stored[0].sender_id) == [stored[0].sender.key]
    assert keys.one(pk=stored[0].sender_id) == stored[0].sender.key
    assert keys.one(pk=0) is None


def test_a_long_list_is_asked_in_the_usual_way_and_an_empty_one_not_at_all(stored, django_assert_num_queries):
    prepared = Prepared(papers, uuids=[UUIDField()])
    many = [d.uuid for d in stored] + [uuid.uuid4() for _ in range(LONGEST)]
    assert prepared(uuids=many) == list(papers(many))
    with django_assert_num_queries(0):
        assert prepared(uuids=[]) == []


def test_what_a_value_says_is_never_read_as_sql(stored):
    prepared = Prepared(lambda keys: Organisation.objects.filter(key__in=keys), keys=[CharField()])
    assert prepared(keys=["x' or '1'='1", "%s", "?"]) == []


def test_a_thread_keeps_its_own_statements(stored):
    prepared = Prepared(papers, uuids=[UUIDField()])
    prepared(uuids=[stored[0].uuid])
    mine = connections["default"].__dict__["hiepdong_prepared"]
    found = []
    thread = Thread(target=lambda: found.append(connections["default"].__dict__.get("hiepdong_prepared", {})))
    thread.start()
    thread.join()
    assert (prepared, 1) in mine
    assert found == [{}]
