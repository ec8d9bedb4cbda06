"""verify.py as a program: one file, any Python, in words, with an exit code; and the folder that an inspector gets."""

import ast
import json
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

from hiepdong_verify import folder, verify
from support import vectors

SOURCE = Path(verify.__file__)
KEYS = vectors.FOLDER / "keys.json"
GOOD = vectors.FOLDER / "dispatch-good.jws"


def run(*words, where=SOURCE):
    """Run the file as a plain interpreter does that has no packages at all."""
    command = [sys.executable, "-I", "-S", where, *words]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)


def test_the_file_copied_alone_runs_without_any_package(tmp_path):
    alone = tmp_path / "verify.py"
    alone.write_bytes(SOURCE.read_bytes())
    done = run(GOOD, "--keys", KEYS, where=alone)
    assert done.returncode == 0, done.stderr
    assert "KẾT LUẬN: tất cả đều đúng." in done.stdout


def test_the_file_is_written_for_python_3_9_and_imports_only_the_standard_library():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 9))
    named = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    named |= {(n.module or "").partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert named - {"__future__"} <= sys.stdlib_module_names | {"cryptography"}
    for path in SOURCE.parent.glob("*.py"):
        assert not re.search(r"^\s*(?:from|import) hiepdong\b", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_false_document_is_told_in_vietnamese_with_its_reason_and_exit_code_1(capsys):
    assert verify.main([str(vectors.FOLDER / "dispatch-payload-changed.jws"), "--keys", str(KEYS)]) == 1
    told = capsys.readouterr().out
    assert "SAI    dispatch-payload-changed.jws: Chữ ký không khớp với khóa" in told
    assert "KẾT LUẬN: CÓ CHỖ SAI." in told


def test_the_same_in_english(capsys):
    assert verify.main(["--lang", "en", str(vectors.FOLDER / "dispatch-payload-changed.jws"), "--keys", str(KEYS)]) == 1
    told = capsys.readouterr().out
    assert "FALSE    dispatch-payload-changed.jws: The signature does not fit the key" in told
    assert "VERDICT: SOMETHING IS FALSE." in told


def test_without_keys_it_says_that_only_consistency_was_checked_and_which_keys_to_ask_for(capsys):
    assert verify.main([str(vectors.FOLDER / "folder-consistent-but-untrusted.zip")]) == 0
    told = capsys.readouterr().out
    assert "CHƯA SO VỚI KHÓA TIN CẬY NÀO" in told
    assert f"{vectors.STATION}: {vectors.kid('station-false')}" in told


def test_a_dispatch_alone_without_a_key_cannot_be_checked_and_is_not_called_good(capsys):
    assert verify.main([str(GOOD)]) == 1
    assert "Chưa có khóa công khai" in capsys.readouterr().out


def test_json_has_the_verdict_every_finding_and_what_was_trusted(capsys):
    assert verify.main([str(GOOD), "--keys", str(KEYS), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["counts"], told["trusted_keys"]) == ("good", {"dispatch": 1}, [str(KEYS)])
    assert {"level", "where", "code", "text", "facts"} == set(told["findings"][0])


@pytest.mark.parametrize(
    "words",
    [
        ["none.jws"],
        [str(GOOD), "--keys", "none.json"],
        [str(GOOD), "--keys", str(GOOD)],
        [str(GOOD), "--keys", str(vectors.FOLDER / "small-order-keys.json")],
    ],
)
def test_a_wrong_call_has_exit_code_2_and_says_what_is_wrong(words, capsys):
    assert verify.main(words) == 2
    assert "hiepdong-verify: " in capsys.readouterr().err


def test_no_file_at_all_is_a_wrong_call():
    with pytest.raises(SystemExit) as stopped:
        verify.main([])
    assert stopped.value.code == 2


def test_a_public_key_alone_is_enough_and_it_is_said_whose_word_that_is(tmp_path, capsys):
    (tmp_path / "public-key.jwk").write_text(json.dumps(vectors.jwk("station")))
    assert verify.main(["--lang=en", str(GOOD), "--keys", str(tmp_path / "public-key.jwk")]) == 0
    assert "was given without an owner" in capsys.readouterr().out


def test_an_invitation_or_a_folder_of_keys_can_be_trusted(tmp_path):
    invitation = vectors.FOLDER / "invitation-good.jws"
    assert verify.check([GOOD], keys=[invitation]).verdict == "good"
    (tmp_path / "a.jws").write_bytes(invitation.read_bytes())
    (tmp_path / "b.json").write_bytes(KEYS.read_bytes())
    assert verify.check([GOOD, vectors.FOLDER / "receipt-good.jws"], keys=[tmp_path]).verdict == "good"


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path):
    (tmp_path / "key.jwk").write_text(json.dumps(vectors.jwk("station") | {"d": "AAAA"}))
    with pytest.raises(verify.Refused, match="keys_wrong"):
        verify.check([GOOD], keys=[tmp_path / "key.jwk"])


def test_a_digest_that_was_printed_is_compared_with_the_file():
    digest = vectors.sha(GOOD.read_bytes())
    assert verify.check([GOOD], keys=[KEYS], digest=digest.upper()).verdict == "good"
    assert verify.check([GOOD], keys=[KEYS], digest="0" * 64).verdict == "false"


def test_what_a_document_says_cannot_move_the_cursor_or_hide(tmp_path):
    hostile = vectors.dispatch(subject="V/v \x1b[2J\u202e giả")
    (tmp_path / "a.jws").write_bytes(vectors.signed(hostile, "station"))
    report = verify.check([tmp_path / "a.jws"], keys=[KEYS])
    told = "\n".join(verify.words_of(report, 0, every=True))
    assert "\\u001b[2J\\u202e" in told
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_every_sentence_stands_in_both_languages_with_the_same_facts():
    fields = {
        code: [{f for _, f, _, _ in string.Formatter().parse(t) if f} for t in both] for code, both in verify.MESSAGES.items()
    }
    assert {code for code, (a, b) in fields.items() if a != b} == set()
    used = set(re.findall(r'"([a-z_0-9]+)"', SOURCE.read_text(encoding="utf-8").partition("MARKS = ")[2])) | {
        f"verdict_{level}" for level in ("good", "missing", "false")
    }
    assert set(verify.MESSAGES) - used == set()


def test_many_good_documents_are_counted_and_only_the_rest_told(tmp_path):
    before = ""
    paths = []
    for n in range(1, 51):
        document = vectors.signed(vectors.dispatch(n, before), "station")
        before = vectors.sha(document)
        paths.append(tmp_path / f"{n}.jws")
        paths[-1].write_bytes(document)
    report = verify.check(paths, keys=[KEYS])
    told = list(verify.words_of(report, 1, every=False))
    assert not any("The signature is good" in line for line in told)
    assert any("numbers 1–50 without a gap" in line for line in told)
    assert any(line == "Checked: 50 dispatches." for line in told)
    assert sum("The signature is good" in line for line in verify.words_of(report, 1, every=True)) == 50


# --- the folder for an inspector ----------------------------------------------------------------------------------------------


@pytest.fixture
def case(tmp_path):
    """An evidence folder on the disk: two dispatches, one with an attachment, a receipt, a regulation that both signed."""
    paper = b"%PDF-1.7 thu nghiem\n"
    named = {"name": "bao-cao.pdf", "digest": vectors.sha(paper), "size": len(paper), "media_type": "application/pdf"}
    toml = b'format = "hiepdong.regulation/1"\n'
    first = vectors.signed(vectors.dispatch(attachments=[named]), "station")
    second = vectors.signed(vectors.dispatch(2, vectors.sha(first)), "station")
    rules = {"format": "hiepdong.regulation/1", "key": "thu-nghiem.qcph", "version": 1, "digest": vectors.sha(toml)}
    rules |= {"parties": sorted([vectors.STATION, vectors.COMMUNE])}
    files = folder.lay_out(
        about="Vụ việc thử nghiệm",
        made_at="2020-04-01T00:00:00Z",
        made_by=vectors.NODE_A,
        keys=vectors.KEYS["keys"],
        nodes=vectors.KEYS["nodes"],
        documents=[first, second, second, vectors.signed(vectors.receipt(first), "commune")],
        joint=[json.dumps(vectors.several(rules, ["station", "commune"])).encode()],
        attachments=[vectors.sha(paper), vectors.sha(toml)],
        complete=[(vectors.STATION, vectors.COMMUNE, 1, 2)],
    )
    files |= {f"files/{vectors.sha(data)}": data for data in (paper, toml)}
    root = tmp_path / "ho-so"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_the_folder_for_an_inspector_is_checked_by_the_program_that_lies_in_it(case):
    done = run(case, where=case / "verify.py")
    assert done.returncode == 0, done.stdout
    assert "các số 1–2 liền nhau" in done.stdout
    assert "CHƯA SO VỚI KHÓA TIN CẬY NÀO" in done.stdout
    assert "2 văn bản" in done.stdout
    assert run(case, "--keys", KEYS, where=case / "verify.py").returncode == 0


def test_the_folder_says_in_both_languages_how_it_is_checked(case):
    words = (case / "README.txt").read_text(encoding="utf-8")
    assert "python3 verify.py" in words
    assert "Vụ việc thử nghiệm" in words
    assert "How" not in words  # placeholders were filled, nothing else
    assert "{" not in words


def codes(path, **more):
    return {f.code for f in verify.check([path], **more).findings if f.level in {"false", "missing"}}


def test_each_thing_taken_from_or_added_to_the_folder_is_named(case):
    assert codes(case) == set()
    (extra,) = [case / "documents" / "dispatch-x.jws"]
    extra.write_bytes(b"x")
    assert codes(case) == {"file_extra"}
    extra.unlink()
    paper = next((case / "files").iterdir())
    data = paper.read_bytes()
    paper.write_bytes(data + b" ")
    assert "file_digest" in codes(case)
    paper.write_bytes(data)
    receipt = next((case / "documents").glob("receipt-*"))
    receipt.unlink()
    assert codes(case) == {"file_missing"}


def test_a_link_in_the_folder_is_refused_and_not_followed(case, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    (case / "files" / ("0" * 64)).symlink_to(secret)
    assert codes(case) == {"link"}


def test_what_a_computer_leaves_in_a_folder_is_passed_over(case):
    (case / "documents" / ".DS_Store").write_bytes(b"x")
    assert codes(case) == set()


def test_a_folder_that_is_none_is_said_to_be_none(tmp_path):
    assert codes(tmp_path) == {"folder_without"}
