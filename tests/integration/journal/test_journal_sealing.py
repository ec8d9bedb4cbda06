"""Sealing what was written, beside writers and beside a second worker; and the check that names what was done to it."""

import hashlib
import io
import json
import threading

import pytest
import rfc8785
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from hiepdong.journal import queries
from hiepdong.journal.domain.chain import BreakKind, Known
from hiepdong.journal.models import Entry, Seal
from hiepdong.journal.services import seal_entries
from support.together import together

from .conftest import AT, add_entries

MEMBERS = ["id", "code", "subject_kind", "subject_id", "subject_name", "actor_kind", "actor_id", "actor_name"]
MEMBERS += ["organisation_id", "facts"]


def found(**options):
    return [(b.kind, b.seal, b.entry) for b in queries.check_chain(**options).breaks]


def test_a_seal_is_what_the_protocol_page_says_also_after_the_database_stored_it(three_seals):
    """Made here from the rows as they are, by the words of protocol.md, section 10, alone."""
    previous = ""
    for seal in three_seals[1]:
        text = f"hiepdong.seal/1\n{seal.number}\n{previous}\n"
        for row in Entry.objects.filter(seal=seal.number).order_by("id"):
            members = {name: getattr(row, name) for name in MEMBERS} | {"at": "2020-03-20T03:00:00.123456Z"}
            text += hashlib.sha256(rfc8785.dumps(members)).hexdigest() + "\n"
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert seal.digest == previous
    assert queries.latest_seal() == queries.SealedState(3, previous, 10, AT)
    assert queries.seal(2).entries_total == 8
    assert queries.seal(4) is None


def test_one_entry_is_proven_by_its_bytes_and_the_text_of_its_seal_alone(three_seals):
    entry, seal = three_seals[0][5], three_seals[1][1]
    number, data = queries.sealed_entry(entry.pk)
    text = queries.seal_text(number)
    assert hashlib.sha256(text).hexdigest() == seal.digest
    assert hashlib.sha256(data).hexdigest() in text.decode().split("\n")[3:-1]
    assert json.loads(data)["id"] == entry.pk
    assert queries.sealed_entry(add_entries(1)[0].pk) is None
    assert queries.seal_text(4) is None


def test_nothing_is_sealed_twice_and_an_empty_journal_not_at_all(db):
    assert seal_entries(at=AT) == 0
    assert queries.latest_seal() is None
    add_entries(3)
    assert (seal_entries(at=AT), seal_entries(at=AT)) == (3, 0)
    assert Seal.objects.count() == 1


def test_the_whole_journal_is_whole(three_seals):
    add_entries(1)
    report = queries.check_chain(known=[Known(3, three_seals[1][2].digest, "w", total=10)])
    assert (report.is_whole, report.seals, report.entries, report.unsealed) == (True, 3, 10, 1)


def test_facts_without_a_canonical_form_are_sealed_all_the_same(db):
    add_entries(1, facts={"large": 2**60})
    assert seal_entries(at=AT) == 1
    assert found() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("code", "exchange.dispatch.returned"),
        ("at", "2020-03-20 03:00:00.123457"),
        ("subject_name", "Số: 06/BC-ĐBP"),
        ("actor_name", ""),
        ("organisation_id", None),
        ("facts", '{"sequence": 6, "reason": "chậm vì mưa lũ"}'),
    ],
)
def test_an_entry_changed_by_sql_is_named(three_seals, attacker, column, value):
    target = three_seals[0][5]
    attacker(f"UPDATE journal_entry SET {column} = %s WHERE id = %s", value, target.pk)
    assert found() == [(BreakKind.ENTRY_ALTERED, 2, target.pk)]


def test_an_entry_deleted_by_sql_is_named_by_its_neighbours(three_seals, attacker):
    entries = three_seals[0]
    attacker("DELETE FROM journal_entry WHERE id = %s", entries[5].pk)
    (one,) = queries.check_chain().breaks
    assert (one.kind, one.seal, one.after, one.before) == (BreakKind.ENTRY_REMOVED, 2, entries[4].pk, entries[6].pk)


def test_an_entry_put_in_by_sql_is_named(three_seals, attacker):
    made = add_entries(1)[0]
    attacker("UPDATE journal_entry SET seal = 2 WHERE id = %s", made.pk)
    assert found() == [(BreakKind.ENTRY_ADDED, 2, made.pk)]


def test_a_row_that_cannot_be_read_any_more_is_named_and_the_rest_is_checked(three_seals, attacker):
    entries = three_seals[0]
    if connection.vendor == "sqlite":
        attacker("UPDATE journal_entry SET actor_name = CAST(x'ff' AS TEXT) WHERE id = %s", entries[1].pk)
    else:
        attacker("UPDATE journal_entry SET at = 'infinity' WHERE id = %s", entries[1].pk)
    attacker("UPDATE journal_entry SET code = 'x' WHERE id = %s", entries[8].pk)
    assert found() == [(BreakKind.ENTRY_UNREADABLE, 1, entries[1].pk), (BreakKind.ENTRY_ALTERED, 3, entries[8].pk)]


def test_a_damaged_row_keeps_no_other_from_being_sealed(attacker):
    rows = add_entries(3)
    if connection.vendor == "sqlite":
        attacker("UPDATE journal_entry SET actor_name = CAST(x'ff' AS TEXT) WHERE id = %s", rows[1].pk)
    else:
        attacker("UPDATE journal_entry SET at = 'infinity' WHERE id = %s", rows[1].pk)
    assert seal_entries(at=AT) == 2
    assert found() == [(BreakKind.ENTRY_UNREADABLE, 0, rows[1].pk)]


