"""Time-stamps over seals, by a real authority on this machine, and by one that lies."""

import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from hiepdong.journal import queries, timestamping
from hiepdong.journal.domain.chain import BreakKind
from hiepdong.journal.models import Stamp, StampFailure
from hiepdong.journal.services import seal_entries, stamp_latest_seal
from hiepdong.journal.timestamping import AuthorityFailed, InvalidRoots, InvalidToken, read_roots, read_token
from support.authority import Authority, serving

from .conftest import AT, add_entries

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def authority(kept):
    kept.asked, kept.answer = 0, None
    with serving(kept):
        yield kept


@pytest.fixture
def sealed(db):
    add_entries(2)
    seal_entries(at=AT)


def stamp(authority, *, at=AT, every=HOUR):
    return stamp_latest_seal(address=authority.address, roots_path=str(authority.ca), every=every, at=at)


def test_a_seal_gets_a_token_that_others_can_check_and_never_a_second(authority, sealed):
    assert stamp(authority)
    made = Stamp.objects.get()
    digest = queries.latest_seal().digest
    assert authority.holds(bytes(made.response), digest.encode()), "openssl agrees, over the digest in ASCII"
    assert abs(made.generated_at - datetime.now(UTC)) < timedelta(minutes=2), "the authority's clock, not ours"
    assert made.made_at == AT
    assert not stamp(authority, at=AT + 400 * HOUR)
    assert authority.asked == 1
    assert queries.oldest_unwitnessed_at(witnessed=0) is None


def test_a_new_seal_waits_until_the_time_since_the_last_token_is_over(authority, sealed):
    assert stamp(authority)
    add_entries(1)
    seal_entries(at=AT)
    assert not stamp(authority, at=AT + HOUR - timedelta(seconds=1))
    assert stamp(authority, at=AT + HOUR)
    assert list(Stamp.objects.order_by("seal_id").values_list("seal_id", flat=True)) == [1, 2]
    report = queries.check_chain(roots=read_roots(str(authority.ca)))
    assert (report.breaks, report.stamps, report.stamps_unproven) == ((), 2, 0)


def test_a_failed_try_is_noted_and_the_next_one_waits(authority, sealed):
    authority.answer = lambda handler, query: (503, b"")
    with pytest.raises(AuthorityFailed):
        stamp(authority)
    assert not stamp(authority, at=AT + timedelta(seconds=59)), "not asked again at once"
    with pytest.raises(AuthorityFailed):
        stamp(authority, at=AT + timedelta(minutes=1))
    assert not stamp(authority, at=AT + timedelta(minutes=2, seconds=59)), "the pause doubles"
    assert queries.stamp_failures()[:2] == (2, AT + timedelta(minutes=1))
    authority.answer = None
    assert stamp(authority, at=AT + timedelta(minutes=3))
    assert not StampFailure.objects.exists()


def test_an_authority_that_nobody_trusts_is_refused(authority, sealed, tmp_path):
    other = Authority(tmp_path, name="Another")
    with pytest.raises(InvalidToken):
        stamp_latest_seal(address=authority.address, roots_path=str(other.ca), every=HOUR, at=AT)
    assert not Stamp.objects.exists()


def test_a_token_of_another_request_is_refused(authority, sealed):
    old = []

    def replay(handler, query):
        old.append(authority.reply(query))
        return 200, old[0]

    authority.answer = replay
    assert stamp(authority)
    add_entries(1)
    seal_entries(at=AT)
    with pytest.raises(InvalidToken):
        stamp(authority, at=AT + HOUR)


