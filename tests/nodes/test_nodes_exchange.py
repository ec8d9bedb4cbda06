"""Two nodes: what one sends the other holds, once, with receipts that come back."""

import pytest

from hiepdong.documents.models import File
from hiepdong.documents.services import keep_file
from hiepdong.exchange import queries
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Receipt
from support.nodes import two_nodes

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_paper_and_its_receipt_cross_in_one_round(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo tình hình")
    done = guard.round(local)
    assert done.sent >= 1
    with local:
        received = Dispatch.objects.get()
        assert received.subject == "Báo cáo tình hình"
        assert Receipt.objects.get().code == "arrived"
        assert not Arrival.objects.exclude(state="applied").exists(), list(Arrival.objects.values("kind", "code", "facts"))
        assert not LinkIncident.objects.exists()
    assert guard.state() == local.state()


def test_an_empty_file_is_there_with_its_paper(tmp_path):
    guard, local = two_nodes(tmp_path)
    with guard:
        file = keep_file(data=b"", name="trong.txt", media_type="text/plain", at=guard.clock())
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Có tệp rỗng", files=[("trong.txt", file)])
    guard.round(local)
    with local:
        assert File.objects.get().kept
        assert queries.verification_of(Dispatch.objects.get()).good
