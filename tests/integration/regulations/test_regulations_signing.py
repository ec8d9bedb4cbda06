"""The pages of a regulation that its parties are to sign: read it, sign it, see who has and who has not."""

import pytest
from django.urls import reverse

from hiepdong.exchange import joint
from hiepdong.exchange.domain.joint import regulation_payload
from hiepdong.regulations import services
from hiepdong.regulations.models import Instrument
from hiepdong.web.services import react
from support.joint import KEY, regulation_text
from support.make import SENT_AT, entered, seat

pytestmark = pytest.mark.django_db


@pytest.fixture
def proposed(small_world):
    world = small_world
    text = regulation_text(parties=((world.station.key, "border_guard"), (world.district.key, "locality")))
    return world, services.propose(file_bytes=text, name="r.toml", actor=None, at=SENT_AT)


def page_of(document):
    return reverse("regulations:proposal_detail", args=[document.digest])


def test_the_page_shows_the_text_and_a_signer_of_a_party_signs_on_it(proposed):
    world, document = proposed
    page = entered(world.signer).get(page_of(document)).content.decode()
    assert "Hằng tháng đồn gửi báo cáo cho huyện ủy." in page
    sign = reverse("regulations:proposal_sign", args=[document.digest])
    assert sign in page
    assert sign not in entered(world.clerk).get(page_of(document)).content.decode()
    assert entered(world.clerk).post(sign).status_code == 403
    assert entered(world.signer).post(sign).status_code == 302
    assert not Instrument.objects.filter(key=KEY).exists()
    assert sign not in entered(world.signer).get(page_of(document)).content.decode()
    assert entered(world.reader).post(sign).status_code == 302  # the last party: in force at once
    loaded = Instrument.objects.get(key=KEY)
    shown = entered(world.reader).get(reverse("regulations:instrument_detail", args=[KEY])).content.decode()
    assert page_of(document) in shown
    assert loaded.digest == joint.terms_of(document).claims["digest"]


def test_it_stands_on_the_list_and_on_the_desk_of_a_party_until_it_is_in_force(proposed):
    world, document = proposed
    for address in (reverse("regulations:instrument_list"), "/"):
        assert page_of(document) in entered(world.signer).get(address).content.decode()
    for organisation in (world.station, world.district):
        services.sign(document=document, organisation=organisation, actor=None, at=SENT_AT)
    react(at=SENT_AT)
    for address in (reverse("regulations:instrument_list"), "/"):
        assert page_of(document) not in entered(world.signer).get(address).content.decode()


def test_an_outsider_does_not_find_it_and_a_node_administrator_reads_it_without_a_button(proposed):
    world, document = proposed
    stranger = entered(seat(world.outsider))
    assert stranger.get(page_of(document)).status_code == 404
    assert page_of(document) not in stranger.get(reverse("regulations:instrument_list")).content.decode()
    administrator = entered(seat(world.outsider, "node_administrator"))
    page = administrator.get(page_of(document))
    assert page.status_code == 200
    assert reverse("regulations:proposal_sign", args=[document.digest]) not in page.content.decode()


def test_what_the_file_says_otherwise_than_the_document_is_shown_and_not_signed(proposed):
    world, document = proposed
    digest = joint.terms_of(document).claims["digest"]
    false = regulation_payload(key=KEY, version=7, digest=digest, parties=[world.station.key, world.district.key])
    other = joint.propose(kind="regulation", payload=false, actor=None, at=SENT_AT)
    answer = entered(world.signer).post(reverse("regulations:proposal_sign", args=[other.digest]))
    assert answer.status_code == 409
    other.refresh_from_db()
    assert other.signatures == []


def test_a_regulation_loaded_by_the_administrator_says_so(small_world):
    page = entered(small_world.signer).get(reverse("regulations:instrument_detail", args=["t.qcph"]))
    assert page.status_code == 200
    assert page.context["proposal"] is None