@pytest.mark.parametrize(
    "answer",
    [
        lambda right: b"",
        lambda right: b"<html>",
        lambda right: right[:-1],
        lambda right: right + b"x",
        lambda right: right[:60] + bytes([right[60] ^ 1]) + right[61:],
        lambda right: right[:-10] + bytes([right[-10] ^ 1]) + right[-9:],
        lambda right: bytes.fromhex("30053003020102"),
        lambda right: bytes.fromhex("30053003020100"),
        lambda right: b"x" * (timestamping.LARGEST_ANSWER + 1),
    ],
    ids=["empty", "page", "cut", "longer", "content", "signature", "refusal", "granted without token", "endless"],
)
def test_an_answer_that_is_no_right_token_is_refused_and_nothing_is_stored(authority, sealed, answer):
    authority.answer = lambda handler, query: (200, answer(authority.reply(query)))
    with pytest.raises((AuthorityFailed, InvalidToken)):
        stamp(authority)
    assert not Stamp.objects.exists()
    assert StampFailure.objects.count() == 1


def test_every_flipped_byte_of_a_token_is_a_refusal_never_a_crash_and_never_another_time(authority):
    """Bytes outside of what is signed (the certificates that come along) may change without harm."""
    digest, roots = "ab" * 32, read_roots(str(authority.ca))
    token = timestamping.request_token(address=authority.address, digest=digest, roots=roots)
    for place in range(0, len(token.response), 3):
        flipped = bytearray(token.response)
        flipped[place] ^= 0x41
        try:
            assert read_token(bytes(flipped), digest=digest, roots=roots).generated_at == token.generated_at
        except (InvalidToken, AuthorityFailed):
            continue


def test_an_authority_that_sends_a_byte_now_and_then_holds_nobody_for_long(authority, sealed, monkeypatch):
    monkeypatch.setattr(timestamping, "SECONDS", 0.5)

    def drip(handler, query):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(40):
            time.sleep(0.1)
            try:
                handler.wfile.write(b"X-Wait: 1\r\n")
            except OSError:
                break
        return None, b""

    authority.answer = drip
    began = time.monotonic()
    with pytest.raises(AuthorityFailed):
        stamp(authority)
    assert time.monotonic() - began < 3


def test_a_redirect_is_not_followed(authority, sealed):
    authority.answer = lambda handler, query: (302, b"")
    with pytest.raises(AuthorityFailed):
        stamp(authority)
    assert authority.asked == 1


@pytest.mark.parametrize(
    "address", ["", "file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://[", "http://127.0.0.1:99999/"]
)
def test_only_web_addresses_are_asked(sealed, kept, address):
    with pytest.raises(AuthorityFailed):
        stamp_latest_seal(address=address, roots_path=str(kept.ca), every=HOUR, at=AT)


def test_nobody_at_the_address_is_told(sealed, kept):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(AuthorityFailed):
        stamp_latest_seal(address=f"http://127.0.0.1:{port}/", roots_path=str(kept.ca), every=HOUR, at=AT)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_roots_that_cannot_be_read_are_told_by_their_file(sealed, authority, tmp_path, text):
    path = tmp_path / "roots.pem"
    path.write_text(text)
    with pytest.raises(InvalidRoots):
        stamp_latest_seal(address=authority.address, roots_path=str(path), every=HOUR, at=AT)
    with pytest.raises(InvalidRoots):
        read_roots("")
    assert authority.asked == 0


def test_a_time_stamp_moved_to_another_seal_or_redated_is_found(authority, sealed, attacker):
    assert stamp(authority)
    roots = read_roots(str(authority.ca))
    attacker("UPDATE journal_stamp SET generated_at = %s", datetime(2019, 1, 1, tzinfo=UTC))
    (one,) = queries.check_chain(roots=roots).breaks
    assert (one.kind, one.seal) == (BreakKind.STAMP_DIFFERS, 1)
    add_entries(1)
    seal_entries(at=AT)
    attacker("UPDATE journal_stamp SET seal_id = 2")
    (one,) = queries.check_chain(roots=roots).breaks
    assert (one.kind, one.seal) == (BreakKind.STAMP_DIFFERS, 2)
    assert queries.check_chain().stamps_unproven == 1, "without roots it is counted, not believed"
