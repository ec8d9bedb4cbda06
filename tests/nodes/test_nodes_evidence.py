"""The folder for the inspector, made at one of two nodes, checked by two programs that know nothing of either."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import uuid
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import checkpoints, evidence, links, services
from hiepdong.exchange.models import Addressee, Arrival, Dispatch
from hiepdong.journal.models import Stamp
from hiepdong.journal.services import seal_entries, stamp_latest_seal
from hiepdong.kernel.errors import NotFound
from hiepdong_verify import verify
from nodes.test_faults_relay import A, C, heal, three_nodes
from support.authority import Authority, serving
from support.make import notice, organisation
from support.nodes import Clock, Node, link
from support.peer import claims, with_payload

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
STATION, DISTRICT, COMMUNE = "t.don-my-ly", "t.huyen-uy", "t.ubnd-xa"


@pytest.fixture
def nodes(tmp_path):
    guard = Node("bien-phong", tmp_path).found((STATION, "border_station", "Đồn Biên phòng Mỹ Lý"))
    local = Node("dia-phuong", tmp_path).found(
        (DISTRICT, "party_district", "Huyện ủy Kỳ Sơn"), (COMMUNE, "peoples_committee_commune", "UBND xã Mỹ Lý")
    )
    link(guard, local)
    return guard, local


def sealed(node, other):
    """Seal what the node wrote down, let the other one witness it."""
    with node:
        seal_entries(at=node.clock())
        checkpoints.announce(at=node.clock())
    node.round(other)
    node.round(other)


def case(node, uuid, tmp_path, key=STATION, name="case.zip"):
    target = io.BytesIO()
    with node:
        made = evidence.write_case(seat=node.seat(key), dispatch_uuid=uuid, target=target, at=node.clock())
    path = tmp_path / name
    path.write_bytes(target.getvalue())
    return made, path


def by_python(path, tmp_path):
    """Unpack the folder and run the verify.py that lies in it, with no package in reach; returns what it says."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    folder = next((tmp_path / "unpacked").iterdir())
    command = [sys.executable, "-I", "-S", folder / "verify.py", folder, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    shutil.rmtree(tmp_path / "unpacked")
    return json.loads(done.stdout)


def by_javascript(path):
    node = shutil.which("node") or str(ROOT / ".x/node/bin/node")
    command = [node, ROOT / "tests/verifier-js/verify.mjs", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout)["verdict"]


def codes(told, level=""):
    return [f["code"] for f in told["findings"] if not level or f["level"] == level]


def test_a_case_with_its_receipts_replacement_file_and_witness_verifies_at_both_ends(nodes, tmp_path):
    guard, local = nodes
    with guard:
        file = keep_file(data=b"ban do " * 5000, name="ban-do.txt", media_type="text/plain", at=guard.clock())
    first = guard.send(STATION, [DISTRICT], "Có tệp", files=[("ban-do.txt", file)])
    with guard:
        earlier = Dispatch.objects.get(uuid=first)
    second = guard.send(STATION, [DISTRICT], "Bản thay", replaces=earlier)
    guard.send(STATION, [DISTRICT], "Chuyện khác")
    guard.round(local)
    with local:
        services.acknowledge(dispatch_uuid=second, actor=local.seat(DISTRICT), at=local.clock())
    guard.round(local)
    sealed(guard, local)
    sealed(local, guard)
    for node, key in ((guard, STATION), (local, DISTRICT)):
        made, path = case(node, first, tmp_path, key, f"{node.name}.zip")
        assert (made.dispatches, made.receipts, made.attachments, made.missing) == (2, 3, 1, ())
        told = by_python(path, tmp_path)
        assert told["verdict"] == "good", told["findings"]
        assert {"witnessed", "covered", "receipts_fit", "attachment_good", "folder_good"} <= set(codes(told))
        covered = next(f for f in told["findings"] if f["code"] == "covered")
        assert covered["facts"]["count"] >= 3
        with zipfile.ZipFile(path) as archive:
            assert "Chuyện khác" not in "".join(archive.read(n).decode("utf-8", "replace") for n in archive.namelist())
    # whoever trusts only what the other node knows of keys finds the same
    with zipfile.ZipFile(tmp_path / "dia-phuong.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("/keys.json"))
        (tmp_path / "keys.json").write_bytes(archive.read(name))
    assert verify.check([tmp_path / "bien-phong.zip"], keys=[tmp_path / "keys.json"]).verdict == "good"


def test_javascript_agrees_about_the_folder(nodes, tmp_path):
    guard, local = nodes
    sent = guard.send(STATION, [DISTRICT], "Một")
    guard.round(local)
    sealed(guard, local)
    _made, path = case(guard, sent, tmp_path)
    assert by_javascript(path) == "good"
    broken = path.with_name("broken.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(broken, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info, data.replace(b"A", b"B", 1) if info.filename.endswith(".jws") else data)
    assert by_javascript(broken) == "false"


def test_what_is_missing_is_named_in_the_folder_and_by_the_verifier(nodes, tmp_path):
    guard, _local = nodes
    with guard:
        file = keep_file(data=b"anh chup", name="anh.txt", media_type="text/plain", at=guard.clock())
    sent = guard.send(STATION, [DISTRICT], "Có tệp", files=[("anh.txt", file)])
    with guard:
        path_of(file.digest).write_bytes(b"hong roi")
    made, path = case(guard, sent, tmp_path)
    assert ["anh.txt" in m for m in made.missing] == [True]
    told = by_python(path, tmp_path)
    assert (told["verdict"], codes(told, "missing")) == ("missing", ["attachment_absent"])
    about = next(f for f in told["findings"] if f["code"] == "folder_about")
    assert "anh.txt" in about["facts"]["about"]


def test_only_what_the_asking_seat_may_see_goes_in(nodes, tmp_path):
    guard, local = nodes
    both = guard.send(STATION, [DISTRICT, COMMUNE], "Gửi hai nơi")
    guard.round(local)
    with guard:
        wide = Dispatch.objects.get(uuid=both)
    narrow = guard.send(STATION, [DISTRICT], "Chỉ huyện", replaces=wide)
    guard.round(local)
    with local, pytest.raises(NotFound):
        evidence.write_case(seat=local.seat(COMMUNE), dispatch_uuid=narrow, target=io.BytesIO(), at=local.clock())
    made, path = case(local, both, tmp_path, COMMUNE)
    assert made.dispatches == 1
    assert narrow not in str(verify.check([path]).as_dict(1))
    made, path = case(local, narrow, tmp_path, DISTRICT)
    assert made.dispatches == 2


def test_a_node_administrator_gets_no_papers(nodes):
    guard, _local = nodes
    sent = guard.send(STATION, [DISTRICT], "Một")
    with guard:
        administrator = guard.seat(STATION, "node_administrator")
    with guard, pytest.raises(NotFound):
        evidence.write_case(seat=administrator, dispatch_uuid=sent, target=io.BytesIO(), at=guard.clock())


def pair(node, tmp_path, key, first=date(2020, 3, 1), last=date(2020, 3, 31)):
    target = io.BytesIO()
    with node:
        made = evidence.write_pair(
            seat=node.seat(key) if key else None,
            one=node.body(STATION),
            other=node.body(DISTRICT),
            first=first,
            last=last,
            target=target,
            at=node.clock(),
        )
    path = tmp_path / "pair.zip"
    path.write_bytes(target.getvalue())
    return made, path


def test_a_pair_for_a_period_holds_whole_sequences_both_ways(nodes, tmp_path):
    guard, local = nodes
    for n in range(4):
        guard.send(STATION, [DISTRICT], f"Đi {n}")
    local.send(DISTRICT, [STATION], "Về")
    local.send(COMMUNE, [STATION], "Của xã")
    guard.round(local)
    sealed(guard, local)
    guard.clock.pass_(days=40)
    guard.send(STATION, [DISTRICT], "Tháng sau")
    made, path = pair(guard, tmp_path, STATION)
    assert (made.dispatches, made.missing) == (5, ())
    told = by_python(path, tmp_path)
    assert told["verdict"] == "good", told["findings"]
    assert codes(told).count("chain_good") == 1
    with zipfile.ZipFile(path) as archive:
        head = json.loads(archive.read(f"{made.name}/folder.json"))
    assert head["complete"] == [
        {"sender": STATION, "recipient": DISTRICT, "first": 1, "last": 4},
        {"sender": DISTRICT, "recipient": STATION, "first": 1, "last": 1},
    ]


def test_a_hole_in_a_sequence_is_named_by_the_folder_and_by_the_verifier(nodes, tmp_path):
    guard, local = nodes
    for n in range(3):
        guard.send(STATION, [DISTRICT], f"Đi {n}")
    guard.round(local)
    with local:
        lost = Addressee.objects.get(organisation__key=DISTRICT, sequence=2)
        lost.sequence = 99_999
        Addressee.objects.filter(pk=lost.pk).update(sequence=99_999, sender_id_copy=local.body(COMMUNE).pk)
    made, path = pair(local, tmp_path, DISTRICT)
    assert len(made.missing) == 1
    told = by_python(path, tmp_path)
    assert (told["verdict"], codes(told, "missing")) == ("missing", ["chain_gap"])


def test_a_seat_of_neither_gets_nothing_and_a_command_gets_all(nodes, tmp_path):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Một")
    guard.round(local)
    with pytest.raises(NotFound):
        pair(local, tmp_path, COMMUNE)
    assert pair(local, tmp_path, "")[0].dispatches == 1
    with pytest.raises(evidence.PeriodUnusable):
        pair(local, tmp_path, "", first=date(2020, 4, 1), last=date(2020, 3, 1))


def test_a_rotated_key_and_its_statement_go_with_what_it_signed(nodes, tmp_path):
    guard, local = nodes
    first = guard.send(STATION, [DISTRICT], "Khóa trước")
    guard.round(local)
    with guard:
        links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
        wide = Dispatch.objects.get(uuid=first)
    guard.send(STATION, [DISTRICT], "Khóa sau", replaces=wide)
    guard.round(local)
    for node, key in ((guard, STATION), (local, DISTRICT)):
        made, path = case(node, first, tmp_path, key)
        told = by_python(path, tmp_path)
        assert (told["verdict"], made.dispatches) == ("good", 2), told["findings"]
        assert "key_added" in codes(told)


def test_the_command_writes_the_file_and_says_what_is_not_in_it(nodes, tmp_path):
    guard, local = nodes
    sent = guard.send(STATION, [DISTRICT], "Một")
    guard.round(local)
    out = io.StringIO()
    with local:
        call_command("evidence", "dispatch", sent, "--out", str(tmp_path / "a.zip"), "--json", stdout=out)
        period = ["--from", "2020-03-01", "--to", "2020-03-31"]
        call_command("evidence", "pair", STATION, DISTRICT, *period, "--out", str(tmp_path / "b.zip"), stdout=io.StringIO())
        with pytest.raises(CommandError):
            call_command("evidence", "dispatch", str(uuid.uuid4()), "--out", str(tmp_path / "c.zip"), stdout=io.StringIO())
    assert json.loads(out.getvalue())["missing"] == []
    assert verify.check([tmp_path / "a.zip"]).verdict == verify.check([tmp_path / "b.zip"]).verdict == "good"
    assert sorted(p.name for p in tmp_path.glob("*.zip")) == ["a.zip", "b.zip"]
    assert not list(tmp_path.glob(".evidence-*"))


def test_a_backdated_world_as_the_demo_loads_it_verifies(tmp_path):
    """Papers of 2020 entered years later: keys begin no later than what they sign, so dispatch, receipt and folder are good."""
    later = Clock(datetime.fromisoformat("2026-11-24T03:00:00+00:00"))
    node = Node("demo", tmp_path, clock=later)
    with node:
        station = organisation(STATION, "border_station", "Đồn Biên phòng Mỹ Lý", notation="ĐBP")
        district = organisation(DISTRICT, "party_district", "Huyện ủy Kỳ Sơn", notation="HU")
        day = datetime.fromisoformat("2020-03-16T03:00:00+00:00")
        items = [
            notice(station, [district], f"Số {n}", sent_at=day + timedelta(days=n), acknowledged_at=day + timedelta(days=n + 1))
            for n in range(3)
        ]
        sent = services.send_many(items=items, actor=None, at=later())
        seal_entries(at=later())
        uuids = [d.uuid for d in sent]
        (tmp_path / "one.jws").write_bytes(bytes(Dispatch.objects.get(uuid=uuids[0]).signed))
        (tmp_path / "receipt.jws").write_bytes(bytes(sent[0].addressees.get().receipts.get(code="acknowledged").signed))
    for make in (lambda: case(node, uuids[0], tmp_path)[1], lambda: pair(node, tmp_path, DISTRICT)[1]):
        path = make()
        told = by_python(path, tmp_path)
        assert told["verdict"] == "good", told["findings"]
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/keys.json"))
        (tmp_path / "keys.json").write_bytes(archive.read(name))
    alone = verify.check([tmp_path / "one.jws", tmp_path / "receipt.jws"], keys=[tmp_path / "keys.json"])
    assert alone.verdict == "good"


def test_what_a_node_signed_with_its_key_before_stays_good_in_a_folder(nodes, tmp_path):
    guard, local = nodes
    first = guard.send(STATION, [DISTRICT], "Trước khi nút đổi khóa")
    guard.round(local)
    sealed(guard, local)
    for node, other in ((guard, local), (local, guard)):
        with node:
            links.rotate_node_key(actor=None, at=node.clock())
        node.round(other)
    with guard:
        wide = Dispatch.objects.get(uuid=first)
    guard.send(STATION, [DISTRICT], "Sau khi nút đổi khóa", replaces=wide)
    guard.round(local)
    sealed(guard, local)
    _made, path = case(guard, first, tmp_path)
    told = by_python(path, tmp_path)
    assert told["verdict"] == "good", told["findings"]
    assert codes(told).count("witnessed") >= 2
    assert codes(told).count("key_added") == 2
    assert by_javascript(path) == "good"


def test_the_hops_of_relays_go_with_papers_and_receipts_and_are_checked_at_both_ends(tmp_path):
    """The commune's folder has the hop over the paper, the station's the hop over the receipt, with the relay's keys."""
    station, province, commune = three_nodes(tmp_path / "nodes")
    uuid = station.send(A, [C], "Qua tỉnh")
    heal(station, province, commune)
    with province:
        relay = str(links.this_node().node_id)
    for node, key, hopped in ((commune, C, "dispatch"), (station, A, "receipt")):
        _, path = case(node, uuid, tmp_path, key=key, name=f"{key}.zip")
        with zipfile.ZipFile(path) as archive:
            hops = [archive.read(n) for n in archive.namelist() if "/documents/hop-" in n]
            documents = {hashlib.sha256(archive.read(n)).hexdigest(): n for n in archive.namelist() if "/documents/" in n}
        (hop,) = (claims(h) for h in hops)
        assert hop["node"] == relay
        assert f"/{hopped}-" in documents[hop["digest"]]
        told = by_python(path, tmp_path)
        assert told["verdict"] == "good", told["findings"]
        assert by_javascript(path) == "good"


@pytest.mark.parametrize("harm", ["forged", "of_another"])
def test_a_hop_that_the_relay_did_not_sign_or_over_what_is_not_here_is_told(tmp_path, harm):
    station, province, commune = three_nodes(tmp_path / "nodes")
    uuid = station.send(A, [C], "Qua tỉnh")
    heal(station, province, commune)
    with commune:
        row = Arrival.objects.exclude(hops=[]).get()
        hop = claims(row.hops[0].encode())
        if harm == "forged":
            row.hops = [with_payload(row.hops[0].encode(), json.dumps(hop | {"at": "2020-01-01T00:00:00Z"}).encode()).decode()]
    if harm == "of_another":
        with province:
            at = province.clock()
            row.hops = [links.sign_as_node(hop | {"digest": "0" * 64}, typ="hiepdong.hop+json", at=at).decode()]
    with commune:
        row.save(update_fields=["hops"])
    _, path = case(commune, uuid, tmp_path, key=C)
    told = by_python(path, tmp_path)
    expected = ("false", "signature_false") if harm == "forged" else ("missing", "hop_absent")
    assert told["verdict"] == expected[0]
    assert [f["code"] for f in told["findings"] if f["level"] == expected[0]] == [expected[1]]
    assert by_javascript(path) == expected[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with serving(Authority(tmp_path_factory.mktemp("authority"))) as found:
        yield found


@pytest.fixture
def stamped(nodes, authority):
    """A paper whose journal was sealed twice since, and stamped with the second seal; no other node has witnessed it."""
    guard, _local = nodes
    uuid = guard.send(STATION, [DISTRICT], "Báo cáo")
    with guard:
        seal_entries(at=guard.clock())
    guard.send(STATION, [DISTRICT], "Việc khác")
    with guard:
        seal_entries(at=guard.clock())
        at = guard.clock()
        stamp_latest_seal(address=authority.address, roots_path=str(authority.ca), every=timedelta(hours=1), at=at)
    return uuid


def test_the_time_stamp_over_its_journal_goes_with_a_paper_and_what_was_checked_of_it_is_said(
    nodes, stamped, authority, tmp_path
):
    guard, _local = nodes
    _, path = case(guard, stamped, tmp_path)
    with guard:
        stamp = Stamp.objects.select_related("seal").get()
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if "/stamps/" in n]
        assert name.endswith(f"/stamps/{stamp.seal.digest}.tsr")
        assert archive.read(name) == bytes(stamp.response)
        about = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("/folder.json"))))["about"]
    assert authority.holds(bytes(stamp.response), stamp.seal.digest.encode())
    assert "\n" not in about  # nothing of it is without a witness outside of the node
    told = by_python(path, tmp_path)
    assert told["verdict"] == "good", told["findings"]
    (found,) = (f for f in told["findings"] if f["code"] == "stamp")
    assert found["level"] == "note"
    assert f"niêm phong {stamp.seal_id}, ghi lúc {stamp.generated_at:%Y-%m-%dT%H:%M:%SZ}; 1 tài liệu" in found["text"]
    assert "CHƯA được kiểm tra" in found["text"]
    imprint = found["text"].split("-digest ")[1].split()[0]
    check = ["openssl", "ts", "-verify", "-in", "held", "-digest", imprint, "-CAfile", "ca.pem"]  # as the text says
    assert subprocess.run(check, cwd=authority.folder, check=False, capture_output=True).returncode == 0
    assert by_javascript(path) == "good"


