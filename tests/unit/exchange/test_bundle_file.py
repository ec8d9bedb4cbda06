"""The file of a bundle: what is written, what is read, and every known way to make a bad one."""

import dataclasses
import errno
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from hashlib import sha256 as sha256_of
from pathlib import Path

import bagit
import pytest

from hiepdong.exchange import bundle_file, signing, strict_zip
from hiepdong.exchange import bundle_refusals as refusals
from hiepdong.exchange.bundle_file import (
    Limits,
    bundle_name,
    decrypt_bundle,
    digest_of_file,
    encrypt_bundle,
    is_encrypted,
    open_bundle,
    safe_name,
    write_bundle,
)
from hiepdong.exchange.domain.links import InvalidItem
from support import bags
from support.bags import (
    Entry,
    bag,
    data_files,
    document,
    entries,
    item,
    lines,
    put,
    sha256,
    sign,
    statement,
    tagged,
    verify,
    zipped,
)

SCAN = b"%PDF-1.7 " + bytes(range(256)) * 40
ITEMS = "data/items/00001.jsonl"
SCANNED = next(n for n in data_files() if n.startswith("data/files/"))


def write(path, items=3, files=(SCAN,), **more):
    sources = [(sha256(f), lambda f=f: io.BytesIO(f)) for f in files]
    listed = [item(i) for i in range(18, 18 + items)] if isinstance(items, int) else items
    return write_bundle(path, statement=statement(), items=listed, files=sources, sign=sign, **more)


def taken(path, **more):
    """Return all that a reader would take: statement, items, attachments."""
    with open_bundle(path, verify=verify, **more) as bundle:
        return bundle.statement, list(bundle.items()), {d: b"".join(bundle.file(d)) for d in bundle.files}


def refused(path, kind, **more):
    """Return the refusal; nothing may be handed out before, and it can be told in words."""
    with pytest.raises(refusals.BundleRefused) as caught, open_bundle(path, verify=verify, **more):
        pytest.fail("it was accepted")
    error = caught.value
    assert type(error) is kind, repr(error)
    assert str(error)
    assert error.hint
    assert not error.facts or error.hint % error.facts
    return error


# --- what is written is read --------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "goi.zip"
    digest = write(path)
    said, items, files = taken(path)
    assert [i["position"] for i in items] == [18, 19, 20]
    assert items[0] == item(18)
    assert files == {sha256(SCAN): SCAN}
    assert (said["items"], said["first"], said["last"], said["held_through"]) == (3, 18, 20, 512)
    assert digest == sha256(path.read_bytes()) == digest_of_file(path)


def test_members_of_an_item_that_this_version_does_not_know_survive(tmp_path):
    later = item(18, kind="greeting", colour={"of": ["tomorrow", 1, None]}, hops=[document(1)])
    write(tmp_path / "goi.zip", items=[later])
    assert taken(tmp_path / "goi.zip")[1] == [later]


def test_a_bundle_may_be_empty_and_still_say_what_is_held(tmp_path):
    write(tmp_path / "goi.zip", items=0, files=())
    said, items, files = taken(tmp_path / "goi.zip")
    assert (said["items"], said["first"], said["last"], items, files) == (0, 0, 0, [], {})


def test_the_same_contents_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a" / "goi.zip", tmp_path / "b" / "goi.zip"
    for path in (first, second):
        path.parent.mkdir()
        write(path)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.filterwarnings("ignore:'count' is passed as positional argument:DeprecationWarning")  # in that tool
def test_the_tool_of_the_library_of_congress_accepts_ours(tmp_path):
    write(tmp_path / "Gói gửi Kỳ Sơn.zip", items=2300, files=(SCAN, b"", b"hai"))
    with zipfile.ZipFile(tmp_path / "Gói gửi Kỳ Sơn.zip") as box:
        assert box.testzip() is None
        box.extractall(tmp_path / "out")
    found = bagit.Bag(str(tmp_path / "out" / "goi-gui-ky-son"))
    assert found.validate(processes=1)
    assert found.info["External-Identifier"] == bags.BUNDLE
    assert (found.info["Bagging-Date"], found.info["Source-Organization"]) == ("2020-03-20", bags.NODE)
    assert sorted(p for p in found.payload_files() if "items" in p) == [f"data/items/0000{i}.jsonl" for i in (1, 2, 3)]


