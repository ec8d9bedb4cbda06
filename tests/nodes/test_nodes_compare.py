"""Two nodes on which a regulation came into force by signatures compute the same due moments; a difference is shown."""

import json
from datetime import date, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone, translation

from hiepdong.duties import comparing
from hiepdong.duties.domain.comparison import NotComparable, compared
from hiepdong.duties.models import Duty
from hiepdong.duties.services import make_duties
from hiepdong.exchange import joint
from hiepdong.exchange.models import JointDocument
from hiepdong.regulations.models import Instrument
from hiepdong.web.services import react
from support.joint import KEY, regulation_text
from support.nodes import Clock, Node, link

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nodes(tmp_path, capsys):
    """Two nodes whose administrators put the regulation into force by the commands, and made its duties."""
    now = timezone.now() - timedelta(minutes=5)  # the commands read the clock
    guard = Node("bien-phong", tmp_path, clock=Clock(now)).found(("t.don-my-ly", "border_station", "Đồn Biên phòng Mỹ Lý"))
    local = Node("dia-phuong", tmp_path, clock=Clock(now)).found(("t.huyen-uy", "party_district", "Huyện ủy Kỳ Sơn"))
    link(guard, local)
    file = tmp_path / "quy-che.toml"
    file.write_bytes(regulation_text())
    with guard:
        call_command("regulation", "propose", str(file))
        call_command("regulation", "sign", f"{KEY}/1", "--organisation", "t.don-my-ly")
    guard.round(local)
    with local:
        assert not Instrument.objects.exists()
        call_command("regulation", "sign", f"{KEY}/1", "--all")
        assert Instrument.objects.get().digest == joint.terms_of(JointDocument.objects.get()).claims["digest"]
    guard.round(local)
    for node in (guard, local):
        with node:
            react(at=node.clock())
            make_duties(instrument_key=KEY, until=date(2020, 12, 31), actor=None, at=node.clock())
    assert "Huyện ủy Kỳ Sơn" in capsys.readouterr().out
    return guard, local


def export(node, tmp_path):
    file = tmp_path / f"{node.name}.json"
    with node:
        call_command("compare", "export", KEY, "--year", "2020", "--out", str(file))
    return file


def test_both_compute_the_same_due_moments(nodes, tmp_path, capsys):
    files = [export(n, tmp_path) for n in nodes]
    capsys.readouterr()
    with nodes[0]:
        call_command("compare", *map(str, files))
        said = capsys.readouterr().out
        call_command("compare", str(files[1]))
        one, other = (comparing.read(f.read_bytes(), f.name) for f in files)
    assert one.duties_digest == other.duties_digest
    assert one.duties_digest in said
    assert len(one.duties) == 12
    assert (one.signed, other.signed) == ("good", "good")


def test_a_duty_that_one_node_lacks_and_one_due_at_another_moment_are_shown(nodes, tmp_path, capsys):
    guard, local = nodes
    first = export(guard, tmp_path)
    with local:
        gone, moved = Duty.objects.order_by("reference")[:2]
        gone.delete()
        Duty.objects.filter(pk=moved.pk).update(due_at=moved.due_at.replace(hour=1), calendar_digest="other")
    second = export(local, tmp_path)
    capsys.readouterr()
    with guard, pytest.raises(SystemExit) as ended:
        call_command("compare", str(first), str(second), "--json")
    assert ended.value.code == 1
    result = json.loads(capsys.readouterr().out)
    assert [(d["reference"], d["code"], d["cause"]) for d in result["differences"]] == [
        (gone.reference, "only_first", ""),
        (moved.reference, "due", "calendar"),
    ]
    with guard, pytest.raises(SystemExit), translation.override("vi"):
        call_command("compare", str(first), str(second))
    assert gone.reference in capsys.readouterr().out


def test_another_text_of_the_same_version_is_named_as_the_cause(nodes, tmp_path):
    guard, local = nodes
    with local:
        Instrument.objects.update(digest="0" * 64)
        Duty.objects.filter(occasion="2020-03").delete()
    with guard:
        one, other = (comparing.read(export(n, tmp_path).read_bytes(), n.name) for n in (guard, local))
        found = compared(one, other)
    assert found.versions == (1,)
    assert [d.cause for d in found.duties] == ["version"]


def test_a_file_changed_after_it_was_signed_is_refused(nodes, tmp_path):
    guard, _local = nodes
    file = export(guard, tmp_path)
    data = json.loads(file.read_text())
    data["content"]["duties"][0][1] = "2020-01-01T00:00:00Z"
    with guard:
        for wrong in (json.dumps(data).encode(), b"{", b"[" * 100_000):
            with pytest.raises(NotComparable):
                comparing.read(wrong, "tep")