@pytest.mark.parametrize(
    ("harm", "level", "code"),
    [
        ("of_another", "false", "stamp_other"),
        ("cut", "false", "stamp_bad"),
        ("nothing", "false", "stamp_bad"),
        ("no_stamp", "false", "stamp_bad"),
        ("seal_left_out", "missing", "stamp_absent"),
    ],
)
def test_a_time_stamp_that_does_not_fit_its_seal_is_told(nodes, stamped, authority, tmp_path, harm, level, code):
    guard, _local = nodes
    with guard:
        stamp = Stamp.objects.select_related("seal").get()
    _, path = case(guard, stamped, tmp_path)
    name, good = f"stamps/{stamp.seal.digest}.tsr", bytes(stamp.response)
    if harm == "of_another":
        asked = ["openssl", "ts", "-query", "-data", "ca.pem", "-sha256", "-cert", "-out", "other"]
        subprocess.run(asked, cwd=authority.folder, check=True, capture_output=True)
        path = altered(path, name, authority.reply((authority.folder / "other").read_bytes()), tmp_path)
    elif harm == "seal_left_out":
        path = altered(path, f"seals/{stamp.seal.digest}", None, tmp_path)
    else:
        path = altered(path, name, {"cut": good[:60], "nothing": b"", "no_stamp": b"0\x03\x02\x01\x00"}[harm], tmp_path)
    told = by_python(path, tmp_path)
    assert told["verdict"] == level
    assert codes(told, level) == [code]
    assert by_javascript(path) == level


def altered(path, name, data, tmp_path):
    """Return a copy of a folder with other bytes for one file, or (None) without it, and a manifest that fits."""
    target = tmp_path / "altered.zip"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            found = old.read(member)
            if member.endswith("/manifest-sha256.txt"):
                lines = [line for line in found.decode().splitlines(keepends=True) if not line.endswith(f"  {name}\n")]
                lines += [f"{hashlib.sha256(data).hexdigest()}  {name}\n"] if data is not None else []
                found = "".join(lines).encode()
            if not member.endswith(f"/{name}"):
                new.writestr(member, found)
            elif data is not None:
                new.writestr(member, data)
    return target