def test_a_bundle_of_another_program_is_accepted(tmp_path):
    """Made with the ordinary zip library: folders as entries, times, sizes behind the data."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError(errno.ESPIPE, "a pipe")

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as box:
        for folder in ("", "data/", "data/items/", "data/files/"):
            box.mkdir(f"goi/{folder}".rstrip("/"))
        for name, data in bag().items():
            box.writestr(zipfile.ZipInfo(f"goi/{name}", (2020, 3, 20, 10, 0, 2)), data)
    assert b"PK\x07\x08" in out.getvalue()
    said, items, files = taken(put(tmp_path, out.getvalue()))
    assert (len(items), len(files), said["items"]) == (3, 1, 3)


def test_the_builder_of_hostile_bundles_makes_good_ones_too(tmp_path):
    """Else the refusals below would prove nothing."""
    said, items, files = taken(put(tmp_path, zipped(entries())))
    assert (len(items), len(files), said["first"]) == (3, 1, 18)
    plain = zipped(entries(**{n: {"method": 0, "external": 0} for n in bag()}))
    assert len(taken(put(tmp_path, plain))[1]) == 3


def test_an_attachment_that_comes_twice_is_written_once(tmp_path):
    write(tmp_path / "goi.zip", files=(SCAN, SCAN))
    assert list(taken(tmp_path / "goi.zip")[2]) == [sha256(SCAN)]


def test_attachments_may_be_paths(tmp_path):
    scan = tmp_path / "scan"
    scan.write_bytes(SCAN)
    write_bundle(tmp_path / "goi.zip", statement=statement(), items=[], files=[(sha256(SCAN), scan)], sign=sign)
    assert taken(tmp_path / "goi.zip")[2] == {sha256(SCAN): SCAN}


def test_a_report_of_blanks_is_no_bomb(tmp_path):
    """What shrinks out of proportion is stored as it is, or an honest bundle would be refused by its reader."""
    blank = item(18, document=".".join(["A" * 1_300_000] * 3))
    write(tmp_path / "goi.zip", items=[blank], files=(bytes(3_000_000),))
    assert taken(tmp_path / "goi.zip")[1] == [blank]


def test_progress_is_told_while_writing_and_while_checking(tmp_path):
    told, checked = [], []
    write(tmp_path / "goi.zip", items=2300, progress=told.append)
    with open_bundle(tmp_path / "goi.zip", verify=verify, progress=checked.append):
        pass
    assert told == checked == [1000, 2000, 2300]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Gói: Đồn Nậm Cắn/1-40", "goi-don-nam-can-1-40"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "bundle"),
        ("", "bundle"),
        ("aux.zip", "_aux.zip"),
        ("a\x00b\nc\\d:e", "a-b-c-d-e"),
        ("-rf", "rf"),
        ("x" * 300, "x" * 80),
    ],
)
def test_a_name_is_made_that_every_system_takes(text, name):
    assert safe_name(text) == name


def test_a_bundle_is_called_after_who_sends_what_to_whom():
    assert bundle_name(sender="Nghệ An", receiver="../Kỳ Sơn", first=18, last=640) == "nghe-an_ky-son_18-640.zip"
    assert bundle_name(sender="A", receiver="B", first=1, last=9, part=2, parts=3) == "a_b_1-9_2-3.zip"


# --- an export that does not end well -----------------------------------------------------------------------------------------


def test_an_interrupted_export_leaves_what_was_there_before(tmp_path):
    path = tmp_path / "goi.zip"
    write(path)
    before = path.read_bytes()

    def cut():
        yield item(18)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, items=cut())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


CHILD = """
import sys, time
from pathlib import Path
from support.bags import item, sign, statement
from hiepdong.exchange.bundle_file import write_bundle
def items():
    for i in range(1, 10**6):
        yield item(i)
        if i == 3000:
            print("writing", flush=True)
            time.sleep(60)
