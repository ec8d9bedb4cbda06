"""The folder for the inspector from a page; papers that must be sent again, by one press."""

import pytest
from django.db.models import F
from django.urls import reverse

from hiepdong.exchange import links
from hiepdong.exchange.models import Dispatch, Peer
from hiepdong.organisations.models import Organisation
from hiepdong_verify import verify
from support.make import SENT_AT, entered, send
from support.strangers import Stranger, at_home

pytestmark = pytest.mark.django_db


def verdict(answer, tmp_path):
    path = tmp_path / "given.zip"
    path.write_bytes(b"".join(answer.streaming_content))
    return verify.check([path]).verdict


def test_the_button_of_a_dispatch_gives_a_folder_that_verifies(world, tmp_path):
    sent = world.report("2020-03")
    page = entered(world.reader).get(reverse("exchange:dispatch_detail", args=[sent.uuid]))
    address = reverse("exchange:dispatch_evidence", args=[sent.uuid])
    assert address in page.content.decode()
    answer = entered(world.reader).get(address)
    assert answer.headers["Content-Type"] == "application/zip"
    assert "ho-so-" in answer.headers["Content-Disposition"]
    assert verdict(answer, tmp_path) == "good"


def test_a_pair_and_a_period_are_chosen_on_a_page_and_a_wrong_period_is_told_there(world, tmp_path):
    world.report("2020-03")
    client = entered(world.signer)
    form = client.get(reverse("exchange:evidence_form"), {"one": "t.don-mot"})
    assert "t.huyen-uy" in form.content.decode()
    asked = {"one": "t.don-mot", "other": "t.huyen-uy", "first": "2020-01-01", "last": "2020-12-31"}
    assert verdict(client.get(reverse("exchange:evidence_pair"), asked), tmp_path) == "good"
    wrong = client.get(reverse("exchange:evidence_pair"), asked | {"last": "2019-12-31"})
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.content.decode()
    assert client.get(reverse("exchange:evidence_pair"), asked | {"other": "t.don-mot"}).status_code == 422


def test_papers_refused_for_a_revoked_key_are_listed_and_sent_again_by_one_press(world):
    at_home(world.province, world.station, world.district, world.outsider, at=SENT_AT)
    peer = Stranger({"x.huyen": "Huyện ủy Xa"}, at=SENT_AT).link()
    far = Organisation.objects.get(key="x.huyen")
    sent = send(world.signer, [far], "Bị từ chối")
    client = entered(world.signer)
    register = reverse("exchange:register_out") + "?year=2020"
    assert reverse("exchange:again_list") not in client.get(register).content.decode()
    links.revoke_key(kid=sent.key.kid, reason="Máy bị mất", actor=None, at=SENT_AT)
    Peer.objects.filter(pk=peer.pk).update(confirmed_through=F("sent_through"))
    assert reverse("exchange:again_list") in client.get(register).content.decode()
    assert "Bị từ chối" in client.get(reverse("exchange:again_list")).content.decode()
    client.post(reverse("exchange:dispatch_again", args=[sent.uuid]))
    again = Dispatch.objects.get(replaces=sent)
    assert (again.subject, again.key_id != sent.key_id) == ("Bị từ chối", True)
    assert "Bị từ chối" not in client.get(reverse("exchange:again_list")).content.decode()


def test_what_was_not_refused_is_not_sent_again(world):
    at_home(world.province, world.station, world.district, world.outsider, at=SENT_AT)
    Stranger({"x.huyen": "Huyện ủy Xa"}, at=SENT_AT).link()
    sent = send(world.signer, [Organisation.objects.get(key="x.huyen")], "Đang trên đường")
    answer = entered(world.signer).post(reverse("exchange:dispatch_again", args=[sent.uuid]))
    assert answer.status_code == 409
    assert not Dispatch.objects.filter(replaces=sent).exists()