def test_a_seal_altered_or_deleted_by_sql_is_named(three_seals, attacker):
    attacker("UPDATE journal_seal SET digest = %s WHERE number = 2", "0" * 64)
    assert found() == [(BreakKind.SEAL_ALTERED, 2, None)]
    attacker("DELETE FROM journal_seal WHERE number = 2")
    assert found() == [(BreakKind.SEAL_MISSING, 2, None)]


def test_a_journal_cut_off_at_its_end_is_found_only_by_what_a_witness_holds(three_seals, attacker):
    known = Known(3, three_seals[1][2].digest, "nút bên kia")
    attacker("DELETE FROM journal_entry WHERE seal = 3")
    attacker("DELETE FROM journal_seal WHERE number = 3")
    assert found() == [], "a shorter journal is a journal"
    assert found(known=[known]) == [(BreakKind.END_MISSING, 3, None)]
    add_entries(2)
    seal_entries(at=AT)
    assert found(known=[known]) == [(BreakKind.WITNESS_DIFFERS, 3, None)], "nor is it helped by writing on"


def test_a_check_of_the_last_seals_reads_those(three_seals, attacker):
    attacker("UPDATE journal_entry SET code = 'x' WHERE id = %s", three_seals[0][0].pk)
    assert found(first=2) == []
    attacker("UPDATE journal_entry SET code = 'x' WHERE id = %s", three_seals[0][9].pk)
    assert found(first=2) == [(BreakKind.ENTRY_ALTERED, 3, three_seals[0][9].pk)]


def test_the_oldest_seal_without_a_witness_is_the_one_after_the_newest_witnessed(three_seals):
    assert queries.oldest_unwitnessed_at(witnessed=0) == AT
    assert queries.oldest_unwitnessed_at(witnessed=3) is None


def test_the_command_says_that_the_journal_is_whole_or_where_it_is_not(three_seals, attacker):
    out = io.StringIO()
    call_command("journal", "check", stdout=out)
    assert "10" in out.getvalue()
    target = three_seals[0][5]
    attacker("UPDATE journal_entry SET code = 'x' WHERE id = %s", target.pk)
    with pytest.raises(CommandError) as refused:
        call_command("journal", "check", stdout=out)
    assert refused.value.returncode == 1
    assert str(target.pk) in str(refused.value)
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("journal", "check", "--json", f"--witnessed=9:{'a' * 64}", stdout=out)
    facts = json.loads(out.getvalue())
    assert facts["whole"] is False
    assert [(b["kind"], b["seal"], b["entry"]) for b in facts["breaks"]] == [
        ("entry_altered", 2, target.pk),
        ("end_missing", 9, None),
    ]


def test_a_checkpoint_that_is_written_wrongly_is_a_wrong_call(db):
    with pytest.raises(CommandError) as refused:
        call_command("journal", "check", "--witnessed=9:abc")
    assert "64" in str(refused.value)


def test_a_round_of_work_seals_what_the_journal_gained(db):
    add_entries(2)
    out = io.StringIO()
    call_command("work", "--once", "--json", stdout=out)
    assert json.loads(out.getvalue())["sealed"] == 2
    assert queries.latest_seal().entries_total == 2


# --- side by side --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_writers_at_once_seal_every_entry_once(tmp_path):
    add_entries(60)
    done = threading.Barrier(3, timeout=60)
    over = threading.Event()

    def write():
        for _ in range(20):
            add_entries(1)
        done.wait()

    def work():
        count = 0
        while not over.is_set():
            count += seal_entries(at=AT, most=7)
        return count

    def watch():
        done.wait()
        over.set()

    def rest():
        count = 0
        while more := seal_entries(at=AT, most=50):
            count += more
        return count, queries.check_chain()

    results, (left, report) = together([work, work, write, write, watch], tmp_path, then=rest)
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert (report.breaks, report.entries, report.unsealed) == ((), 100, 0)
    assert results[0] + results[1] + left == 100, "each said what it sealed itself"


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_commits_late_is_not_sealed_before_and_not_forgotten_after(tmp_path):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: ids are given out in the order of the commits")
    written, may_commit = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            (late,) = add_entries(1)
            written.set()
            assert may_commit.wait(30)
        return late.pk

    def quick():
        assert written.wait(30)
        add_entries(2)
        sealed = seal_entries(at=AT)
        may_commit.set()
        return sealed

    (late, sealed), _ = together([slow, quick], tmp_path, then=lambda: None)
    assert sealed == 2, "the open one has the smallest id and is not seen"
    assert Entry.objects.get(pk=late).seal is None
    assert seal_entries(at=AT) == 1
    assert late < Seal.objects.get(number=1).first_entry
    assert found() == []


def test_a_check_beside_sealing_ends_and_raises_no_false_alarm(db, monkeypatch):
    monkeypatch.setattr(queries, "PAGE", 5)
    add_entries(40)
    seal_entries(at=AT, most=20)

    def progress(done, count):
        add_entries(6)
        seal_entries(at=AT, most=7)

    assert queries.check_chain(progress=progress).breaks == ()
    assert queries.check_chain().breaks == ()
