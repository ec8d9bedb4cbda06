"""What holds for every paper: any changed byte is noticed, order means nothing, reading gives back what was signed."""

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from hiepdong.exchange import signing
from hiepdong.exchange.domain.classified import bears_secrecy_mark, refuse_classified
from hiepdong.exchange.domain.envelope import Content, Recipient, as_json, canonical, read_content

KEY = signing.new_key("secret")
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
CONTENTS = st.builds(
    Content,
    id=st.uuids().map(str),
    kind=st.just("notice"),
    sender=st.just("t.sender"),
    subject=TEXT.map(lambda t: f"V/v {t}"),
    recipients=st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True).map(
        lambda ns: tuple(Recipient(f"t.o{n}", "to", n + 1, "") for n in ns)
    ),
    sent_at=st.datetimes(datetime(1976, 1, 1), datetime(2099, 1, 1)).map(lambda d: d.replace(microsecond=0, tzinfo=UTC)),
    body=st.dictionaries(TEXT.filter(lambda k: k != "text"), JSON, max_size=4),
    answers=st.lists(TEXT, max_size=3).map(tuple),
    reason=TEXT,
)


@given(CONTENTS)
def test_reading_and_signing_again_gives_the_same_bytes(content):
    once = canonical(as_json(content))
    assert canonical(as_json(read_content(once))) == once


@given(CONTENTS, st.randoms())
def test_the_order_of_keys_changes_nothing(content, random):
    data = as_json(content)
    keys = list(data)
    random.shuffle(keys)
    assert canonical({k: data[k] for k in keys}) == canonical(data)
    assert json.loads(canonical(data)) == json.loads(json.dumps(data))


@settings(max_examples=300)
@given(CONTENTS, st.data())
def test_any_changed_byte_of_a_signed_paper_is_noticed(content, data):
    signed = signing.sign(
        canonical(as_json(content)),
        kid=KEY.kid,
        private_encrypted=KEY.private_encrypted,
        secret="secret",
        typ=signing.DISPATCH_TYPE,
    )
    place = data.draw(st.integers(0, len(signed) - 1))
    changed = signed[:place] + bytes([signed[place] ^ data.draw(st.integers(1, 255))]) + signed[place + 1 :]
    try:
        signing.verify(changed, public_jwk=KEY.public_jwk, kid=KEY.kid, typ=signing.DISPATCH_TYPE)
    except signing.BadSignature:
        return
    raise AssertionError(f"byte {place} was changed and nobody noticed")


@given(TEXT, TEXT, st.sampled_from(["TỐI MẬT", "TUYỆT MẬT"]))
def test_text_around_a_mark_does_not_hide_it(before, after, mark):
    assert bears_secrecy_mark(f"{before}\n{mark}\n{after}")


@given(st.text())
def test_looking_for_marks_never_crashes(text):
    try:
        refuse_classified(text)
    except Exception as error:
        assert type(error).__name__ == "ClassifiedContent"  # noqa: PT017
