"""A power cut loses what was not brought to the disk: bytes go there before their name does, the name before what speaks of it.

No test can cut the power. These hold the order: what is renamed was synced with all of its bytes, and the folder after it.
"""

import os
from datetime import UTC, datetime

import pytest

from hiepdong.documents import services as documents
from hiepdong.documents.models import File
from hiepdong.kernel.disk import whole_file
from hiepdong.web import backup
from support.bags import item, sign, statement

AT = datetime(2020, 3, 20, 3, tzinfo=UTC)


@pytest.fixture
def disk(monkeypatch):
    """Note what a disk is asked for, in order: ("sync", name, bytes), ("name", name, bytes that were synced before)."""
    asked, synced = [], {}
    fsync = os.fsync

    def sync(handle):
        fsync(handle)
        found = os.fstat(handle)
        synced[found.st_ino] = found.st_size
        asked.append(("sync", found.st_ino))

    def naming(rename):
        def named(source, target, **more):
            found = os.stat(source)
            assert found.st_size > 0
            assert synced.get(found.st_ino) == found.st_size, "it bears its name before its bytes are on the disk"
            rename(source, target, **more)
            asked.append(("name", os.fspath(target)))

        return named

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, naming(getattr(os, name)))
    return asked


def names(disk):
    return [place for what, place in disk if what == "name"]


def is_synced_after(disk, path):
    """Say whether the folder of a file was brought to the disk after the file had its name."""
    return ("sync", path.parent.stat().st_ino) in disk[disk.index(("name", str(path))) :]


def test_a_file_bears_its_name_only_when_its_bytes_are_on_the_disk(disk, tmp_path):
    path = tmp_path / "a"
    with whole_file(path) as out:
        out.write(b"abc")
    assert names(disk) == [str(path)]
    assert path.read_bytes() == b"abc"


def test_a_kept_file_has_its_name_on_the_disk_before_its_row_is_committed(disk, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    rows = []

    def get_or_create(**values):
        assert is_synced_after(disk, documents.path_of(values["digest"]))
        rows.append(values["digest"])
        return File(digest=values["digest"], kept=True), True

    monkeypatch.setattr(File.objects, "get_or_create", get_or_create)
    documents.keep_file.__wrapped__(data=b"abc", name="a.txt", media_type="text/plain", at=AT)
    assert len(rows) == 1


def test_a_bundle_bears_its_name_only_when_its_bytes_are_on_the_stick(disk, tmp_path):
    from hiepdong.exchange.bundle_file import write_bundle

    path = tmp_path / "goi.zip"
    write_bundle(path, statement=statement(), items=[item(1)], files=[], sign=sign)
    assert names(disk) == [str(path)]
    assert is_synced_after(disk, path)


def test_a_backup_bears_its_name_only_when_its_bytes_are_on_the_disk(disk, tmp_path):
    path = tmp_path / "b"
    with backup._new_file(path) as out:
        out.write(b"abc")
    assert names(disk) == [str(path)]
    assert is_synced_after(disk, path)