write_bundle(Path(sys.argv[1]), statement=statement(), items=items(), files=[], sign=sign)
"""


def test_a_killed_export_leaves_no_half_bundle_and_the_next_one_sweeps_it_up(tmp_path):
    path = tmp_path / "goi.zip"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, env=environment)
    assert child.stdout.readline() == b"writing\n"
    write(tmp_path / "goi.zip")  # another export at the same time does not touch what a living one writes
    assert len(list(tmp_path.glob(".*.part"))) == 1
    path.unlink()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not path.exists()
    assert len(list(tmp_path.glob(".*.part"))) == 1
    write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert len(taken(path)[1]) == 3


def test_a_full_disk_is_told_in_words_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(refusals.BundleNotWritten) as caught:
            write(tmp_path / "goi.zip", files=(os.urandom(300_000),))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.facts["file"] == "goi.zip"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(refusals.BundleNotWritten):
        write(tmp_path / "usb" / "goi.zip")
    (tmp_path / "goi.zip").mkdir()
    with pytest.raises(refusals.BundleNotWritten):
        write(tmp_path / "goi.zip")
    assert [p.name for p in tmp_path.iterdir()] == ["goi.zip"]


@pytest.mark.parametrize("bytes_of", [lambda: io.BytesIO(SCAN[:-1]), Path("/nonexistent/scan")], ids=["damaged", "missing"])
def test_an_attachment_that_is_not_what_was_kept_makes_no_bundle(tmp_path, bytes_of):
    with pytest.raises(refusals.BundleFileChanged):
        write_bundle(tmp_path / "goi.zip", statement=statement(), items=[], files=[(sha256(SCAN), bytes_of)], sign=sign)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "items", [[item(2), item(1)], [item(1), item(1)], [item(0)], [item(1, document="x")], [{"position": 1}]], ids=str
)
def test_what_a_reader_would_refuse_is_not_written(tmp_path, items):
    with pytest.raises(InvalidItem):
        write(tmp_path / "goi.zip", items=items)
    with pytest.raises(ValueError, match="digest"):
        write_bundle(tmp_path / "goi.zip", statement=statement(), items=[], files=[("../x", Path("x"))], sign=sign)
    with pytest.raises(ValueError, match="to"):
        write_bundle(tmp_path / "goi.zip", statement=statement(to="me"), items=[], files=[], sign=sign)
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_into_one_zip_is_refused_before_it_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(strict_zip, "MOST_BYTES", 1_000_000)
    with pytest.raises(refusals.BundleTooLarge):
        write(tmp_path / "goi.zip", files=(os.urandom(700_000),))
    monkeypatch.setattr(strict_zip, "MOST_BYTES", 10_000_000)
    monkeypatch.setattr(strict_zip, "MOST_MEMBERS", 5)
    with pytest.raises(refusals.BundleTooLarge):
        write(tmp_path / "goi.zip", files=(b"1", b"2", b"3", b"4"))
    assert not list(tmp_path.iterdir())


# --- memory -------------------------------------------------------------------------------------------------------------------


def test_memory_stays_flat_however_large_the_bundle(tmp_path):
    """20,000 items and an attachment of 64 MiB, one after the other through a few megabytes."""
    zeros = digest_of_zeros(64)
    path = tmp_path / "goi.zip"

    class Zeros(io.RawIOBase):
        left = 64 * 1024 * 1024

        def readable(self):
            return True

        def readinto(self, into):
            count = min(self.left, len(into))
            into[:count] = bytes(count)
            self.left -= count
            return count

    def peak_of(work):
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def read():
        with open_bundle(path, verify=verify) as bundle:
            assert sum(1 for _ in bundle.items()) == 20_000
            assert sum(len(c) for c in bundle.file(zeros)) == 64 * 1024 * 1024

    some = [item(i) for i in range(1, 20_001)]
    written = peak_of(lambda: write_bundle(path, statement=statement(), items=some, files=[(zeros, Zeros)], sign=sign))
    assert written < 4_000_000
    assert peak_of(read) < 3_000_000


def digest_of_zeros(mebibytes):
    found = sha256_of()
    for _ in range(mebibytes):
        found.update(bytes(1024 * 1024))
    return found.hexdigest()


# --- the file is not a whole one ----------------------------------------------------------------------------------------------


def test_a_cut_bundle_is_refused(tmp_path):
    whole = zipped(entries())
    for length in (0, 1, 21, 22, 100, len(whole) // 2, len(whole) - 1):
        refused(put(tmp_path, whole[:length]), refusals.BundleNotWhole)


def test_something_behind_the_end_is_refused(tmp_path):
    refused(put(tmp_path, zipped(entries(), end=b"\0")), refusals.BundleNotWhole)
    refused(put(tmp_path, zipped(entries(), end=b"comment", ending={"comment": 7})), refusals.BundleNotWhole)
    refused(put(tmp_path, zipped(entries(), ending={"comment": 7})), refusals.BundleNotWhole)
    whole = zipped(entries())
    refused(put(tmp_path, whole[:-22] + b"PK\x05\x07" + whole[-18:]), refusals.BundleNotWhole)


def test_a_comment_that_looks_like_the_end_is_refused(tmp_path):
    other = zipped(entries(bag(data_files(items=9))))
    refused(put(tmp_path, zipped(entries(), end=other, ending={"comment": len(other)})), refusals.BundleNotWhole)
    empty = zipped([])
    refused(put(tmp_path, zipped(entries(), end=empty, ending={"comment": 22})), refusals.BundleNotWhole)


def test_two_zips_one_behind_the_other_are_refused(tmp_path):
    """A program that looks for the start and one that looks for the end would see different bundles."""
    refused(put(tmp_path, zipped(entries()) + zipped(entries())), refusals.BundleNotWhole)


def test_something_before_the_first_file_is_refused(tmp_path):
    first, *others = entries()
    for before in (b"#!/bin/sh\n", zipped(entries(bag(data_files(items=9))))):
        refused(put(tmp_path, zipped([dataclasses.replace(first, before=before), *others])), refusals.BundleHiddenBytes)


def test_something_hidden_between_two_files_is_refused(tmp_path):
    first, second, *others = entries()
    hidden = zipped([Entry("goi/hidden", b"x")])[:40]
    error = refused(
        put(tmp_path, zipped([first, dataclasses.replace(second, before=hidden), *others])), refusals.BundleHiddenBytes
    )
    assert error.facts["count"] == 40


def test_something_hidden_before_the_directory_is_refused(tmp_path):
    refused(put(tmp_path, zipped(entries(), between=b"hidden")), refusals.BundleHiddenBytes)


def test_something_hidden_in_the_directory_is_refused(tmp_path):
    whole = zipped(entries())
    last = zipped([Entry("goi/data/files/" + "0" * 64, b"")])
    at = len(whole) - 22
    length = struct.unpack_from("<L", whole, at + 12)[0]
    extra = last[last.index(b"PK\x01\x02") : -22]
    end = bytearray(whole[at:])
    struct.pack_into("<L", end, 12, length + len(extra))
    refused(put(tmp_path, whole[:at] + extra + bytes(end)), refusals.BundleHiddenBytes)


def test_a_directory_with_fewer_files_than_said_is_refused(tmp_path):
    refused(put(tmp_path, zipped(entries(), ending={"here": 9, "count": 9})), refusals.BundleNotWhole)
    refused(put(tmp_path, zipped(entries(), ending={"here": 8})), refusals.BundleNotWhole)
    refused(put(tmp_path, zipped(entries(), ending={"disk": 1})), refusals.BundleNotWhole)


def test_another_kind_of_file_is_refused(tmp_path):
    for junk in (b"%PDF-1.7" + bytes(5000), os.urandom(5000), b"PK\x03\x04" + bytes(1000)):
        refused(put(tmp_path, junk), refusals.BundleNotWhole)


def test_an_empty_zip_is_refused(tmp_path):
    refused(put(tmp_path, zipped([])), refusals.BundleMissingFile)


def test_an_encrypted_bundle_is_told_apart_from_a_damaged_one(tmp_path):
    path = put(tmp_path, b"age-encryption.org/v1\n-> X25519 abc".ljust(500))
    assert is_encrypted(path)
    refused(path, refusals.BundleStillEncrypted)
    assert not is_encrypted(put(tmp_path, zipped(entries())))


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing.zip", tmp_path / "pipe"):
        refused(path, refusals.BundleUnreadable)
    assert refused(tmp_path, refusals.BundleUnreadable).facts["reason"] == "not a file"
    with pytest.raises(refusals.BundleUnreadable):
        digest_of_file(tmp_path)


@pytest.mark.parametrize("good", [-1, 100])
def test_a_stick_that_cannot_be_read_is_told_in_words(tmp_path, monkeypatch, good):
    path = put(tmp_path, zipped(entries()))
    real = os.pread

    def broken(handle, count, at):
        if at > good:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(handle, count, at)

    monkeypatch.setattr(os, "pread", broken)
    assert refused(path, refusals.BundleUnreadable).facts["reason"] == os.strerror(errno.EIO)
    if good < 0:
        with pytest.raises(refusals.BundleUnreadable):
            is_encrypted(path)


# --- what zips can do and bundles may not -------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0x0001, 0x0041, 0x2001, 0x2000])
def test_a_file_locked_with_a_password_is_refused(tmp_path, flags):
    refused(put(tmp_path, zipped(entries(**{ITEMS: {"flags": flags}}))), refusals.BundleMemberLocked)


ZIP64 = struct.pack("<2H2Q", 0x0001, 16, 10, 10)
UNICODE_PATH = struct.pack("<2HBL", 0x7075, 9, 1, zlib.crc32(b"x")) + b"evil"


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": ZIP64},
        {"local_extra": ZIP64},
        {"central": {"size": 0xFFFFFFFF}, "extra": ZIP64},
        {"central": {"packed": 0xFFFFFFFF}},
        {"central": {"header": 0xFFFFFFFF}},
        {"central": {"needed": 45}},
        {"extra": UNICODE_PATH},
        {"local_extra": UNICODE_PATH},
        {"extra": b"\x01"},
        {"extra": struct.pack("<2H", 0x5455, 9)},
        {"method": 14},
        {"method": 93},
        {"flags": 0x0020},
        {"comment": b"hidden"},
        {"central": {"disk": 1}},
    ],
    ids=lambda f: " ".join(str(k) for k in f) + str(list(f.values()))[:30],
)
def test_what_programs_read_differently_is_refused(tmp_path, fields):
    refused(put(tmp_path, zipped(entries(**{ITEMS: fields}))), refusals.BundleForeignZip)


def test_an_end_record_of_zip64_is_refused(tmp_path):
    for ending in ({"count": 0xFFFF, "here": 0xFFFF}, {"start": 0xFFFFFFFF}, {"length": 0xFFFFFFFF}, {"disk": 0xFFFF}):
        refused(put(tmp_path, zipped(entries(), ending=ending)), refusals.BundleForeignZip)


@pytest.mark.parametrize(
    "local",
    [
        {"size": 1},
        {"packed": 1},
        {"crc": 1},
        {"method": 0},
        {"flags": 0x0800},
        {"crc": 0, "packed": 0, "size": 0},
        {"day": 34},
        {"time": 1},
    ],
    ids=str,
)
def test_two_descriptions_of_one_file_that_differ_are_refused(tmp_path, local):
    refused(put(tmp_path, zipped(entries(**{ITEMS: {"local": local}}))), refusals.BundleDamaged)


def test_a_file_that_is_named_differently_in_the_directory_is_refused(tmp_path):
    other = f"goi/data/files/{'0' * 64}".encode()
    hidden = Entry(f"goi/data/files/{'1' * 64}", b"x", central={"name": other})
    refused(put(tmp_path, zipped([*entries(), hidden])), refusals.BundleDamaged)


def test_sizes_behind_the_data_that_do_not_fit_are_refused(tmp_path):
    data = data_files()[ITEMS]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = len(packer.compress(data) + packer.flush())
    right = struct.pack("<3L", zlib.crc32(data), packed, len(data))
    nothing = {"crc": 0, "packed": 0, "size": 0}
    for good in (right, b"PK\x07\x08" + right):
        fields = {"flags": 8, "descriptor": good, "local": nothing}
        assert len(taken(put(tmp_path, zipped(entries(**{ITEMS: fields}))))[1]) == 3
    for wrong in (b"", right[:-1] + b"\x01", b"PK\x07\x07" + right, right + b"\0\0\0\0", b"PK\x07\x08" + right + b"\0"):
        fields = {"flags": 8, "descriptor": wrong, "local": nothing}
        refused(put(tmp_path, zipped(entries(**{ITEMS: fields}))), refusals.BundleDamaged)


def test_a_header_that_is_none_is_refused(tmp_path):
    whole = zipped(entries())
    refused(put(tmp_path, b"PK\x03\x05" + whole[4:]), refusals.BundleDamaged)
    at = whole.index(b"PK\x01\x02")
    refused(put(tmp_path, whole[:at] + b"PK\x01\x03" + whole[at + 4 :]), refusals.BundleNotWhole)


def test_packed_bytes_that_cannot_be_unpacked_are_refused(tmp_path):
    data = data_files()[ITEMS]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    for broken in (b"\xff" * 50, packed[:-1], packed + b"\0", packed + b"\0" * 400_000, b""):
        error = refused(put(tmp_path, zipped(entries(**{ITEMS: {"packed": broken}}))), refusals.BundleDamaged)
        assert error.facts == {"entry": f"goi/{ITEMS}", "what": "deflate"}


def test_a_file_that_unpacks_to_more_or_less_than_said_is_refused(tmp_path):
    data = data_files()[ITEMS]
    for size in (len(data) - 1, len(data) + 1):
        both = {"size": size}
        raw = zipped(entries(bag(oxum=size - len(data)), **{ITEMS: {"local": both, "central": both}}))
        assert refused(put(tmp_path, raw), refusals.BundleDamaged).facts["what"] in {"size", "CRC-32"}


def test_a_wrong_check_sum_is_refused(tmp_path):
    both = {"crc": 7}
    raw = zipped(entries(**{ITEMS: {"local": both, "central": both}}))
    assert refused(put(tmp_path, raw), refusals.BundleDamaged).facts["what"] == "CRC-32"


def test_a_stored_file_has_one_size(tmp_path):
    both = {"size": 5}
    refused(put(tmp_path, zipped(entries(**{ITEMS: {"method": 0, "local": both, "central": both}}))), refusals.BundleDamaged)


# --- bombs --------------------------------------------------------------------------------------------------------------------


def test_a_file_that_quotes_another_one_is_refused(tmp_path):
    """The bomb of overlapping files: the packed bytes of one hold the next one whole, header and all."""
    inner = Entry(f"goi/data/files/{sha256(SCAN)}", SCAN, method=0)
    record = zipped([inner])[: 30 + len(inner.name) + len(SCAN)]
    outer = Entry(f"goi/data/files/{sha256(record)}", record, method=0)
    files = bag(data_files(files=(SCAN, record)))
    rest = [e for e in entries(files) if e.name not in {inner.name, outer.name}]
    quoted = zipped([*rest, outer])
    inner_at = quoted.rindex(record)
    listed = zipped([*rest, outer, dataclasses.replace(inner, central={"header": inner_at})])
    start = listed.index(b"PK\x01\x02")
    length, moved = len(listed) - 22 - start, len(record)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(rest) + 2, len(rest) + 2, length, start - moved, 0)
    raw = listed[: start - moved] + listed[start:-22] + end
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        assert box.namelist()[-1] == inner.name  # an ordinary program sees both
    error = refused(put(tmp_path, raw), refusals.BundleOverlap)
    assert error.facts["entry"] == inner.name


def test_two_names_for_the_same_packed_bytes_are_refused(tmp_path):
    whole = entries()
    again = Entry(f"goi/data/files/{'0' * 64}", b"", method=0)
    raw = zipped([*whole, dataclasses.replace(again, central={"header": 0})])
    refused(put(tmp_path, raw), refusals.BundleOverlap)


def test_a_file_that_runs_into_the_directory_is_refused(tmp_path):
    *others, last = entries()
    both = {"packed": len(last.data) + 500, "size": len(last.data) + 500}
    raw = zipped([*others, dataclasses.replace(last, method=0, local=both, central=both)])
    refused(put(tmp_path, raw), refusals.BundleOverlap)
    raw = zipped([*others, dataclasses.replace(last, central={"header": zipped(entries()).index(b"PK\x01\x02") - 5})])
    refused(put(tmp_path, raw), refusals.BundleHiddenBytes)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(strict_zip.StrictZip, "chunks", lambda *_: pytest.fail("it was unpacked"))
    zeros = bytes(8_000_000)
    raw = zipped(entries(bag(data_files(files=(zeros,)))))
    assert len(raw) < len(zeros) / 200
    error = refused(put(tmp_path, raw), refusals.BundleBomb)
    assert error.facts["unpacked"] > 200 * error.facts["packed"]


def test_a_bomb_that_lies_about_its_size_is_stopped_at_the_size_it_said(tmp_path):
    said = {"size": 1000}
    scan = bytes(8_000_000)
    name = f"data/files/{sha256(scan)}"
    files = bag(data_files(files=(scan,)), oxum=1000 - len(scan))
    raw = zipped(entries(files, **{name: {"local": said, "central": said}}))
    tracemalloc.start()
    error = refused(put(tmp_path, raw), refusals.BundleDamaged)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.facts["what"] == "size"
    assert peak < 2_000_000


def test_more_than_this_node_takes_is_refused_with_the_figures(tmp_path):
    path = put(tmp_path, zipped(entries()))
    assert refused(path, refusals.BundleTooLarge, limits=Limits(unpacked=500)).facts["accepted"] == 500
    assert refused(path, refusals.BundleTooLarge, limits=Limits(members=5)).facts["found"] == 7
    assert refused(path, refusals.BundleTooLarge, limits=Limits(items=2)).facts["found"] == 3
    assert refused(path, refusals.BundleTooLarge, limits=Limits(tag_file=100)).facts["accepted"] == 100


# --- names --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "goi/../../evil",
        "goi/data/../../../evil",
        "goi/data/..",
        "/etc/passwd",
        "//server/share",
        "goi//data/files/x",
        "goi/./data",
        "C:/evil",
        "goi/C:evil",
        "goi\\data\\evil",
        "..\\evil",
        "goi/data/files/a\x00.txt",
        "goi/data/files/a\nb",
        "goi/data/files/a\x1b[2J",
        "goi/data/files/đ",
        "goi/data/files/ａ",
        "goi/data/files/a\u202eb",
        "goi/data/files/a b",
        "goi/data/files/%2e%2e",
        "goi/data/files/a:stream",
        ".hidden/data/x",
        "goi/data/.hidden",
        b"goi/data/files/\xff\xfe",
        b"goi/data/files/\xc0\xae\xc0\xae",
        "",
        "g" * 300,
    ],
    ids=repr,
)
def test_a_dangerous_name_is_refused(tmp_path, name):
    error = refused(put(tmp_path, zipped([*entries(), Entry(name, b"x")])), refusals.BundleBadName)
    assert error.facts["entry"].isprintable()


@pytest.mark.parametrize("name", ["data/../../evil", "data\\evil", "/data/evil", "data/files/%0A", "data/.x"])
def test_a_dangerous_name_in_the_manifest_is_refused(tmp_path, name):
    files = bag()
    data = {n: d for n, d in files.items() if n.startswith("data/")}
    files = tagged(data, manifest_sha256_txt=bags.manifest(data | {name: b"x"}))
    refused(put(tmp_path, zipped(entries(files))), refusals.BundleBadName)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    again = Entry(f"goi/{ITEMS}", b"other")
    for raw in (zipped([*entries(), again]), zipped([again, *entries()])):
        assert refused(put(tmp_path, raw), refusals.BundleNameTwice).facts["entry"] == f"goi/{ITEMS}"


def test_a_name_that_stands_twice_in_other_letters_is_refused(tmp_path):
    """On a stick the two would be one file."""
    for name in ("goi/data/Items/00001.jsonl", "GOI/data/items/00001.jsonl"):
        refused(put(tmp_path, zipped([*entries(), Entry(name, b"other")])), refusals.BundleExtraFile)


def test_a_name_that_stands_twice_in_the_manifest_is_refused(tmp_path):
    data = {n: d for n, d in bag().items() if n.startswith("data/")}
    twice = bags.manifest(data) + f"{'0' * 64}  {ITEMS}\n".encode()
    refused(put(tmp_path, zipped(entries(tagged(data, manifest_sha256_txt=twice)))), refusals.BundleNameTwice)


@pytest.mark.parametrize(
    "external",
    [0o120777 << 16, 0o020666 << 16, 0o060666 << 16, 0o010666 << 16, 0o140666 << 16, 0o040755 << 16, 0x10, 0x08, 0x400],
    ids=["link", "device", "block", "pipe", "socket", "folder", "dos folder", "dos label", "reparse point"],
)
def test_what_is_no_plain_file_is_refused(tmp_path, external):
    fields = {"external": external, "packed": b"/etc/passwd", "method": 0}
    link = Entry(f"goi/{SCANNED}", b"/etc/passwd", **fields)
    refused(put(tmp_path, zipped([*(e for e in entries() if e.name != link.name), link])), refusals.BundleLink)


def test_a_folder_that_holds_something_or_is_a_link_is_refused(tmp_path):
    full = Entry("goi/data/", b"x", method=0, external=0o040755 << 16)
    refused(put(tmp_path, zipped([*entries(), full])), refusals.BundleForeignZip)
    link = Entry("goi/data/", b"", method=0, external=0o120777 << 16)
    refused(put(tmp_path, zipped([*entries(), link])), refusals.BundleLink)
    other = Entry("goi/data/evil/", b"", method=0, external=0o040755 << 16)
    refused(put(tmp_path, zipped([*entries(), other])), refusals.BundleExtraFile)


# --- what lies in it and what is listed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "data/evil.exe",
        "fetch.txt",
        "README",
        "data/items/1.jsonl",
        "data/items/00001.txt",
        f"data/files/{'A' * 64}",
        "data/files/x",
    ],
)
def test_a_file_that_has_no_place_in_a_bundle_is_refused(tmp_path, name):
    refused(put(tmp_path, zipped([*entries(), Entry(f"goi/{name}", b"x")])), refusals.BundleExtraFile)


def test_a_second_folder_is_refused(tmp_path):
    for name in ("khac/bagit.txt", "evil", "__MACOSX/goi"):
        error = refused(put(tmp_path, zipped([*entries(), Entry(name, b"x")])), refusals.BundleExtraFile)
        assert error.facts["entry"] == name.partition("/")[0]


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path):
    extra = Entry(f"goi/data/files/{sha256(b'x')}", b"x")
    refused(put(tmp_path, zipped([*entries(), extra])), refusals.BundleExtraFile)


def test_a_file_that_is_missing_is_refused(tmp_path):
    for name in bag():
        raw = zipped([e for e in entries() if e.name != f"goi/{name}"])
        assert refused(put(tmp_path, raw), refusals.BundleMissingFile).facts["entry"] == name


def test_a_bundle_without_a_statement_is_refused_even_if_nothing_names_one(tmp_path):
    refused(put(tmp_path, zipped(entries(tagged(data_files())))), refusals.BundleMissingFile)


def test_a_gap_between_the_files_of_items_is_refused(tmp_path):
    data = {ITEMS: lines([item(1)]), "data/items/00003.jsonl": lines([item(2)])}
    error = refused(put(tmp_path, zipped(entries(bag(data)))), refusals.BundleMissingFile)
    assert error.facts["entry"] == "data/items/00002.jsonl"


@pytest.mark.parametrize("name", ["manifest-md5.txt", "manifest-sha512.txt", "tagmanifest-md5.txt", "manifest-sha1.txt"])
def test_two_kinds_of_digests_are_refused(tmp_path, name):
    refused(put(tmp_path, zipped([*entries(), Entry(f"goi/{name}", b"")])), refusals.BundleTwoHashes)


@pytest.mark.parametrize("name", [ITEMS, SCANNED, "data/bundle.jws", "bagit.txt", "bag-info.txt", "manifest-sha256.txt"])
def test_contents_that_are_not_what_the_list_promises_are_refused(tmp_path, name):
    files = bag()
    changed = files[name][:-2] + bytes([files[name][-2] ^ 1]) + files[name][-1:]
    raw = zipped(entries(files | {name: changed}))
    assert refused(put(tmp_path, raw), refusals.BundleWrongDigest).facts["found"] == sha256(changed)


def test_an_attachment_under_another_digest_is_refused(tmp_path):
    data = data_files(files=()) | {f"data/files/{'0' * 64}": b"x"}
    refused(put(tmp_path, zipped(entries(bag(data)))), refusals.BundleWrongDigest)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("bagit_txt", b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"),
        ("bagit_txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-16\n"),
        ("bagit_txt", b""),
        ("bag_info_txt", b"Payload-Oxum: 1.1\n"),
        ("bag_info_txt", b"Bagging-Date: 2020-03-20\n"),
        ("bag_info_txt", "both"),
        ("manifest_sha256_txt", b"d41d8cd98f00b204e9800998ecf8427e  data/bundle.jws\n"),
        ("manifest_sha256_txt", b"\xff\xfe"),
        ("manifest_sha256_txt", "upper"),
        ("manifest_sha256_txt", "blank line"),
    ],
    ids=str,
)
def test_a_tag_file_that_is_not_as_it_has_to_be_is_refused(tmp_path, tag, text):
    files = bag()
    data = {n: d for n, d in files.items() if n.startswith("data/")}
    text = {
        "both": files["bag-info.txt"] + b"payload-oxum: 1.1\n",
        "upper": files["manifest-sha256.txt"].upper().replace(b"DATA", b"data"),
        "blank line": files["manifest-sha256.txt"] + b"\n",
    }.get(text, text)
    refused(put(tmp_path, zipped(entries(tagged(data, **{tag: text})))), refusals.BundleBadTagFile)


def test_the_list_of_lists_names_exactly_three(tmp_path):
    files = bag()
    tags = {n: files[n] for n in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt")}
    few = files | {"tagmanifest-sha256.txt": bags.manifest({n: tags[n] for n in list(tags)[:2]})}
    many = files | {"tagmanifest-sha256.txt": bags.manifest(tags | {"data/bundle.jws": files["data/bundle.jws"]})}
    for wrong in (few, many):
        refused(put(tmp_path, zipped(entries(wrong))), refusals.BundleBadTagFile)


def test_lists_with_the_line_ends_of_another_system_are_accepted(tmp_path):
    files = bag()
    data = {n: d for n, d in files.items() if n.startswith("data/")}
    texts = {
        n.replace("-", "_").replace(".", "_"): files[n].replace(b"\n", b"\r\n")
        for n in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt")
    }
    assert len(taken(put(tmp_path, zipped(entries(tagged(data, **texts)))))[1]) == 3


# --- what was signed ----------------------------------------------------------------------------------------------------------


def test_a_bundle_that_is_not_signed_right_is_refused_before_its_contents_are_unpacked(tmp_path, monkeypatch):
    path = put(tmp_path, zipped(entries(bag(signed=sign(b"{}")[:-1] + b"A"))))
    monkeypatch.setattr(bundle_file._Bag, "check_contents", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(bags.NotSigned), open_bundle(path, verify=verify):
        pytest.fail("it was accepted")


def test_the_statement_that_is_verified_is_the_one_in_the_bundle(tmp_path):
    asked = []

    def ask(signed):
        asked.append(signed)
        return verify(signed)

    files = bag()
    with open_bundle(put(tmp_path, zipped(entries(files))), verify=ask) as bundle:
        assert asked == [files["data/bundle.jws"]] == [bundle.statement_jws]


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "hiepdong.bundle/2"},
        {"format": ...},
        {"id": "x"},
        {"from": ...},
        {"to": 7},
        {"made_at": "2020-03-20"},
        {"incarnation": None},
        {"items": True},
        {"items": "3"},
        {"first": -1},
        {"last": 1.5},
        {"held_through": None},
        {"part": 0},
        {"part": 3, "parts": 2},
        {"parts": 1 << 53},
        {"payload": []},
        {"payload": {"data/x": 7}},
        {"wanted": ["x"]},
        {"wanted": None},
        {"missing": {}},
        {"missing": [1]},
        {"first": 17},
        {"last": 21},
    ],
    ids=str,
)
def test_a_statement_that_lacks_something_is_refused(tmp_path, changes):
    error = refused(put(tmp_path, zipped(entries(bag(**changes)))), refusals.BundleBadStatement)
    assert error.facts["path"] in changes


def test_a_statement_that_is_no_object_is_refused(tmp_path):
    refused(put(tmp_path, zipped(entries(bag(signed=sign(b"[]"))))), refusals.BundleBadStatement)


def test_members_of_the_statement_that_this_version_does_not_know_survive(tmp_path):
    assert taken(put(tmp_path, zipped(entries(bag(colour="red")))))[0]["colour"] == "red"


@pytest.mark.parametrize("change", ["missing", "extra", "other"])
def test_manifest_and_statement_that_disagree_are_refused(tmp_path, change):
    data = data_files()
    payload = {n: sha256(d) for n, d in data.items()}
    payload |= {"extra": {"data/files/" + "0" * 64: "0" * 64}, "other": {ITEMS: "0" * 64}}.get(change, {})
    if change == "missing":
        del payload[SCANNED]
    refused(put(tmp_path, zipped(entries(bag(data, payload=payload)))), refusals.BundleDisagrees)


@pytest.mark.parametrize("stated", [0, 2, 4, 50_000])
def test_more_or_fewer_items_than_were_signed_are_refused(tmp_path, stated):
    refused(put(tmp_path, zipped(entries(bag(items=stated)))), refusals.BundleWrongCount)


# --- lines --------------------------------------------------------------------------------------------------------------------


def deep(levels):
    return b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":' + b"[" * levels + b"]" * levels + b"}\n"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"7\n",
        b"[]\n",
        b"null\n",
        b'{"position":18\n',
        b"\xff\xfe\n",
        b'\xef\xbb\xbf{"position":18,"kind":"dispatch","document":"aa.aa.aa"}\n',
        b'{"position":18,"position":18,"kind":"dispatch","document":"aa.aa.aa"}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":{"a":1,"a":1}}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":NaN}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":"\\ud800"}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":' + b"9" * 5000 + b"}\n",
        b'{"position":"18","kind":"dispatch","document":"aa.aa.aa"}\n',
        b'{"position":true,"kind":"dispatch","document":"aa.aa.aa"}\n',
        b'{"position":18,"kind":"dispatch","document":["aa.aa.aa"]}\n',
        b'{"position":18,"kind":"dispatch","document":"no jws"}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","hops":"aa.aa.aa"}\n',
        b'{"kind":"dispatch","document":"aa.aa.aa"}\n',
        deep(40),
        deep(100_000),
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":[' + b"[]," * 9_000 + b"0]}\n",
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":"' + b"a" * (8 * 1024 * 1024) + b'"}\n',
        b'{"position":18,"kind":"dispatch","document":"aa.aa.aa","x":"' + b"a" * (8 * 1024 * 1024) + b'"}',
    ],
    ids=lambda line: repr(line[-60:])[:60] + str(len(line)),
)
def test_a_line_that_is_no_item_is_refused(tmp_path, line):
    raw = zipped(entries(bag({ITEMS: line}, counted={"items": 1, "first": 18, "last": 18}), **{ITEMS: {"method": 0}}))
    error = refused(put(tmp_path, raw), refusals.BundleBadItem)
    assert (error.facts["entry"], error.facts["line"]) == (ITEMS, 1)


def test_brackets_in_a_text_are_no_depth(tmp_path):
    calm = item(18, note="[{" * 60 + '\\"[')
    assert taken(put(tmp_path, zipped(entries(bag({ITEMS: lines([calm])})))))[1] == [calm]


@pytest.mark.parametrize("positions", [(19, 18), (18, 18)])
def test_items_that_are_not_in_the_order_of_their_positions_are_refused(tmp_path, positions):
    raw = zipped(entries(bag({ITEMS: lines(item(p) for p in positions)})))
    assert refused(put(tmp_path, raw), refusals.BundleBadItem).facts["line"] == 2
    data = {ITEMS: lines([item(positions[0])]), "data/items/00002.jsonl": lines([item(positions[1])])}
    refused(put(tmp_path, zipped(entries(bag(data)))), refusals.BundleBadItem)


def test_more_than_a_thousand_lines_in_a_file_are_refused(tmp_path):
    data = {ITEMS: lines(item(i) for i in range(1, 1002))}
    assert refused(put(tmp_path, zipped(entries(bag(data)))), refusals.BundleBadItem).facts["line"] == 1001


# --- a stick that answers differently when asked again ------------------------------------------------------------------------

# The generator of CRC-32, bits reversed: to add it to a text changes the text and not its check sum.
UNSEEN = int(f"{0x104C11DB7:b}"[::-1], 2).to_bytes(5, "little")


def overwrite(path, old, new):
    assert len(old) == len(new)
    at = path.read_bytes().index(old)
    with path.open("r+b") as f:
        f.seek(at)
        f.write(new)


def test_items_that_changed_after_they_were_checked_are_not_handed_out(tmp_path):
    path = put(tmp_path, zipped(entries(**{ITEMS: {"method": 0}})))
    with open_bundle(path, verify=verify) as bundle:
        handed = bundle.items()
        assert next(handed)["position"] == 18
        overwrite(path, b'"position": 19', b'"position": 99')
        with pytest.raises(refusals.BundleChanged):
            next(bundle_items for bundle_items in bundle.items() if bundle_items["position"] == 99)


def test_items_that_vanish_after_they_were_checked_are_noticed(tmp_path):
    path = put(tmp_path, zipped(entries(**{ITEMS: {"method": 0}})))
    with open_bundle(path, verify=verify) as bundle:
        data = data_files()[ITEMS]
        *_, last = data.splitlines(keepends=True)
        overwrite(path, last, b" " * (len(last) - 1) + b"\n")
        with pytest.raises(refusals.BundleChanged):
            list(bundle.items())


def test_an_attachment_that_changed_after_it_was_checked_is_noticed_at_its_end(tmp_path):
    scan = bytes(range(64))
    path = put(tmp_path, zipped(entries(bag(data_files(files=(scan,))), **{f"data/files/{sha256(scan)}": {"method": 0}})))
    other = bytes(a ^ b for a, b in zip(scan, UNSEEN.ljust(64, b"\0"), strict=True))
    assert zlib.crc32(other) == zlib.crc32(scan)
    with open_bundle(path, verify=verify) as bundle:
        overwrite(path, scan, other)
        with pytest.raises(refusals.BundleChanged):
            list(bundle.file(sha256(scan)))


def test_a_stick_that_is_pulled_out_is_noticed(tmp_path):
    path = put(tmp_path, zipped(entries()))
    with open_bundle(path, verify=verify) as bundle:
        os.truncate(path, 300)
        with pytest.raises(refusals.BundleNotWhole):
            list(bundle.items())


def test_an_attachment_that_is_not_in_the_bundle_is_said_to_be_missing(tmp_path):
    with open_bundle(put(tmp_path, zipped(entries())), verify=verify) as bundle, pytest.raises(refusals.BundleMissingFile):
        list(bundle.file("0" * 64))


def test_a_refusal_shows_a_hostile_name_in_visible_letters():
    assert refusals.shown("a\x1b[2J\u202e\nb") == "a\\x1b[2J\\u202e\\nb"
    assert refusals.shown(b"\xff") == "\\xff"
    assert len(refusals.shown("x" * 5000)) == 120


def test_every_refusal_can_be_told(tmp_path):
    """A place in a sentence for which there is no fact would break the page that shows it."""
    kinds = [k for k in vars(refusals).values() if isinstance(k, type) and issubclass(k, refusals.DomainError)]
    assert len({k.code for k in kinds if k is not refusals.DomainError}) == len(kinds) - 1
    assert all(k.code.startswith("exchange.bundle_") and k.message and k.hint for k in kinds if k is not refusals.DomainError)


def test_the_statement_is_canonical_and_names_every_file_but_itself(tmp_path):
    write(tmp_path / "goi.zip")
    with open_bundle(tmp_path / "goi.zip", verify=verify) as bundle:
        assert set(bundle.statement["payload"]) == {ITEMS, f"data/files/{sha256(SCAN)}"}
        assert json.loads(json.dumps(bundle.statement)) == bundle.statement


# --- encrypted to one node ----------------------------------------------------------------------------------------------------

SECRET = "the secret of this node"


@pytest.fixture(scope="module")
def node():
    recipient, sealed = signing.new_age_identity(SECRET)
    return {"recipient": recipient, "identity_sealed": sealed, "secret": SECRET}


@pytest.fixture
def carried(tmp_path, node):
    """A bundle and its encrypted form."""
    plain, path = tmp_path / "goi.zip", tmp_path / "goi.zip.age"
    write(plain, files=(os.urandom(200_000),))
    assert encrypt_bundle(plain, path, recipient=node["recipient"]) == digest_of_file(path)
    return plain, path


def test_an_encrypted_bundle_opens_for_its_node_and_gives_the_same_bytes(carried, tmp_path, node):
    plain, path = carried
    assert is_encrypted(path)
    assert b"bagit" not in path.read_bytes()
    decrypt_bundle(path, tmp_path / "opened.zip", **node)
    assert (tmp_path / "opened.zip").read_bytes() == plain.read_bytes()


def test_an_encrypted_bundle_does_not_open_for_another_node(carried, tmp_path):
    recipient, sealed = signing.new_age_identity(SECRET)
    with pytest.raises(signing.NotOpened):
        decrypt_bundle(carried[1], tmp_path / "opened.zip", recipient=recipient, identity_sealed=sealed, secret=SECRET)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["goi.zip", "goi.zip.age"]


def test_the_identity_of_a_node_opens_only_with_its_secret(carried, tmp_path, node):
    with pytest.raises(signing.KeyUnreadable):
        decrypt_bundle(carried[1], tmp_path / "opened.zip", **node | {"secret": "another"})


@pytest.mark.parametrize("cut", [0, 10, 150, 70_000, -1])
def test_an_encrypted_bundle_that_was_cut_or_changed_opens_not_at_all(carried, tmp_path, node, cut):
    raw = carried[1].read_bytes()
    for wrong in (raw[:cut], raw[:cut] + bytes([raw[cut] ^ 1]) + (raw[cut + 1 :] if cut >= 0 else b""), raw + b"x"):
        carried[1].write_bytes(wrong)
        with pytest.raises((signing.SealBroken, signing.NotOpened)):
            decrypt_bundle(carried[1], tmp_path / "opened.zip", **node)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["goi.zip", "goi.zip.age"]


def test_encrypting_and_opening_tell_the_faults_of_the_disk_in_words(carried, tmp_path, node, monkeypatch):
    plain, path = carried
    with pytest.raises(signing.NoRecipient):
        encrypt_bundle(plain, tmp_path / "x.age", recipient="age1khong")
    with pytest.raises(refusals.BundleUnreadable):
        encrypt_bundle(tmp_path / "missing", tmp_path / "x.age", recipient=node["recipient"])
    with pytest.raises(refusals.BundleNotWritten):
        encrypt_bundle(plain, tmp_path / "usb" / "x.age", recipient=node["recipient"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(refusals.BundleNotWritten):
            encrypt_bundle(plain, tmp_path / "x.age", recipient=node["recipient"])
        with pytest.raises(refusals.BundleNotWritten):
            decrypt_bundle(path, tmp_path / "opened.zip", **node)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def broken(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(refusals.BundleUnreadable):
        decrypt_bundle(path, tmp_path / "opened.zip", **node)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["goi.zip", "goi.zip.age"]
