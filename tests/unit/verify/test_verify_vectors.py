"""Every vector of tests/vectors gets the same answer from the node's own check, from hiepdong-verify and from the verifier in
JavaScript that was written from the protocol page."""

import base64
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from hiepdong.exchange import signing
from hiepdong.exchange.bundle_file import open_bundle
from hiepdong.exchange.bundle_refusals import BundleRefused
from hiepdong_verify import verify
from support import vectors

ROOT = Path(__file__).resolve().parents[3]
INDEX = json.loads((vectors.FOLDER / "index.json").read_bytes())
VECTORS = {v["name"]: v for v in INDEX["vectors"]}
SIGNED = [name for name, v in VECTORS.items() if "signing" in v]
KNOWN = {vectors.kid(n): vectors.jwk(n) for n in (*vectors.OWNERS, "nobody", "node-z")}


def answer(vector):
    """Return the verdict of hiepdong-verify and the codes of its findings."""
    options = vector.get("options", {})
    keys = options.get("keys", INDEX["keys"])
    paths = [vectors.FOLDER / name for name in vector["files"]]
    try:
        report = verify.check(paths, keys=[vectors.FOLDER / keys] if keys else [], node=options.get("node", ""))
    except verify.Refused as refused:
        return "refused", [refused.code]
    return report.verdict, [f.code for f in report.findings]


@pytest.fixture(scope="module")
def in_javascript():
    """Return the answers of tests/verifier-js, by vector; it fails where there is no Node, for a proof skipped is none."""
    node = shutil.which("node") or str(ROOT / ".x/node/bin/node")
    if not Path(node).exists():
        pytest.fail("no node on PATH nor in .x/node/bin: run bin/setup")
    command = [node, ROOT / "tests/verifier-js/verify.mjs", "--vectors", vectors.FOLDER / "index.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", VECTORS)
def test_hiepdong_verify_gives_the_answer_of_the_vector_and_its_reason(name):
    verdict, codes = answer(VECTORS[name])
    assert verdict == VECTORS[name]["verdict"]
    assert VECTORS[name]["why"] in codes


def test_without_the_package_cryptography_every_answer_is_the_same(monkeypatch):
    monkeypatch.setattr(verify, "Ed25519PublicKey", None)
    other = {name: v["verdict"] for name, v in VECTORS.items() if answer(v)[0] != v["verdict"]}
    assert other == {}


@pytest.mark.parametrize("name", VECTORS)
def test_a_verifier_written_from_the_page_alone_gives_the_same_answer(name, in_javascript):
    found = in_javascript[name]
    assert found["verdict"] == VECTORS[name]["verdict"], found["reasons"]
    assert bool(found["reasons"]) == (found["verdict"] != "good")


@pytest.mark.parametrize("name", SIGNED)
def test_the_node_judges_form_and_signature_as_the_vectors_say(name):
    document = (vectors.FOLDER / VECTORS[name]["files"][0]).read_bytes()
    try:
        header = signing.header_of(document)
        signing.verify(document, public_jwk=KNOWN[header["kid"]], kid=header["kid"], typ=header["typ"])
        signing.claims_of(document)
        good = True
    except signing.BadSignature:
        good = False
    assert good is VECTORS[name]["signing"]


def test_the_node_takes_no_key_that_proves_nothing():
    rows = json.loads((vectors.FOLDER / "small-order-keys.json").read_bytes())["keys"]
    jwk, document = rows[-1]["jwk"], (vectors.FOLDER / "small-order-key.jws").read_bytes()
    with pytest.raises(signing.BadSignature):
        signing.thumbprint_of(jwk)
    header = signing.header_of(document)
    with pytest.raises(signing.BadSignature):
        signing.verify(document, public_jwk=jwk, kid=header["kid"], typ=header["typ"])
    assert signing.thumbprint_of(rows[0]["jwk"]) == vectors.kid("commune")


# What is wrong here is one item, or who sent it to whom: the bundle itself can be opened.
OPENS = {
    "bundle-item-bad-signature",
    "bundle-item-wrong-kind",
    "bundle-hop-of-other-bytes",
    "bundle-wrong-node",
    "bundle-signed-by-another",
    "bundle-of-a-stranger",
}


@pytest.mark.parametrize("name", [n for n in VECTORS if n.startswith("bundle-") and n != "bundle-encrypted"])
def test_the_node_opens_a_bundle_exactly_where_the_vectors_let_it(name):
    path = vectors.FOLDER / VECTORS[name]["files"][0]
    if VECTORS[name]["verdict"] == "good" or name in OPENS:
        with open_bundle(path, verify=signing.claims_of) as found:
            assert len(list(found.items())) == found.statement["items"]
    else:
        with pytest.raises(BundleRefused), open_bundle(path, verify=signing.claims_of):
            pass


def test_the_vectors_cover_every_kind_of_answer():
    assert {v["verdict"] for v in VECTORS.values()} == {"good", "missing", "false", "refused"}
    assert len(VECTORS) > 150


def test_the_committed_vectors_are_what_the_script_makes():
    made = vectors.make()
    index = {"format": "hiepdong.vectors/1", "keys": "keys.json", "vectors": made.index}
    assert index == INDEX, "run .venv/bin/python tests/support/vectors.py"
    assert {p.name for p in vectors.FOLDER.iterdir()} == {*made.files, "index.json"}
    for name, data in made.files.items():
        kept = (vectors.FOLDER / name).read_bytes()
        # Another zlib may pack the same content into other bytes.
        assert kept == data or _unpacked(kept) == _unpacked(data) != {}, name


def _unpacked(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {i.orig_filename: archive.read(i) for i in archive.infolist()}
    except zipfile.BadZipFile:
        return {}


def test_a_signature_of_the_node_is_good_for_all_three(tmp_path, in_javascript):
    key = signing.new_key("secret")
    payload = vectors.canonical(vectors.dispatch())
    document = signing.sign(
        payload, kid=key.kid, private_encrypted=key.private_encrypted, secret="secret", typ=signing.DISPATCH_TYPE
    )
    rows = vectors.keys_json([])
    jwk = {k: key.public_jwk[k] for k in ("crv", "kty", "x")}
    rows["keys"] = [vectors.key_row("station") | {"jwk": jwk}]
    (tmp_path / "keys.json").write_text(json.dumps(rows))
    (tmp_path / "a.jws").write_bytes(document)
    assert verify.check([tmp_path / "a.jws"], keys=[tmp_path / "keys.json"]).verdict == "good"
    assert json.loads(base64.urlsafe_b64decode(document.split(b".")[1] + b"==")) == vectors.dispatch()
    node = shutil.which("node") or str(ROOT / ".x/node/bin/node")
    command = [node, ROOT / "tests/verifier-js/verify.mjs", "--keys", tmp_path / "keys.json", tmp_path / "a.jws"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
