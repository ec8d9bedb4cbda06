#!/usr/bin/env python3
"""Check documents of Hiệp đồng without Hiệp đồng: dispatches, receipts, bundles, reviews, evidence folders.

This one file is the whole program. Copy it anywhere and run it with any Python from 3.9 on:

    python3 verify.py FILE… [--keys keys.json] [--lang en] [--json]

It needs nothing else. Where the package `cryptography` is installed it does the arithmetic (fast); else the file does it
itself (RFC 8032). It opens no network connection, reads no clock and writes no file. What it checks is written in
docs/reference/protocol.md; a section sign below means a section of that page. Exit code 0: all good; 1: something is false
or missing, each with its reason; 2: wrong call.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import stat
import struct
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:  # the fast way; the same answer as the slow one below
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except Exception:  # not installed, or installed for another machine: this file can do without
    Ed25519PublicKey = None  # type: ignore[assignment,misc]

LARGEST_DOCUMENT = 4 * 1024 * 1024  # bytes of one signed document
LARGEST_UNPACKED = 4 * 1024**3  # bytes of a bundle, unpacked
LARGEST_RATIO = 200  # unpacked to packed
DEEPEST = 100  # levels of JSON

GOOD, NOTE, MISSING, FALSE = "good", "note", "missing", "false"


class Refused(Exception):
    """Something is not as it must be: a code of MESSAGES and its facts."""

    def __init__(self, code: str, /, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts

    @property
    def level(self) -> str:
        """Return how bad it is: what this version cannot judge is not false."""
        return MISSING if self.code == "newer_format" else FALSE


# --- words --------------------------------------------------------------------------------------------------------------

MESSAGES = {  # code: (Vietnamese, English)
    # what a file is
    "not_signed_document": (
        "Không phải tài liệu có chữ ký của Hiệp đồng: cần ba phần cách nhau bằng dấu chấm, không xuống dòng.",
        "Not a signed document of Hiệp đồng: three parts with dots between them and no line break are needed.",
    ),
    "too_large": ("Quá lớn: {size} byte, nhiều nhất {most}.", "Too large: {size} bytes, at most {most}."),
    "base64": (
        "Phần {part} không đúng dạng base64url duy nhất (không dấu “=”, không bit thừa): byte đã bị đổi hoặc bị viết lại.",
        "The part {part} is not in the one form of base64url (no “=”, no spare bits): bytes were changed or written anew.",
    ),
    "json": ("Phần {part} không phải JSON đúng chuẩn: {found}.", "The part {part} is not correct JSON: {found}."),
    "json_twice": (
        "Phần {part} ghi “{member}” hai lần trong cùng một chỗ: hai chương trình có thể đọc ra hai nghĩa.",
        "The part {part} has “{member}” twice in one object: two programs could read two meanings.",
    ),
    "json_object": ("Phần {part} không phải một đối tượng JSON.", "The part {part} is not a JSON object."),
    "header_members": (
        "Phần đầu chữ ký phải có đúng alg, kid, typ; ở đây có: {found}.",
        "The header must have exactly alg, kid, typ; here it has: {found}.",
    ),
    "alg": (
        "Thuật toán ký “{found}” không được chấp nhận; chỉ nhận Ed25519.",
        "The algorithm “{found}” is refused; only Ed25519.",
    ),
    "typ": ("Loại tài liệu “{found}” không có trong giao thức.", "The document type “{found}” is not in the protocol."),
    "typ_format": (
        "Loại ghi ở phần đầu ({typ}) không khớp với nội dung ({found}).",
        "The type in the header ({typ}) does not fit the content ({found}).",
    ),
    "newer_format": (
        "Tài liệu theo định dạng mới hơn ({found}): hãy dùng bản mới hơn của chương trình này.",
        "The document has a newer format ({found}): take a newer version of this program.",
    ),
    "multi_members": (
        "Tài liệu nhiều bên ký phải có đúng payload và signatures (protected, signature); ở đây có: {found}.",
        "A document with several signatures must have exactly payload and signatures (protected, signature); here: {found}.",
    ),
    "multi_headers": (
        "Các chữ ký không cùng một loại, hoặc một khóa ký hai lần.",
        "The signatures are not of one type, or one key signed twice.",
    ),
    "multi_type": ("Loại {typ} không đi theo cách ký này.", "The type {typ} is not signed in this way."),
    "shape": ("Nội dung sai chỗ “{path}”: {found}.", "The content is wrong at “{path}”: {found}."),
    # signatures and keys
    "signature_good": ("Chữ ký đúng: {what}. Người ký: {owner}.", "The signature is good: {what}. Signed by: {owner}."),
    "signature_false": (
        "Chữ ký không khớp với khóa {kid}: nội dung đã bị đổi sau khi ký, hoặc không do khóa này ký.",
        "The signature does not fit the key {kid}: the content was changed after signing, or this key did not sign it.",
    ),
    "key_unknown": (
        "Chưa có khóa công khai {kid} nên chưa kiểm tra được chữ ký. Xin khóa (hoặc giấy mời của nút) từ bên gửi, rồi "
        "chạy lại với --keys.",
        "The public key {kid} is not here, so the signature could not be checked. Ask the sender for the key (or the "
        "invitation of "
        "the node) and run again with --keys.",
    ),
    "key_owner": (
        "Khóa {kid} là của {owner}, không phải của {needed}: tài liệu này mạo danh.",
        "The key {kid} belongs to {owner}, not to {needed}: this document is not by whom it says.",
    ),
    "key_owner_unknown": (
        "Khóa {kid} được đưa vào mà không ghi của ai; chương trình tin lời người đưa rằng đó là khóa của {needed}.",
        "The key {kid} was given without an owner; that it belongs to {needed} is what you say, not what was checked.",
    ),
    "key_two_owners": (
        "Khóa {kid} được ghi cho hai chủ: {owner} và {other}.",
        "The key {kid} is said to belong to two: {owner} and {other}.",
    ),
    "owner_of_another_node": (
        "{owner} thuộc nút {node}; nút {other} không có quyền với khóa của cơ quan này.",
        "{owner} belongs to node {node}; node {other} may not speak of its keys.",
    ),
    "key_of_refused": (
        "Khóa {kid} chỉ được biết qua một thông báo về khóa đã bị từ chối.",
        "The key {kid} is known only by a statement about a key that is refused.",
    ),
    "key_bad": ("Khóa công khai không dùng được: {found}.", "The public key cannot be used: {found}."),
    "key_expired": (
        "Ghi thời điểm {at}, nhưng khóa {kid} chỉ có hiệu lực đến {until}.",
        "It says {at}, but the key {kid} was valid only until {until}.",
    ),
    "key_early": (
        "Ghi thời điểm {at}, trước khi khóa {kid} có hiệu lực ({valid_from}): thời điểm này không thể đúng.",
        "It says {at}, before the key {kid} became valid ({valid_from}): this moment cannot be true.",
    ),
    "key_revoked": (
        "Khóa {kid} bị thu hồi từ {at}, và không có gì chứng tỏ bên khác đã thấy tài liệu này trước lúc đó.",
        "The key {kid} was revoked as of {at}, and nothing shows that another party had seen this document before.",
    ),
    "revoked_but_witnessed": (
        "Khóa đã bị thu hồi từ {at}, nhưng bên khác đã thấy tài liệu này lúc {seen}: vẫn có giá trị.",
        "The key was revoked as of {at}, but another party had seen this document at {seen}: it stays good.",
    ),
    "key_statement_signer": (
        "Thông báo về khóa này không do người có quyền ký: {found}.",
        "This statement about a key is not signed by one who may: {found}.",
    ),
    "key_kid": ("Mã khóa ghi là {kid}, tính lại là {found}.", "The key is named {kid}; computed, it is {found}."),
    "key_recovery": (
        "Khóa mới {kid} của {owner} do khóa của nút chứng nhận, không do khóa cũ: phải so dấu vân tay qua đường khác, "
        "rồi ghi khóa đó vào tệp --keys.",
        "The new key {kid} of {owner} was vouched for by the node's key, not by the earlier key: compare the fingerprint "
        "by another "
        "way, then put it into the file for --keys.",
    ),
    "key_added": (
        "Khóa mới {kid} của {owner}, có chữ ký nối tiếp.",
        "New key {kid} of {owner}, continued from the earlier one.",
    ),
    "key_revocation": ("Khóa {kid} của {owner} bị thu hồi từ {at}.", "The key {kid} of {owner} is revoked as of {at}."),
    "keys_of_others": (
        "Giấy mời của nút {node} không do khóa tin cậy ký; các khóa trong đó không được dùng.",
        "The invitation of node {node} is not signed by a trusted key; the keys in it were not used.",
    ),
    "not_trusted": (
        "Thư mục tự khai khóa {kid} của {owner}, nhưng tệp --keys không có khóa này.",
        "The folder itself names the key {kid} of {owner}, but the file given with --keys does not.",
    ),
    # dispatches, receipts, chains
    "same_id": (
        "Hai văn bản khác nhau mang cùng một mã {id}: không thể cùng đúng. Văn bản kia: {other}.",
        "Two different dispatches bear the same id {id}: they cannot both be right. The other: {other}.",
    ),
    "fork": (
        "Hai văn bản khác nhau cùng mang số thứ tự {sequence} từ {sender} đến {recipient}: chuỗi bị tách đôi. Văn bản "
        "kia: {other}.",
        "Two different dispatches have number {sequence} from {sender} to {recipient}: the chain forks. The other: {other}.",
    ),
    "chain_broken": (
        "Số {sequence} từ {sender} đến {recipient} nói văn bản trước nó có mã băm {said}, nhưng số {before} ở đây là {found}.",
        "Number {sequence} from {sender} to {recipient} says that the one before has the digest {said}, but number "
        "{before} here has {found}.",
    ),
    "chain_gap": (
        "Thiếu số {numbers} từ {sender} đến {recipient}{digest}.",
        "Number {numbers} from {sender} to {recipient} is missing{digest}.",
    ),
    "chain_good": (
        "Chuỗi từ {sender} đến {recipient}: các số {first}–{last} liền nhau và khớp mã băm.",
        "Chain from {sender} to {recipient}: numbers {first}–{last} without a gap, each digest fits.",
    ),
    "previous_empty": (
        "Số {sequence} từ {sender} đến {recipient}: chỉ số 1 mới không có văn bản trước, và chỉ số 1.",
        "Number {sequence} from {sender} to {recipient}: number 1, and only number 1, has none before it.",
    ),
    "other_sender": (
        "Thay thế hoặc thu hồi văn bản {id} của cơ quan khác ({owner}): không được phép.",
        "It replaces or withdraws the dispatch {id} of another sender ({owner}): not allowed.",
    ),
    "named_absent": (
        "Văn bản mà tài liệu này thay thế hoặc thu hồi ({id}) không có ở đây.",
        "The dispatch that this one replaces or withdraws ({id}) is not here.",
    ),
    "receipt_other_bytes": (
        "Biên nhận này là cho các byte khác: nó ghi mã băm {said}, còn văn bản ở đây là {found}.",
        "This receipt is for other bytes: it names the digest {said}, the dispatch here has {found}.",
    ),
    "receipt_other_id": (
        "Biên nhận ghi mã văn bản {said}, nhưng các byte nó nhận có mã {found}.",
        "The receipt names the dispatch {said}, but the bytes it answers have the id {found}.",
    ),
    "receipt_absent": (
        "Văn bản mà biên nhận này trả lời không có ở đây (mã băm {digest}); mới chỉ kiểm tra chữ ký của biên nhận.",
        "The dispatch that this receipt answers is not here (digest {digest}); only the receipt's own signature was checked.",
    ),
    "wrong_recipient": (
        "{organisation} không phải nơi nhận của văn bản này nên không thể ký biên nhận.",
        "{organisation} is not a recipient of this dispatch and cannot sign a receipt for it.",
    ),
    "receipt_twice": (
        "Hai biên nhận khác nhau của {organisation} cùng ghi “{code}” cho một văn bản. Biên nhận kia: {other}.",
        "Two different receipts of {organisation} say “{code}” for one dispatch. The other: {other}.",
    ),
    "receipt_contradiction": (
        "Biên nhận của {organisation} mâu thuẫn: “{code}” không thể đi cùng “{other}”.",
        "The receipts of {organisation} contradict each other: “{code}” cannot stand with “{other}”.",
    ),
    "receipt_order": (
        "Có biên nhận “{code}” của {organisation} mà không có “{other}” trước đó.",
        "There is a receipt “{code}” of {organisation} without “{other}” before it.",
    ),
    "receipts_fit": (
        "{organisation} đã ký nhận đúng các byte này: {codes}.",
        "{organisation} signed for exactly these bytes: {codes}.",
    ),
    "no_receipt": (
        "Không có biên nhận của {organisation}: không chứng minh được văn bản đã đến.",
        "There is no receipt of {organisation}: that it arrived is not proved.",
    ),
    "attachment_good": (
        "Tài liệu kèm theo “{name}” đúng là tệp đã ký.",
        "The attachment “{name}” is the file that was signed.",
    ),
    "attachment_absent": (
        "Tài liệu kèm theo “{name}” không có ở đây (SHA-256 {digest}).",
        "The attachment “{name}” is not here (SHA-256 {digest}).",
    ),
    "attachment_size": (
        "Tài liệu kèm theo “{name}” dài {found} byte, trong chữ ký ghi {said}.",
        "The attachment “{name}” has {found} bytes; the signed content says {said}.",
    ),
    "file_of_nobody": (
        "Tệp không được tài liệu nào ở đây nhắc đến (SHA-256 {digest}).",
        "No document here names this file (SHA-256 {digest}).",
    ),
    # several signatures
    "party_missing": ("Chưa có chữ ký của {organisation}.", "The signature of {organisation} is not there yet."),
    "not_a_party": ("Khóa {kid} của {owner} không phải của một bên.", "The key {kid} of {owner} is not of a party."),
    "regulation_file": (
        "Tệp quy chế (SHA-256 {digest}) không có ở đây.",
        "The file of the regulation (SHA-256 {digest}) is not here.",
    ),
    "account_differs": (
        "Bảng đối chiếu ghi số {sequence} từ {sender} đến {recipient} có mã băm {said}, văn bản ở đây là {found}.",
        "The statement of account says that number {sequence} from {sender} to {recipient} has the digest {said}; here "
        "it is {found}.",
    ),
    "account_absent": (
        "Bảng đối chiếu ghi số {sequence} từ {sender} đến {recipient}, nhưng văn bản đó không có ở đây.",
        "The statement of account names number {sequence} from {sender} to {recipient}; that dispatch is not here.",
    ),
    "account_receipt": (
        "Bảng đối chiếu ghi số {sequence} từ {sender} đến {recipient}: “{said}”, còn biên nhận ở đây: “{found}”.",
        "The statement of account says “{said}” for number {sequence} from {sender} to {recipient}; the receipts here "
        "say “{found}”.",
    ),
    "account_two": (
        "Hai bảng đối chiếu khác nhau của {a} và {b} cho tháng {month}: hai bên chưa thống nhất.",
        "Two different statements of account of {a} and {b} for {month}: the two do not agree.",
    ),
    # hops, checkpoints, witnesses, seals
    "hop_absent": (
        "Tài liệu được chuyển tiếp không có ở đây (mã băm {digest}).",
        "The document that was relayed is not here (digest {digest}).",
    ),
    "hop_other": (
        "Xác nhận chuyển tiếp là cho các byte khác ({said}), không phải cho tài liệu đi cùng ({found}).",
        "The hop is for other bytes ({said}), not for the document it goes with ({found}).",
    ),
    "checkpoint_fork": (
        "Nút {node} đưa ra hai nhật ký khác nhau cho cùng niêm phong số {seal}: nhật ký đã bị sửa. Bản kia: {other}.",
        "Node {node} gave two different journals for seal {seal}: the journal was changed. The other: {other}.",
    ),
    "checkpoint_back": (
        "Nút {node}: niêm phong {seal} có ít mục ({entries}) hơn niêm phong trước ({before}).",
        "Node {node}: seal {seal} has fewer entries ({entries}) than the one before ({before}).",
    ),
    "witness_absent": (
        "Điểm niêm phong được chứng kiến không có ở đây (mã băm {digest}).",
        "The checkpoint that was witnessed is not here (digest {digest}).",
    ),
    "witness_other": (
        "Lời chứng kiến không khớp điểm niêm phong: nút hoặc số niêm phong khác.",
        "The witness does not fit the checkpoint: another node or another seal.",
    ),
    "witness_self": ("Nút tự chứng kiến chính mình: không có giá trị.", "A node witnesses itself: worth nothing."),
    "witnessed": (
        "Nút {by} xác nhận lúc {at} đã giữ điểm niêm phong {seal} của nút {node}.",
        "Node {by} confirmed at {at} that it holds seal {seal} of node {node}.",
    ),
    "covered": (
        "{count} tài liệu nằm trong nhật ký đã niêm phong và được nút khác chứng kiến.",
        "{count} documents stand in a sealed journal that another node has witnessed.",
    ),
    "seal_bad": ("Niêm phong nhật ký sai: {found}.", "A seal of the journal is wrong: {found}."),
    "seal_absent": (
        "Niêm phong {seal} không có ở đây, nên không nối được nhật ký đến điểm niêm phong.",
        "Seal {seal} is not here, so the journal cannot be followed to the checkpoint.",
    ),
    "stamp": (
        "Dấu thời gian đúng là của niêm phong {seal}, ghi lúc {at}; {count} tài liệu ở đây đã nằm trong nhật ký khi đó. Chữ ký "
        "của nơi cấp dấu CHƯA được kiểm tra ở đây; kiểm tra bằng: openssl ts -verify -in {name} -digest {imprint} "
        "-CAfile CHỨNG-THƯ-GỐC.pem",
        "The time-stamp is of seal {seal} and says {at}; {count} documents here stood in the journal by then. The signature of "
        "the authority was NOT checked here; check it with: openssl ts -verify -in {name} -digest {imprint} -CAfile ROOT.pem",
    ),
    "stamp_bad": (
        "Tệp {name} không phải dấu thời gian theo RFC 3161 ({found}).",
        "The file {name} is no time-stamp of RFC 3161 ({found}).",
    ),
    "stamp_other": (
        "Dấu thời gian là của nội dung khác ({found}), không phải của niêm phong {seal}.",
        "The time-stamp is of something else ({found}), not of seal {seal}.",
    ),
    "stamp_absent": (
        "Không có niêm phong mà dấu thời gian này thuộc về.",
        "The seal to which this time-stamp belongs is not here.",
    ),
    # bundles and folders
    "encrypted": (
        "Gói đã được mã hóa (age). Nút nhận giải mã trước (age -d), rồi kiểm tra tệp .zip.",
        "The bundle is encrypted (age). The receiving node decrypts it first (age -d); then check the .zip.",
    ),
    "zip_bad": (
        "Không mở được tệp zip: {found}. Tệp bị cắt ngắn hoặc hỏng.",
        "The zip file cannot be read: {found}. It is truncated or damaged.",
    ),
    "bundle_refused": ("Từ chối cả gói, không nhận gì trong đó.", "The whole bundle is refused and nothing of it taken."),
    "name_unsafe": ("Tên tệp nguy hiểm: “{name}”.", "A dangerous file name: “{name}”."),
    "name_twice": ("Tên “{name}” đứng hai lần.", "The name “{name}” stands twice."),
    "link": ("“{name}” là liên kết hoặc tệp đặc biệt, không phải tệp thường.", "“{name}” is a link or a special file."),
    "one_folder": (
        "Gói phải có đúng một thư mục ở ngoài cùng; ở đây có: {found}.",
        "A bundle has exactly one outer folder; here: {found}.",
    ),
    "bomb": (
        "Giải nén ra {size} byte từ {packed} byte: vượt giới hạn (bom nén).",
        "{size} bytes unpacked from {packed}: over the limit (a bomb).",
    ),
    "file_extra": (
        "Tệp “{name}” không có trong bảng kê: đã bị thêm vào.",
        "The file “{name}” is not in the manifest: it was added.",
    ),
    "file_missing": (
        "Tệp “{name}” có trong bảng kê nhưng không có ở đây.",
        "The file “{name}” stands in the manifest but is not here.",
    ),
    "file_digest": (
        "Tệp “{name}” không khớp mã băm trong bảng kê.",
        "The file “{name}” does not fit its digest in the manifest.",
    ),
    "two_hashes": ("Bảng kê ghi hai mã băm cho “{name}”.", "The manifest has two digests for “{name}”."),
    "manifest_line": ("Bảng kê {name} có dòng sai: {line}.", "The manifest {name} has a wrong line: {line}."),
    "bag": ("Gói không đúng dạng BagIt: {found}.", "The bundle is not a correct bag: {found}."),
    "payload_differs": (
        "Bảng kê và danh sách đã ký không khớp ở “{name}”.",
        "The manifest and the signed list disagree at “{name}”.",
    ),
    "file_name_digest": (
        "Tệp “{name}” phải mang tên là mã băm của chính nó.",
        "The file “{name}” must be named by its own digest.",
    ),
    "wrong_node": (
        "Gói gửi cho nút {found}, không phải nút {needed}.",
        "The bundle is for node {found}, not for node {needed}.",
    ),
    "item_bad": ("Dòng {line} của {name} sai: {found}.", "Line {line} of {name} is wrong: {found}."),
    "item_count": ("Gói ghi {said} mục nhưng chứa {found}.", "The bundle says {said} items but holds {found}."),
    "item_order": (
        "Vị trí {found} không theo thứ tự hoặc ngoài khoảng {first}–{last}.",
        "Position {found} is out of order or outside {first}–{last}.",
    ),
    "bundle_good": (
        "Gói nguyên vẹn: {items} mục, từ vị trí {first} đến {last}, nút {sender} gửi nút {to}, phần {part}/{parts}.",
        "The bundle is whole: {items} items, positions {first} to {last}, from node {sender} to node {to}, part {part} "
        "of {parts}.",
    ),
    "folder_good": (
        "Thư mục nguyên vẹn: {files} tệp khớp bảng kê (SHA-256 của bảng kê: {digest}).",
        "The folder is whole: {files} files fit the manifest (SHA-256 of the manifest: {digest}).",
    ),
    "folder_without": ("Thư mục chứng cứ thiếu “{name}”.", "The evidence folder has no “{name}”."),
    "folder_junk": ("Bỏ qua tệp do máy tính tự tạo: “{name}”.", "Passed over a file that the computer made itself: “{name}”."),
    "folder_name": (
        "Tệp “{name}” nằm ở chỗ không có trong giao thức.",
        "The file “{name}” stands in a place that the protocol does not know.",
    ),
    "folder_about": ("Thư mục nói về: {about}.", "The folder is about: {about}."),
    # reviews
    "review_digest": (
        "Báo cáo tổng kết {key} năm {year}: mã băm là {digest}. So với số in ở cuối bản DOCX, PDF.",
        "Review {key} {year}: its digest is {digest}. Compare it with the number at the end of the DOCX and PDF.",
    ),
    "review_sums": (
        "Các số đếm trong báo cáo cộng lại khớp nhau ({expected} việc đến hạn).",
        "The counts in the review add up ({expected} duties).",
    ),
    "review_sum_bad": (
        "Báo cáo cộng sai ở “{path}”: ghi {said}, cộng lại là {found}.",
        "The review does not add up at “{path}”: it says {said}, the sum is {found}.",
    ),
    "review_finding_bad": (
        "Báo cáo nhắc đến “{name}” mà trong đó không có ({path}).",
        "The review speaks of “{name}”, which it does not have ({path}).",
    ),
    "review_sent": (
        "Văn bản {what} do {sender} ký lúc {at} ghi đúng mã băm này.",
        "The dispatch {what}, signed by {sender} at {at}, names exactly this digest.",
    ),
    "review_unsent": (
        "Không có văn bản đã ký nào ở đây ghi mã băm này: chưa chứng minh được ai đã duyệt. Báo cáo tự nó không có chữ ký.",
        "No signed dispatch here names this digest: who approved it is not proved. A review itself bears no signature.",
    ),
    "review_evidence": (
        "Nhận xét trong báo cáo dẫn {named} văn bản: {here} có ở đây.",
        "The findings name {named} dispatches: {here} of them are here.",
    ),
    "review_answered": (
        "Báo cáo nói văn bản {id} không được trả lời trong {days} ngày, nhưng biên nhận ở đây cho thấy có.",
        "The review says that the dispatch {id} lay for {days} days without an answer; the receipts here show an answer "
        "before.",
    ),
    "review_duties": (
        "{count} việc đến hạn trong nhận xét, và các số liệu, được tính từ hồ sơ của nút: tệp này không đủ để tính lại.",
        "{count} duties in the findings, and the figures, were computed from the records of the node: this file cannot "
        "recompute them.",
    ),
    "review_draft": ("Đây là dự thảo hoặc không phải báo cáo đã duyệt.", "This is a draft or not an approved review."),
    "digest_good": ("Mã băm đúng như đã cho: {digest}.", "The digest is the one that was given: {digest}."),
    "digest_other": ("Mã băm là {found}, không phải {said}.", "The digest is {found}, not {said}."),
    # the end
    "trust_none": (
        "CHƯA SO VỚI KHÓA TIN CẬY NÀO. Mới chỉ kiểm tra các tài liệu có khớp với nhau hay không; ai làm ra tất cả thì "
        "cũng làm cho khớp được. "
        "Hãy hỏi từng cơ quan, qua điện thoại hoặc giấy, mã khóa của họ và so với danh sách dưới đây, rồi chạy lại với --keys.",
        "NO TRUSTED KEY WAS GIVEN. Only whether the documents fit each other was checked; whoever made all of them could "
        "make them fit. "
        "Ask each organisation, by telephone or on paper, for the name of its key, compare it with the list below, and "
        "run again with --keys.",
    ),
    "trust_given": ("Khóa tin cậy lấy từ: {sources}.", "Trusted keys were taken from: {sources}."),
    "verdict_good": ("KẾT LUẬN: tất cả đều đúng.", "VERDICT: all good."),
    "verdict_missing": (
        "KẾT LUẬN: không thấy gì sai, nhưng còn thiếu nên chưa kiểm tra được hết.",
        "VERDICT: nothing false was found, but something is missing and not all could be checked.",
    ),
    "verdict_false": (
        "KẾT LUẬN: CÓ CHỖ SAI. Đừng dựa vào những tài liệu bị nêu ở trên.",
        "VERDICT: SOMETHING IS FALSE. Do not rely on the documents named above.",
    ),
    "counted": ("Đã kiểm tra: {counts}.", "Checked: {counts}."),
    "wrong_call": ("Không đọc được “{name}”: {found}.", "“{name}” cannot be read: {found}."),
    "keys_wrong": ("Tệp khóa “{name}” không dùng được: {found}", "The key file “{name}” cannot be used: {found}"),
    "keys_as_file": (
        "Đây là tệp khóa; đưa vào bằng --keys nếu bạn tin nó.",
        "This is a file of keys; give it with --keys if you trust it.",
    ),
}

MARKS = {GOOD: ("ĐÚNG ", "GOOD   "), NOTE: ("LƯU Ý", "NOTE   "), MISSING: ("THIẾU", "MISSING"), FALSE: ("SAI  ", "FALSE  ")}
NOUNS = {
    "dispatch": ("văn bản", "dispatches"),
    "receipt": ("biên nhận", "receipts"),
    "key": ("thông báo về khóa", "key statements"),
    "invitation": ("giấy mời", "invitations"),
    "checkpoint": ("điểm niêm phong", "checkpoints"),
    "witness": ("lời chứng kiến", "witnesses"),
    "hop": ("xác nhận chuyển tiếp", "hops"),
    "request": ("yêu cầu", "requests"),
    "bundle": ("gói", "bundles"),
    "regulation": ("quy chế", "regulations"),
    "account": ("bảng đối chiếu", "statements of account"),
    "review": ("báo cáo tổng kết", "reviews"),
    "file": ("tệp kèm theo", "attached files"),
}
HELP = {
    "about": (
        "Kiểm tra tài liệu của Hiệp đồng mà không cần Hiệp đồng: văn bản, biên nhận (.jws), gói (.zip), báo cáo tổng kết "
        "(.json), "
        "thư mục chứng cứ. Không cần mạng. Mã thoát 0: đúng hết; 1: có chỗ sai hoặc thiếu; 2: gọi sai.",
        "Check documents of Hiệp đồng without Hiệp đồng: dispatches, receipts (.jws), bundles (.zip), reviews (.json), "
        "evidence "
        "folders. Needs no network. Exit code 0: all good; 1: something false or missing; 2: wrong call.",
    ),
    "files": ("tài liệu, gói hoặc thư mục cần kiểm tra", "documents, bundles or folders to check"),
    "keys": (
        "khóa mà bạn tin: keys.json, một khóa công khai (JWK), giấy mời của nút, hoặc thư mục chứa chúng; dùng được nhiều lần",
        "the keys that you trust: keys.json, a public key (JWK), the invitation of a node, or a folder of these; may be "
        "repeated",
    ),
    "node": ("gói phải gửi cho nút này", "a bundle must be addressed to this node"),
    "digest": ("mã băm SHA-256 mà tệp phải có", "the SHA-256 that the file must have"),
    "json": ("in kết quả bằng JSON", "print the result as JSON"),
    "lang": ("ngôn ngữ: vi hoặc en", "language: vi or en"),
    "all": ("in từng tài liệu đúng, kể cả khi có nhiều", "print every good document, however many"),
}


def plain(value: Any) -> str:
    """Return text that cannot move the cursor or hide: control and direction characters are shown as codes."""
    text = str(value)
    if len(text) > 300:
        text = text[:300] + "…"
    return "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or 127 <= ord(c) < 160 or c in BIDI else c for c in text)


BIDI = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff") | {
    chr(c) for c in range(0xD800, 0xE000)
}


@dataclass
class Finding:
    """One thing that was found: level, where, the code of its message, facts."""

    level: str
    where: str
    code: str
    facts: dict[str, Any] = field(default_factory=dict)

    def text(self, language: int) -> str:
        """Return the sentence; `language` 0 is Vietnamese, 1 English."""
        return MESSAGES[self.code][language].format(**{k: plain(v) for k, v in self.facts.items()})


@dataclass
class Report:
    """Everything that was found."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    keys_used: dict[str, str] = field(default_factory=dict)  # kid: owner
    sources: list[str] = field(default_factory=list)  # of trusted keys; none: only consistency was checked

    def add(self, level: str, where: str, code: str, /, **facts: Any) -> None:
        """Note one finding."""
        self.findings.append(Finding(level, where, code, facts))

    @property
    def verdict(self) -> str:
        """Return "good", "missing" or "false"."""
        levels = {f.level for f in self.findings}
        return FALSE if FALSE in levels else MISSING if MISSING in levels else GOOD

    def as_dict(self, language: int) -> dict[str, Any]:
        """Return what --json prints."""
        return {
            "verdict": self.verdict,
            "trusted_keys": self.sources,
            "keys_used": self.keys_used,
            "counts": dict(self.counts),
            "findings": [
                {"level": f.level, "where": f.where, "code": f.code, "text": f.text(language), "facts": f.facts}
                for f in self.findings
            ],
        }


# --- Ed25519, verification only (RFC 8032) ------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def _point(data: bytes) -> tuple[int, int, int, int] | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = None if y >= P else _x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def _add(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(n: int, p: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    found = (0, 1, 1, 0)
    while n:
        if n & 1:
            found = _add(found, p)
        p = _add(p, p)
        n >>= 1
    return found


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _x_of(_BASE_Y, 0) or 0
BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def slow_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature fits; pure Python, some milliseconds each."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, s = _point(public), int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    x, y, z, _t = _add(_times(s, BASE), _times(k, minus_a))
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def fits(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature fits, by `cryptography` where it is installed."""
    if Ed25519PublicKey is None:
        return slow_ed25519(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_public(public: bytes) -> None:
    """Refuse a key that proves nothing: not a point in its one form, or of small order (one signature fits many contents)."""
    point = _point(public) if len(public) == 32 else None
    if point is None or _times(8, point)[0] == 0:
        raise Refused("key_bad", found="Ed25519")


# --- §1: signed documents -----------------------------------------------------------------------------------------------

KINDS = "dispatch receipt key invitation checkpoint witness hop request bundle regulation account"
TYPES = {f"hiepdong.{name}+json": name for name in KINDS.split()}
SEVERAL = {"regulation", "account"}
COMPACT = re.compile(rb"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*")
HEX = re.compile(r"[0-9a-f]{64}")


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(part: str, what: str) -> bytes:
    """Return the bytes of base64url in its one canonical form."""
    try:
        if not re.fullmatch(r"[A-Za-z0-9_-]*", part):
            raise ValueError
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if b64(data) != part:
            raise ValueError
    except ValueError:
        raise Refused("base64", part=what) from None
    return data


def read_json(data: bytes, what: str) -> Any:
    """Return JSON in which no object has a member twice, no number is infinite and nothing is too deep."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
            raise Refused("json_twice", part=what, member=twice)
        return found

    def constant(name: str) -> Any:
        raise ValueError(name)

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=constant)
    except RecursionError:
        raise Refused("json", part=what, found="depth") from None
    except UnicodeDecodeError:
        raise Refused("json", part=what, found="UTF-8") from None
    except ValueError as error:
        raise Refused("json", part=what, found=str(error)[:80]) from None
    todo, depth = [value], 0
    while todo:
        depth += 1
        if depth > DEEPEST:
            raise Refused("json", part=what, found="depth")
        inner: list[Any] = []
        for one in todo:
            if isinstance(one, dict):
                inner += [v for v in one.values() if isinstance(v, (dict, list))]
            elif isinstance(one, list):
                inner += [v for v in one if isinstance(v, (dict, list))]
        todo = inner
    return value


def read_jwk(jwk: Any) -> tuple[str, bytes]:
    """Return the thumbprint (RFC 7638) and the 32 bytes of a public key."""
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        raise Refused("key_bad", found="JWK")
    if "d" in jwk:
        raise Refused("key_bad", found="private (d)")
    public = unb64(jwk["x"], "x")
    check_public(public)
    named = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": jwk["x"]}, separators=(",", ":"))
    return b64(hashlib.sha256(named.encode()).digest()), public


@dataclass
class Document:
    """One signed document, its parts decoded, nothing verified yet."""

    where: str
    kind: str  # of TYPES
    payload: dict[str, Any]
    digest: str  # SHA-256 of the compact serialisation; of the payload where several sign
    signatures: list[tuple[str, bytes, bytes]]  # kid, what was signed, signature
    good: bool = False  # signature, owner and time were checked
    revoked: tuple[str, str] = ("", "")  # kid and moment, if its key was revoked
    carried_by: str = ""  # for a hop inside an item: the digest of the item's document

    @property
    def kid(self) -> str:
        return self.signatures[0][0]

    @property
    def moment(self) -> str:
        return str(
            self.payload.get({"dispatch": "sent_at", "bundle": "made_at", "invitation": "made_at"}.get(self.kind, "at")) or ""
        )

    @property
    def title(self) -> str:
        """Return a few words that say which document this is."""
        p = self.payload
        if self.kind == "dispatch":
            return f"{p['register']['notation'] or p['id']} «{p['subject']}» {p['sent_at']}"
        if self.kind == "receipt":
            return f"{p['code']} {p['at']}"
        return f"{self.kind} {self.moment}".strip()


def read_header(part: str) -> tuple[str, str]:
    """Return kid and typ of a header with exactly alg, kid, typ."""
    header = read_json(unb64(part, "header"), "header")
    if not isinstance(header, dict):
        raise Refused("json_object", part="header")
    if header.get("alg") != "Ed25519":
        raise Refused("alg", found=header.get("alg"))
    if set(header) != {"alg", "kid", "typ"} or not all(isinstance(v, str) for v in header.values()):
        raise Refused("header_members", found=", ".join(sorted(header)))
    if header["typ"] not in TYPES and re.fullmatch(r"hiepdong\.[a-z_]+\+json", header["typ"]):
        raise Refused("newer_format", found=header["typ"])
    if header["typ"] not in TYPES:
        raise Refused("typ", found=header["typ"])
    return header["kid"], header["typ"]


def read_payload(data: bytes, typ: str) -> dict[str, Any]:
    """Return the payload, whose format must be the type's."""
    payload = read_json(data, "payload")
    if not isinstance(payload, dict):
        raise Refused("json_object", part="payload")
    if re.fullmatch(rf"hiepdong\.{TYPES[typ]}/[1-9][0-9]+|hiepdong\.{TYPES[typ]}/[2-9]", str(payload.get("format"))):
        raise Refused("newer_format", found=payload["format"])
    if payload.get("format") != f"hiepdong.{TYPES[typ]}/1":
        raise Refused("typ_format", typ=typ, found=payload.get("format"))
    problem = shape(payload, SHAPES[TYPES[typ]], "")
    if problem:
        raise Refused("shape", path=problem[0], found=problem[1])
    return payload


def read_compact(data: bytes, where: str) -> Document:
    """Return a document in compact serialisation, or refuse it."""
    if len(data) > LARGEST_DOCUMENT:
        raise Refused("too_large", size=len(data), most=LARGEST_DOCUMENT)
    if not COMPACT.fullmatch(data):
        raise Refused("not_signed_document")
    head, body, tail = data.decode("ascii").split(".")
    kid, typ = read_header(head)
    raw, signature = unb64(body, "payload"), unb64(tail, "signature")
    if TYPES[typ] in SEVERAL:
        raise Refused("multi_type", typ=typ)
    payload = read_payload(raw, typ)
    signed = data[: len(head) + 1 + len(body)]
    return Document(where, TYPES[typ], payload, hashlib.sha256(data).hexdigest(), [(kid, signed, signature)])


def read_several(value: Any, where: str) -> Document:
    """§6: return a document in general JSON serialisation, or refuse it."""
    if not isinstance(value, dict) or set(value) != {"payload", "signatures"}:
        raise Refused("multi_members", found=", ".join(sorted(value)) if isinstance(value, dict) else type(value).__name__)
    if not isinstance(value["payload"], str) or not isinstance(value["signatures"], list) or not value["signatures"]:
        raise Refused("multi_members", found="payload, signatures")
    raw = unb64(value["payload"], "payload")
    found, types = [], set()
    for one in value["signatures"]:
        if (
            not isinstance(one, dict)
            or set(one) != {"protected", "signature"}
            or not all(isinstance(v, str) for v in one.values())
        ):
            raise Refused("multi_members", found=", ".join(sorted(one)) if isinstance(one, dict) else type(one).__name__)
        kid, typ = read_header(one["protected"])
        types.add(typ)
        found.append((kid, f"{one['protected']}.{value['payload']}".encode("ascii"), unb64(one["signature"], "signature")))
    if len(types) != 1 or len({kid for kid, _, _ in found}) != len(found):
        raise Refused("multi_headers")
    typ = types.pop()
    if TYPES[typ] not in SEVERAL:
        raise Refused("multi_type", typ=typ)
    return Document(where, TYPES[typ], read_payload(raw, typ), hashlib.sha256(raw).hexdigest(), found)


# --- the shape of each payload; further members are allowed everywhere ------------------------------------------------------


def is_moment(value: Any) -> bool:
    """Say whether this is UTC to the second: "2020-03-20T03:00:00Z"."""
    if not isinstance(value, str) or not re.fullmatch(
        r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z", value
    ):
        return False
    try:
        time.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


def is_whole(value: Any) -> bool:
    """Say whether this is a whole number from 0 to 2^53 - 1."""
    return type(value) is int and 0 <= value < 2**53


def _check(test: Callable[[Any], bool], words: str) -> Callable[[Any, str], tuple[str, str] | None]:
    return lambda value, path: None if test(value) else (path, f"{str(value)[:60]} ({words})")


def text_of(*accepted: str) -> Callable[[Any, str], tuple[str, str] | None]:
    return _check(lambda v: isinstance(v, str) and (not accepted or v in accepted), " | ".join(accepted) or "text")


def maybe(spec: Any) -> Callable[[Any, str], tuple[str, str] | None]:
    return lambda value, path: None if value is None else shape(value, spec, path)


TEXT = text_of()
FILLED = _check(lambda v: isinstance(v, str) and v != "", "not empty")
MOMENT = _check(is_moment, "2020-03-20T03:00:00Z")
DIGEST = _check(lambda v: isinstance(v, str) and HEX.fullmatch(v) is not None, "SHA-256, 64 × 0-9a-f")
DIGEST_OR_NONE = _check(lambda v: v == "" or (isinstance(v, str) and HEX.fullmatch(v) is not None), "SHA-256 or empty")
KID = _check(lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9_-]{43}", v) is not None, "thumbprint")
KID_OR_NONE = _check(
    lambda v: v == "" or (isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9_-]{43}", v) is not None), "thumbprint or empty"
)
UUID = _check(
    lambda v: (
        isinstance(v, str) and re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", v) is not None
    ),
    "uuid",
)
WHOLE = _check(is_whole, "0, 1, 2 …")
COUNT = _check(lambda v: is_whole(v) and v >= 1, "1, 2, 3 …")
MONTH = _check(lambda v: isinstance(v, str) and re.fullmatch(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])", v) is not None, "2020-03")
OBJECT = _check(lambda v: isinstance(v, dict), "object")
KEY_ROW = {"owner": FILLED, "jwk": OBJECT, "valid_from": MOMENT, "valid_until": maybe(MOMENT)}
SHAPES: dict[str, Any] = {
    "dispatch": {
        "id": UUID,
        "kind": text_of("report", "nil_report", "notice", "withdrawal", "directory", "regulation", "account"),
        "sender": FILLED,
        "signer": {"title": TEXT},
        "register": {"year": WHOLE, "number": WHOLE, "notation": TEXT},
        "recipients": [{"organisation": FILLED, "role": text_of("to", "copy"), "sequence": COUNT, "previous": DIGEST_OR_NONE}],
        "urgency": text_of("ordinary", "urgent", "very_urgent", "immediate"),
        "subject": FILLED,
        "sent_at": MOMENT,
        "event_at": maybe(MOMENT),
        "answers": [TEXT],
        "replaces": maybe(UUID),
        "withdraws": maybe(UUID),
        "reason": TEXT,
        "body": OBJECT,
        "attachments": [{"name": FILLED, "digest": DIGEST, "size": WHOLE, "media_type": TEXT}],
    },
    "receipt": {
        "dispatch": UUID,
        "digest": DIGEST,
        "organisation": FILLED,
        "code": text_of("arrived", "acknowledged", "returned", "in_work", "done"),
        "at": MOMENT,
        "reason": TEXT,
    },
    "key": {
        "owner": TEXT,
        "node": UUID,
        "action": text_of("add", "revoke"),
        "kid": KID,
        "jwk": maybe(OBJECT),
        "valid_from": maybe(MOMENT),
        "valid_until": maybe(MOMENT),
        "replaces": KID_OR_NONE,
        "reason": TEXT,
        "at": MOMENT,
    },
    "invitation": {
        "node": {"id": UUID, "name": TEXT, "jwk": OBJECT},
        "speaker": TEXT,
        "organisations": [{"key": FILLED}],
        "keys": [KEY_ROW],
        "made_at": MOMENT,
        "expires_at": MOMENT,
    },
    "checkpoint": {"node": UUID, "seal": COUNT, "digest": DIGEST, "entries": WHOLE, "at": MOMENT},
    "witness": {"node": UUID, "checkpoint": DIGEST, "of": UUID, "seal": COUNT, "at": MOMENT},
    "hop": {"node": UUID, "digest": DIGEST, "at": MOMENT},
    "request": {"method": FILLED, "path": FILLED, "body": DIGEST, "from": UUID, "to": UUID, "at": MOMENT},
    "bundle": {
        "id": UUID,
        "from": UUID,
        "to": UUID,
        "incarnation": TEXT,
        "made_at": MOMENT,
        "first": WHOLE,
        "last": WHOLE,
        "items": WHOLE,
        "held_through": WHOLE,
        "payload": OBJECT,
        "wanted": [DIGEST],
        "part": COUNT,
        "parts": COUNT,
        "missing": [{"sender": FILLED, "recipient": FILLED, "sequences": [COUNT]}],
    },
    "regulation": {"key": FILLED, "version": COUNT, "digest": DIGEST, "parties": [FILLED]},
    "account": {
        "month": MONTH,
        "a": FILLED,
        "b": FILLED,
        "sent": [
            {
                "from": FILLED,
                "to": FILLED,
                "first": WHOLE,
                "last": WHOLE,
                "dispatches": [
                    {
                        "sequence": COUNT,
                        "digest": DIGEST,
                        "arrived": maybe(MOMENT),
                        "verdict": text_of("acknowledged", "returned", ""),
                    }
                ],
                "missing": [COUNT],
            }
        ],
        "made_by": FILLED,
        "at": MOMENT,
    },
}


def shape(value: Any, spec: Any, path: str) -> tuple[str, str] | None:
    """Return the first place where a value is not as its shape says, with what was found; None if it is."""
    if isinstance(spec, dict):
        if not isinstance(value, dict):
            return path, "no object"
        for name, inner in spec.items():
            if name not in value:
                return f"{path}.{name}".lstrip("."), "∅"
            problem = shape(value[name], inner, f"{path}.{name}".lstrip("."))
            if problem:
                return problem
        return None
    if isinstance(spec, list):
        if not isinstance(value, list):
            return path, "no list"
        for i, one in enumerate(value):
            problem = shape(one, spec[0], f"{path}[{i}]")
            if problem:
                return problem
        return None
    found: tuple[str, str] | None = spec(value, path)
    return found


def further_shape(document: Document) -> tuple[str, str] | None:
    """Return what a payload of the right shape still has wrong in itself."""
    p = document.payload
    if document.kind == "dispatch":
        keys = [r["organisation"] for r in p["recipients"]]
        if len(set(keys)) != len(keys) or p["sender"] in keys or not any(r["role"] == "to" for r in p["recipients"]):
            return "recipients", "; ".join(keys)[:120] or "∅"
        if p["kind"] == "withdrawal" and not (p["withdraws"] and p["reason"].strip()):
            return "withdraws, reason", "∅"
    if document.kind == "receipt" and p["code"] == "returned" and not p["reason"].strip():
        return "reason", "∅"
    if document.kind == "key" and p["action"] == "add" and (p["jwk"] is None or p["valid_from"] is None):
        return "jwk, valid_from", "∅"
    if document.kind == "regulation" and p["parties"] != sorted(set(p["parties"])):
        return "parties", ", ".join(p["parties"])[:120]
    if document.kind == "account":
        for row in p["sent"]:
            numbers = [d["sequence"] for d in row["dispatches"]] + row["missing"]
            if {row["from"], row["to"]} != {p["a"], p["b"]} or p["a"] == p["b"]:
                return "sent.from, sent.to", f"{row['from']}, {row['to']}"
            if len(set(numbers)) != len(numbers) or not all(row["first"] <= n <= row["last"] for n in numbers):
                return "sent.dispatches, sent.missing", f"{row['first']} … {row['last']}"
    return None


# --- §4, §5: keys ------------------------------------------------------------------------------------------------------------


@dataclass
class Key:
    """A public key. `owner` is an organisation, "" for a node's own key, None if the reader did not say whose it is."""

    kid: str
    public: bytes
    owner: str | None
    node: str = ""
    valid_from: str = ""
    valid_until: str | None = None
    revoked_at: str = ""

    @property
    def whose(self) -> str:
        return "?" if self.owner is None else self.owner or f"nút/node {self.node}"


class Ring:
    """The keys that count, by their thumbprint. `given`: the reader named trusted ones."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.speakers: dict[str, str] = {}  # node: the organisation that speaks for it
        self.given = False

    def copy(self) -> Ring:
        other = Ring()
        other.keys = {kid: Key(**vars(key)) for kid, key in self.keys.items()}
        other.speakers, other.given = dict(self.speakers), self.given
        return other

    def put(self, key: Key) -> None:
        """Add a key; one that is known stays as it is known, and may not change its owner."""
        known = self.keys.get(key.kid)
        if known is None or known.owner is None:
            self.keys[key.kid] = key
        elif key.owner is not None and (known.owner != key.owner or (key.node and known.node and known.node != key.node)):
            raise Refused("key_two_owners", kid=key.kid, owner=known.whose, other=key.whose)

    def of(self, owner: str) -> list[Key]:
        return [k for k in self.keys.values() if k.owner == owner]


def key_of_row(row: dict[str, Any], node: str) -> Key:
    """Return the key of a row of keys.json or of an invitation."""
    kid, public = read_jwk(row["jwk"])
    return Key(kid, public, row["owner"], node, row["valid_from"], row["valid_until"], row.get("revoked_at") or "")


KEYS_SHAPE = {
    "nodes": [{"id": UUID, "name": TEXT, "speaker": TEXT}],
    "keys": [
        {
            "owner": TEXT,
            "node": UUID,
            "jwk": OBJECT,
            "valid_from": MOMENT,
            "valid_until": maybe(MOMENT),
            "revoked_at": maybe(MOMENT),
        }
    ],
}


def put_keys_json(ring: Ring, value: dict[str, Any]) -> None:
    """§11: take the keys of a file hiepdong.keys/1."""
    if value.get("format") != "hiepdong.keys/1":
        raise Refused("typ_format", typ="keys.json", found=value.get("format"))
    problem = shape(value, KEYS_SHAPE, "")
    if problem:
        raise Refused("shape", path=problem[0], found=problem[1])
    for row in value["nodes"]:
        if row["speaker"]:
            ring.speakers[row["id"]] = row["speaker"]
    for row in value["keys"]:
        ring.put(key_of_row(row, row["node"]))


def node_key_of(document: Document) -> Key:
    """Return the node's own key that an invitation brings, after checking that it signed itself."""
    kid, public = read_jwk(document.payload["node"]["jwk"])
    if kid != document.kid:
        raise Refused("key_kid", kid=document.kid, found=kid)
    if not fits(public, *document.signatures[0][1:]):
        raise Refused("signature_false", kid=kid)
    return Key(kid, public, "", document.payload["node"]["id"])


def put_invitation(ring: Ring, document: Document) -> None:
    """Take the keys of an invitation that is trusted."""
    ring.put(node_key_of(document))
    node = document.payload["node"]["id"]
    if document.payload["speaker"]:
        ring.speakers[node] = document.payload["speaker"]
    for row in document.payload["keys"]:
        ring.put(key_of_row(row, node))


def put_trusted(ring: Ring, path: Path) -> None:
    """Take what the reader named with --keys: a keys.json, a JWK, an invitation, or a folder of these."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if inner.suffix in {".json", ".jwk", ".jws"} and inner.is_file():
                put_trusted(ring, inner)
        return
    data = path.read_bytes()
    if COMPACT.fullmatch(data):
        document = read_compact(data, str(path))
        if document.kind != "invitation":
            raise Refused("typ", found=document.kind)
        put_invitation(ring, document)
        return
    value = read_json(data, path.name)
    if isinstance(value, dict) and "kty" in value:
        kid, public = read_jwk(value)
        ring.put(Key(kid, public, None))
    elif isinstance(value, dict):
        put_keys_json(ring, value)
    else:
        raise Refused("json_object", part=path.name)


# --- a set of documents, checked together -----------------------------------------------------------------------------------


@dataclass
class Bundle:
    """What is checked together: documents, files, seals, reviews; `whole` says that what is named must be here."""

    documents: list[Document] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)  # SHA-256: size
    file_names: dict[str, str] = field(default_factory=dict)  # SHA-256: where it was found
    seals: dict[str, tuple[int, str, list[str]]] = field(default_factory=dict)  # digest: number, digest before, entries
    entries: dict[str, Any] = field(default_factory=dict)  # digest: the entry
    stamps: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # digest of a seal: where, imprint, moment
    reviews: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    whole: bool = False
    claims: dict[tuple[str, str], tuple[int, int]] | None = None  # sender, recipient: first, last; None: all that is between
    quiet: bool = False  # in a bundle that travels, what is not here is elsewhere: do not name each

    @property
    def absent(self) -> str:
        """Return the level of a thing that is named and not here."""
        return MISSING if self.whole else NOTE


def owner_of(document: Document) -> tuple[str, str]:
    """Return whose key must have signed: the organisation, or "" and the node."""
    p = document.payload
    if document.kind == "dispatch":
        return p["sender"], ""
    if document.kind == "receipt":
        return p["organisation"], ""
    if document.kind == "invitation":
        return "", p["node"]["id"]
    return "", p["from"] if document.kind in {"bundle", "request"} else p["node"]


class Checker:
    """Checks one set. The order matters: keys first, then signatures, then what the documents say of each other."""

    def __init__(self, report: Report, ring: Ring, given: Bundle) -> None:
        self.report, self.ring, self.set = report, ring.copy(), given
        self.by_digest: dict[str, Document] = {}
        self.learned_by: dict[str, Document] = {}  # kid: the statement that is the only reason to know the key
        self.doubtful: dict[str, str] = {}  # kid: owner, of keys that the set names and the reader does not trust

    def run(self) -> None:
        """Check everything and note it in the report."""
        kept: dict[tuple[str, str], Document] = {}
        for document in self.set.documents:
            self.report.counts[document.kind] += 1
            problem = further_shape(document)
            if problem:
                self.say(FALSE, document, "shape", path=problem[0], found=problem[1])
                continue
            several = "|".join(kid for kid, _, _ in document.signatures) if document.kind in SEVERAL else ""
            kept.setdefault((document.digest, several), document)  # the same bytes twice are one document
        self.documents = list(kept.values())
        self.by_digest = {d.digest: d for d in self.documents}
        self.learn_keys()
        for document in self.documents:
            if document.kind in SEVERAL:
                self.check_several(document)
            elif document.kind not in {"invitation", "key"}:
                self.check_signature(document)
        self.check_journal()
        self.check_revoked()
        self.check_dispatches()
        self.check_receipts()
        self.check_carried()
        self.check_accounts()
        self.check_files()
        for where, data, content in self.set.reviews:
            check_review(self, where, data, content)

    def say(self, level: str, at: Document | str, code: str, /, **facts: Any) -> None:
        """Note one finding about a document, or about a place."""
        self.report.add(level, at if isinstance(at, str) else at.where, code, **facts)

    def some(self, kind: str) -> list[Document]:
        return [d for d in self.documents if d.kind == kind and d.good]

    # keys

    def learn_keys(self) -> None:
        for document in (d for d in self.documents if d.kind == "invitation"):
            try:
                key = node_key_of(document)
                trusted = self.ring.keys.get(key.kid)
                if self.ring.given and (trusted is None or trusted.owner is None):
                    self.say(NOTE, document, "keys_of_others", node=key.node)
                    continue
                self.ring.put(key)
                self.ring.speakers.setdefault(key.node, document.payload["speaker"])
                document.good = True
                self.used(self.ring.keys[key.kid])
                for row in document.payload["keys"]:
                    self.take_row(document, row, key.node)
                self.say(GOOD, document, "signature_good", what=document.title, owner=key.whose)
            except Refused as refused:
                self.say(refused.level, document, refused.code, **refused.facts)
        waiting = sorted((d for d in self.documents if d.kind == "key" or directory_of(d)), key=lambda d: (d.moment, d.digest))
        moved = True
        while moved and waiting:
            moved = False
            for document in list(waiting):
                if document.kid in self.ring.keys:
                    waiting.remove(document)
                    moved = True
                    if document.kind == "key":
                        self.take_statement(document)
                    else:
                        self.take_directory(document)
        for document in waiting:
            if document.kind == "key":
                self.say(MISSING, document, "key_unknown", kid=document.kid)

    def take_statement(self, document: Document) -> None:
        """§4: learn or revoke a key by a statement whose signer is known."""
        p, signer = document.payload, self.ring.keys[document.kid]
        owner = p["owner"] or f"nút/node {p['node']}"
        try:
            if not fits(signer.public, *document.signatures[0][1:]):
                raise Refused("signature_false", kid=document.kid)
            own = signer.owner == p["owner"]
            if signer.node != p["node"] or not (own or signer.owner == ""):
                raise Refused("key_statement_signer", found=signer.whose)
            self.check_time(document, signer)
            self.used(signer)
            self.refuse_other_node(p["owner"], p["node"])
            known = self.ring.keys.get(p["kid"])
            if known is not None and known.owner not in {p["owner"], None}:
                raise Refused("key_two_owners", kid=known.kid, owner=known.whose, other=owner)
            if known is not None and known.node not in {p["node"], ""}:
                raise Refused("owner_of_another_node", owner=owner, node=known.node, other=p["node"])
            if p["action"] == "revoke":
                if signer.revoked_at and signer.revoked_at < p["at"]:
                    raise Refused("key_statement_signer", found=f"{signer.kid} ({signer.revoked_at})")
                if known is not None:
                    known.revoked_at = min(known.revoked_at or p["at"], p["at"])
                self.say(GOOD, document, "key_revocation", kid=p["kid"], owner=owner, at=p["at"])
            else:
                self.take_new_key(document, signer, own, owner)
            document.good = True
        except Refused as refused:
            self.say(refused.level, document, refused.code, **refused.facts)

    def take_new_key(self, document: Document, signer: Key, own: bool, owner: str) -> None:
        p = document.payload
        kid, public = read_jwk(p["jwk"])
        if kid != p["kid"]:
            raise Refused("key_kid", kid=p["kid"], found=kid)
        itself = not p["owner"] and kid == signer.kid  # a node's new key after a loss: known only if the reader compared it
        if own and p["replaces"] != signer.kid and not itself:
            raise Refused("key_statement_signer", found=f"replaces {p['replaces'] or '∅'}")
        if not own and kid not in self.ring.keys:
            self.say(MISSING, document, "key_recovery", kid=kid, owner=owner)
            return
        if signer.revoked_at:
            document.revoked = (signer.kid, signer.revoked_at)
        if kid not in self.ring.keys:
            self.ring.put(Key(kid, public, p["owner"], p["node"], p["valid_from"], p["valid_until"]))
            self.learned_by[kid] = document
        old = self.ring.keys.get(p["replaces"])
        if old is not None and old.owner == p["owner"]:
            old.valid_until = min(old.valid_until or p["valid_from"], p["valid_from"])
        self.say(GOOD, document, "key_added", kid=kid, owner=owner)

    def take_directory(self, document: Document) -> None:
        """§5: the speaker of a node names further keys; checked as a dispatch later, so nothing is reported here but keys."""
        signer = self.ring.keys[document.kid]
        if signer.owner != document.payload["sender"] or self.ring.speakers.get(signer.node) != signer.owner:
            return
        if signer.revoked_at or not fits(signer.public, *document.signatures[0][1:]):
            return
        for row in directory_of(document):
            self.take_row(document, row, signer.node)

    def take_row(self, document: Document, row: dict[str, Any], node: str) -> None:
        """Take a key that a node names for an organisation: its first one only, and not of an organisation of another node."""
        try:
            key = key_of_row(row, node)
            self.refuse_other_node(row["owner"], node)
            if key.kid not in self.ring.keys and self.ring.given and self.ring.of(row["owner"]):
                self.say(MISSING, document, "key_recovery", kid=key.kid, owner=row["owner"])
            else:
                self.ring.put(key)
        except Refused as refused:
            self.say(refused.level, document, refused.code, **refused.facts)

    def refuse_other_node(self, owner: str, node: str) -> None:
        other = next((k.node for k in self.ring.of(owner) if owner and k.node and k.node != node), "")
        if other:
            raise Refused("owner_of_another_node", owner=owner, node=other, other=node)

    def used(self, key: Key) -> None:
        self.report.keys_used[key.kid] = key.whose

    def check_time(self, document: Document, key: Key) -> None:
        at = document.moment
        carries = document.kind in {"bundle", "request"}  # proves nothing by itself: a node's earlier key may go on signing it
        if at and key.valid_until and at > key.valid_until and not carries:
            raise Refused("key_expired", at=at, kid=key.kid, until=key.valid_until)
        if at and key.valid_from and at < key.valid_from:
            raise Refused("key_early", at=at, kid=key.kid, valid_from=key.valid_from)

    # signatures

    def check_signature(self, document: Document) -> None:
        key = self.ring.keys.get(document.kid)
        if key is None:
            self.unknown(document, document.kid)
            return
        owner, node = owner_of(document)
        try:
            if not fits(key.public, *document.signatures[0][1:]):
                raise Refused("signature_false", kid=key.kid)
            self.used(key)
            if key.owner is None:
                self.say(NOTE, document, "key_owner_unknown", kid=key.kid, needed=owner or f"nút/node {node}")
            elif key.owner != owner or (not owner and key.node != node):
                raise Refused("key_owner", kid=key.kid, owner=key.whose, needed=owner or f"nút/node {node}")
            self.check_time(document, key)
        except Refused as refused:
            self.say(refused.level, document, refused.code, **refused.facts)
            return
        document.good = True
        if key.revoked_at:
            document.revoked = (key.kid, key.revoked_at)
        self.say(GOOD, document, "signature_good", what=document.title, owner=key.whose)

    def unknown(self, document: Document, kid: str) -> None:
        if kid in self.doubtful:
            self.say(MISSING, document, "not_trusted", kid=kid, owner=self.doubtful[kid])
        else:
            self.say(MISSING, document, "key_unknown", kid=kid)

    def check_several(self, document: Document) -> None:
        """§6: every signature there is must be good and of a party; who has not signed yet is named."""
        p = document.payload
        parties = p["parties"] if document.kind == "regulation" else [p["a"], p["b"]]
        signed, faults = set(), 0
        for kid, message, signature in document.signatures:
            key = self.ring.keys.get(kid)
            if key is None:
                self.unknown(document, kid)
                faults += 1
                continue
            try:
                if not fits(key.public, message, signature):
                    raise Refused("signature_false", kid=kid)
                self.used(key)
                if key.owner not in parties:
                    raise Refused("not_a_party", kid=kid, owner=key.whose)
                self.check_time(document, key)
                if key.revoked_at:
                    raise Refused("key_revoked", kid=kid, at=key.revoked_at)
            except Refused as refused:
                faults += 1
                self.say(refused.level, document, refused.code, **refused.facts)
                continue
            signed.add(key.owner)
            self.say(GOOD, document, "signature_good", what=document.title, owner=key.whose)
        document.good = not faults
        for organisation in parties:
            if organisation not in signed:
                level = MISSING if document.kind == "regulation" else NOTE
                self.say(level, document, "party_missing", organisation=organisation)
        if document.kind == "regulation" and p["digest"] not in self.set.files:
            self.say(self.set.absent, document, "regulation_file", digest=p["digest"])

    def check_revoked(self) -> None:
        """§4: what a revoked key signed stays good only if somebody else had seen it before."""
        seen = self.first_seen()
        for document in self.documents:
            if document.good and document.revoked[0]:
                kid, at = document.revoked
                owner = self.ring.keys[kid].whose
                moments = [m for whose, m in seen.get(document.digest, ()) if whose != owner]
                if moments and min(moments) < at:
                    self.say(NOTE, document, "revoked_but_witnessed", at=at, seen=min(moments))
                else:
                    document.good = False
                    self.say(FALSE, document, "key_revoked", kid=kid, at=at)
        refused = {kid for kid, statement in self.learned_by.items() if not statement.good}
        while refused:
            for document in self.documents:
                if document.good and refused & {kid for kid, _, _ in document.signatures}:
                    document.good = False
                    self.say(FALSE, document, "key_of_refused", kid=document.kid)
            refused = {kid for kid, statement in self.learned_by.items() if not statement.good} - refused

    def first_seen(self) -> dict[str, list[tuple[str, str]]]:
        """Return by digest who had seen a document, and when: receipts, hops, witnesses, and the sealed journal."""
        found: dict[str, list[tuple[str, str]]] = {}
        for kind, name in (("receipt", "digest"), ("hop", "digest"), ("witness", "checkpoint")):
            for d in self.some(kind):
                if not d.revoked[0]:
                    found.setdefault(d.payload[name], []).append((self.ring.keys[d.kid].whose, d.moment))
        for digest, at in self.covered.items():
            found.setdefault(digest, []).append(("", at))
        return found

    # what dispatches say of each other

    def check_dispatches(self) -> None:
        dispatches = self.some("dispatch")
        by_id: dict[str, Document] = {}
        chains: dict[tuple[str, str], dict[int, Document]] = {}
        for d in sorted(dispatches, key=lambda d: (d.moment, d.digest)):
            other = by_id.setdefault(d.payload["id"], d)
            if other is not d:
                self.say(FALSE, d, "same_id", id=d.payload["id"], other=other.where)
            for r in d.payload["recipients"]:
                pair = (d.payload["sender"], r["organisation"])
                facts = {"sequence": r["sequence"], "sender": pair[0], "recipient": pair[1]}
                if (r["sequence"] == 1) != (r["previous"] == ""):
                    self.say(FALSE, d, "previous_empty", **facts)
                other = chains.setdefault(pair, {}).setdefault(r["sequence"], d)
                if other is not d:
                    self.say(FALSE, d, "fork", **facts, other=other.where)
        self.by_id, self.chains = by_id, chains
        for pair, chain in sorted(chains.items()):
            self.check_chain(pair, chain)
        if self.set.claims:
            for pair in sorted(set(self.set.claims) - set(chains)):
                self.check_chain(pair, {})
        for d in dispatches:
            for name in ("replaces", "withdraws"):
                target = d.payload[name]
                if target and target not in by_id:
                    self.say(self.set.absent, d, "named_absent", id=target)
                elif target and by_id[target].payload["sender"] != d.payload["sender"]:
                    owner = by_id[target].payload["sender"]
                    self.say(FALSE, d, "other_sender", id=target, owner=owner)

    def check_chain(self, pair: tuple[str, str], chain: dict[int, Document]) -> None:
        sender, recipient = pair
        previous = {
            n: next(r["previous"] for r in d.payload["recipients"] if r["organisation"] == recipient) for n, d in chain.items()
        }
        broken = False
        for n, d in sorted(chain.items()):
            before = chain.get(n - 1)
            if before is not None and previous[n] != before.digest:
                broken = True
                facts = {"sequence": n, "before": n - 1, "said": previous[n] or "∅", "found": before.digest}
                self.say(FALSE, d, "chain_broken", sender=sender, recipient=recipient, **facts)
        numbers = sorted(chain)
        first, last = (numbers[0], numbers[-1]) if numbers else (1, 0)
        level = self.set.absent
        if self.set.claims is not None:
            level = MISSING if pair in self.set.claims else NOTE
            if pair in self.set.claims:
                first, last = min(self.set.claims[pair][0], first), max(self.set.claims[pair][1], last)
        gaps = list(_gaps(numbers, first, last))
        for a, b in gaps:
            named = previous.get(b + 1, "")
            digest = f" (SHA-256 {'…' if a != b else ''}{named})" if named else ""
            numbers_text = str(a) if a == b else f"{a}–{b}"
            self.say(
                level,
                f"{sender} → {recipient}",
                "chain_gap",
                numbers=numbers_text,
                sender=sender,
                recipient=recipient,
                digest=digest,
            )
        if not gaps and not broken and len(numbers) > 1:
            self.say(GOOD, f"{sender} → {recipient}", "chain_good", sender=sender, recipient=recipient, first=first, last=last)

    def check_receipts(self) -> None:
        answers: dict[tuple[str, str], dict[str, Document]] = {}
        here = {d.digest for d in self.some("dispatch")}
        for r in self.some("receipt"):
            p = r.payload
            target = self.by_digest.get(p["digest"])
            if target is None or target.kind != "dispatch":
                same = self.by_id.get(p["dispatch"])
                if same is not None:
                    self.say(FALSE, r, "receipt_other_bytes", said=p["digest"], found=same.digest)
                elif not self.set.quiet:
                    self.say(self.set.absent, r, "receipt_absent", digest=p["digest"])
            elif target.payload["id"] != p["dispatch"]:
                self.say(FALSE, r, "receipt_other_id", said=p["dispatch"], found=target.payload["id"])
            elif p["organisation"] not in {x["organisation"] for x in target.payload["recipients"]}:
                self.say(FALSE, r, "wrong_recipient", organisation=p["organisation"])
                continue
            other = answers.setdefault((p["digest"], p["organisation"]), {}).setdefault(p["code"], r)
            if other is not r:
                self.say(FALSE, r, "receipt_twice", organisation=p["organisation"], code=p["code"], other=other.where)
        self.answers = answers
        for (digest, organisation), codes in sorted(answers.items()):
            where = next(iter(codes.values())).where
            for a, b in (("acknowledged", "returned"), ("in_work", "returned"), ("done", "returned")):
                if a in codes and b in codes:
                    self.say(FALSE, codes[a].where, "receipt_contradiction", organisation=organisation, code=a, other=b)
            if not self.set.quiet:
                for code, needed in (
                    ("acknowledged", "arrived"),
                    ("returned", "arrived"),
                    ("in_work", "acknowledged"),
                    ("done", "acknowledged"),
                ):
                    if code in codes and needed not in codes:
                        self.say(self.set.absent, where, "receipt_order", organisation=organisation, code=code, other=needed)
            if digest in here:
                given = ", ".join(f"{c} {d.moment}" for c, d in sorted(codes.items(), key=lambda x: x[1].moment))
                self.say(GOOD, self.by_digest[digest].where, "receipts_fit", organisation=organisation, codes=given)
        if not self.set.quiet:
            for d in self.some("dispatch"):
                for x in d.payload["recipients"]:
                    if (d.digest, x["organisation"]) not in answers:
                        self.say(NOTE, d, "no_receipt", organisation=x["organisation"])

    def check_carried(self) -> None:
        for hop in self.some("hop"):
            said = hop.payload["digest"]
            if hop.carried_by and hop.carried_by != said:
                self.say(FALSE, hop, "hop_other", said=said, found=hop.carried_by)
            elif said not in self.by_digest:
                self.say(self.set.absent, hop, "hop_absent", digest=said)

    # the journal

    def check_journal(self) -> None:
        """§10: checkpoints of one node agree, witnesses fit, and what a witnessed seal covers is remembered."""
        self.covered: dict[str, str] = {}
        self.walked: dict[str, str] = {}  # digest of a seal: the earliest witness of it
        by_node: dict[str, dict[int, Document]] = {}
        for c in sorted(self.some("checkpoint"), key=lambda c: (c.payload["seal"], c.digest)):
            p = c.payload
            other = by_node.setdefault(p["node"], {}).setdefault(p["seal"], c)
            if other is not c and (other.payload["digest"], other.payload["entries"]) != (p["digest"], p["entries"]):
                self.say(FALSE, c, "checkpoint_fork", node=p["node"], seal=p["seal"], other=other.where)
        for node, seals in by_node.items():
            before = None
            for n, c in sorted(seals.items()):
                if before is not None and c.payload["entries"] < before.payload["entries"]:
                    facts = {"entries": c.payload["entries"], "before": before.payload["entries"]}
                    self.say(FALSE, c, "checkpoint_back", node=node, seal=n, **facts)
                before = c
        for w in sorted(self.some("witness"), key=lambda w: (w.moment, w.digest)):
            p = w.payload
            held = self.by_digest.get(p["checkpoint"])
            if p["node"] == p["of"]:
                self.say(FALSE, w, "witness_self")
            elif held is None or held.kind != "checkpoint":
                if not self.set.quiet:
                    self.say(self.set.absent, w, "witness_absent", digest=p["checkpoint"])
            elif (held.payload["node"], held.payload["seal"]) != (p["of"], p["seal"]):
                self.say(FALSE, w, "witness_other")
            elif held.good:
                self.say(GOOD, w, "witnessed", by=p["node"], at=p["at"], seal=p["seal"], node=p["of"])
                if not w.revoked[0]:
                    self.cover(held, p["at"])
        if self.covered:
            here = sum(d in self.by_digest for d in self.covered)
            self.say(GOOD, "", "covered", count=here)
        self.check_stamps()

    def check_stamps(self) -> None:
        """§10: a time-stamp is of the seal whose digest it is named after; who signed it is for openssl to say."""
        for digest, (where, imprint, at) in sorted(self.set.stamps.items()):
            seal = self.set.seals.get(digest)
            if seal is None:
                self.report.add(self.set.absent, where, "stamp_absent")
            elif imprint != hashlib.sha256(digest.encode("ascii")).hexdigest():
                self.report.add(FALSE, where, "stamp_other", seal=seal[0], found=imprint)
            else:
                facts = {"seal": seal[0], "at": at, "imprint": imprint, "name": f"stamps/{digest}.tsr"}
                self.report.add(NOTE, where, "stamp", count=len(self.before(digest)), **facts)

    def before(self, digest: str) -> set[str]:
        """Return the digests of documents here that the seal and the seals before it cover, as far as these are here."""
        found: set[str] = set()
        walked: set[str] = set()
        while digest in self.set.seals and digest not in walked:
            walked.add(digest)
            _number, previous, entries = self.set.seals[digest]
            for entry in entries:
                if entry in self.set.entries:
                    found |= set(digests_in(self.set.entries[entry])) & self.by_digest.keys()
            digest = previous
        return found

    def cover(self, checkpoint: Document, at: str) -> None:
        digest, n = checkpoint.payload["digest"], checkpoint.payload["seal"]
        while digest and not self.walked.get(digest, "~") <= at:  # from there on an earlier witness covers all of it
            self.walked[digest] = at
            seal = self.set.seals.get(digest)
            if seal is None:
                if self.set.seals:
                    self.say(NOTE, checkpoint, "seal_absent", seal=n)
                return
            if seal[0] != n:
                self.say(FALSE, checkpoint, "seal_bad", found=f"{seal[0]} ≠ {n}")
                return
            for entry in seal[2]:
                if entry in self.set.entries:
                    for named in digests_in(self.set.entries[entry]):
                        self.covered[named] = min(at, self.covered.get(named, at))
            digest, n = seal[1], n - 1

    # accounts, files

    def check_accounts(self) -> None:
        by_month: dict[tuple[str, str, str], str] = {}
        for a in self.some("account"):
            p = a.payload
            first, second = sorted((p["a"], p["b"]))
            if by_month.setdefault((first, second, p["month"]), a.digest) != a.digest:
                self.say(NOTE, a, "account_two", a=p["a"], b=p["b"], month=p["month"])
            for row in p["sent"]:
                for said in row["dispatches"]:
                    found = self.chains.get((row["from"], row["to"]), {}).get(said["sequence"])
                    facts = {"sequence": said["sequence"], "sender": row["from"], "recipient": row["to"]}
                    if found is None:
                        self.say(self.set.absent, a, "account_absent", **facts)
                    elif found.digest != said["digest"]:
                        self.say(FALSE, a, "account_differs", **facts, said=said["digest"], found=found.digest)
                    else:
                        given = self.answers.get((found.digest, row["to"]), {})
                        other = {"acknowledged": "returned", "returned": "acknowledged"}.get(said["verdict"], "")
                        if other in given:
                            self.say(FALSE, a, "account_receipt", **facts, said=said["verdict"], found=other)
                        elif said["arrived"] and "arrived" in given and given["arrived"].moment != said["arrived"]:
                            facts |= {"said": said["arrived"], "found": given["arrived"].moment}
                            self.say(FALSE, a, "account_receipt", **facts)

    def check_files(self) -> None:
        named = {d.payload["digest"] for d in self.documents if d.kind == "regulation"}
        for d in (d for d in self.documents if d.kind == "dispatch"):
            for a in d.payload["attachments"]:
                named.add(a["digest"])
                if not d.good:
                    continue
                if a["digest"] not in self.set.files:
                    if not self.set.quiet:
                        self.say(self.set.absent, d, "attachment_absent", name=a["name"], digest=a["digest"])
                elif self.set.files[a["digest"]] != a["size"]:
                    facts = {"found": self.set.files[a["digest"]], "said": a["size"]}
                    self.say(FALSE, d, "attachment_size", name=a["name"], **facts)
                else:
                    self.report.counts["file"] += 1
                    self.say(GOOD, d, "attachment_good", name=a["name"])
        for digest, where in sorted(self.set.file_names.items()):
            if digest not in named and not self.set.quiet:
                self.say(NOTE if self.set.whole else MISSING, where, "file_of_nobody", digest=digest)


def _gaps(numbers: list[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of whole numbers from first to last that are not in `numbers` (sorted)."""
    at = first
    for n in numbers:
        if n > at:
            yield at, n - 1
        at = n + 1
    if at <= last:
        yield at, last


def digests_in(value: Any) -> Iterator[str]:
    """Yield every SHA-256 in a JSON value."""
    if isinstance(value, str):
        if HEX.fullmatch(value):
            yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from digests_in(inner)


def directory_of(document: Document) -> list[dict[str, Any]]:
    """Return the keys that a dispatch of kind directory names, where they are of the right shape."""
    if document.kind != "dispatch" or document.payload["kind"] != "directory":
        return []
    directory = document.payload["body"].get("directory")
    rows = directory.get("keys") if isinstance(directory, dict) else None
    if not isinstance(rows, list) or shape(rows, [KEY_ROW], "keys"):
        return []
    return rows


# --- the yearly review --------------------------------------------------------------------------------------------------------

REVIEW = "hiepdong.review/1/approved"
COUNTS = ("expected", "on_time", "late", "missing", "nil", "open", "exempt")


def check_review(checker: Checker, where: str, data: bytes, content: dict[str, Any]) -> None:
    """Check what a review.json lets a stranger check: its digest, its sums, what it names, and who sent that digest."""
    report, digest = checker.report, hashlib.sha256(data).hexdigest()
    report.counts["review"] += 1
    try:
        facts = content["facts"]
        if content.get("format") != REVIEW or facts.get("format") != "hiepdong.review/1":
            raise Refused("review_draft")
        report.add(GOOD, where, "review_digest", key=facts["instrument"]["key"], year=facts["year"], digest=digest)
        _check_sums(report, where, facts)
        _check_names(report, where, content)
        _check_evidence(checker, where, facts)
    except Refused as refused:
        report.add(refused.level, where, refused.code, **refused.facts)
        return
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        report.add(FALSE, where, "shape", path="facts", found=f"{type(error).__name__} {error}"[:80])
        return
    carriers = [
        d
        for d in checker.some("dispatch")
        if re.search(rf"(?<![0-9a-f]){digest}(?![0-9a-f])", str(d.payload["body"].get("text", "")))
    ]
    for d in carriers:
        report.add(
            GOOD,
            where,
            "review_sent",
            what=d.payload["register"]["notation"] or d.payload["id"],
            sender=d.payload["sender"],
            at=d.moment,
        )
    if not carriers:
        report.add(NOTE, where, "review_unsent")


def _check_sums(report: Report, where: str, facts: dict[str, Any]) -> None:
    faults = len(report.findings)
    for table in ("by_body", "by_rule"):
        for name in COUNTS:
            said, found = facts["counts"][name], sum(row[name] for row in facts[table])
            if said != found:
                report.add(FALSE, where, "review_sum_bad", path=f"counts.{name} / {table}", said=said, found=found)
    kinds = sum(facts["volume"][k] for k in ("report", "nil_report", "notice", "withdrawal"))
    if facts["volume"]["all"] != kinds:
        report.add(FALSE, where, "review_sum_bad", path="volume.all", said=facts["volume"]["all"], found=kinds)
    if len(report.findings) == faults:
        report.add(GOOD, where, "review_sums", expected=facts["counts"]["expected"])


def _check_names(report: Report, where: str, content: dict[str, Any]) -> None:
    facts, found = content["facts"], {f["key"] for f in content["facts"]["findings"]}
    for cause in content["causes"]:
        if cause["finding"] not in found:
            report.add(FALSE, where, "review_finding_bad", name=cause["finding"], path="causes")
    rows = [("findings", b) for f in facts["findings"] for b in f["bodies"]] + [
        ("by_body", r["body"]) for r in facts["by_body"]
    ]
    for path, body in rows:
        if body not in facts["bodies"]:
            report.add(FALSE, where, "review_finding_bad", name=body, path=path)


def _check_evidence(checker: Checker, where: str, facts: dict[str, Any]) -> None:
    """Compare findings with receipts that are here: a dispatch that lay without an answer must not have one in time."""
    report = checker.report
    named = [(f, uuid) for f in facts["findings"] for uuid in f["dispatches"]]
    if named:
        here = [(f, checker.by_id[uuid]) for f, uuid in named if uuid in checker.by_id]
        report.add(NOTE if len(here) < len(named) else GOOD, where, "review_evidence", named=len(named), here=len(here))
        for f, d in here:
            given = checker.answers.get((d.digest, f["bodies"][0]), {})
            acted = [r.moment for code, r in given.items() if code in {"acknowledged", "returned"}]
            if f["kind"] == "not_acknowledged" and acted and "arrived" in given:
                days = _days(min(acted)) - _days(given["arrived"].moment)
                if days < f["facts"]["limit"]:
                    report.add(FALSE, where, "review_answered", id=d.payload["id"], days=f["facts"]["limit"])
    report.add(NOTE, where, "review_duties", count=sum(len(f["duties"]) for f in facts["findings"]))


def _days(moment: str) -> int:
    at = time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")
    year, month = at.tm_year - (at.tm_mon <= 2), (at.tm_mon + 9) % 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + at.tm_mday


# --- §9: bundles; §11: folders ------------------------------------------------------------------------------------------------


class Archive:
    """The files of a zip or a folder by name, every name safe, nothing unpacked to the disk."""

    def __init__(self, names: dict[str, Any], opened: Callable[[Any], Any]) -> None:
        self.names, self._opened = names, opened

    def read(self, name: str, most: int = 64 * 1024 * 1024) -> bytes:
        """Return the bytes of a file, at most so many."""
        found = b"".join(self._pieces(name, most))
        if len(found) > most:
            raise Refused("too_large", size=f"> {most}", most=most)
        return found

    def measure(self, name: str) -> tuple[str, int]:
        """Return SHA-256 and size."""
        found, size = hashlib.sha256(), 0
        for piece in self._pieces(name):
            found.update(piece)
            size += len(piece)
        return found.hexdigest(), size

    def _pieces(self, name: str, most: int = LARGEST_UNPACKED) -> Iterator[bytes]:
        try:
            with self._opened(self.names[name]) as stream:
                read = 0
                while read <= most:
                    piece = stream.read(1 << 20)
                    if not piece:
                        return
                    read += len(piece)
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise Refused("zip_bad", found=str(error)[:80]) from None


def safe_name(name: str) -> bool:
    """Say whether a name is relative, plain, and goes nowhere else."""
    parts = name.split("/")
    return not (
        name.startswith("/")
        or "\\" in name
        or ":" in name
        or any(ord(c) < 32 or 127 <= ord(c) < 160 or c in BIDI for c in name)
        or any(part in {"", ".", ".."} for part in parts)
    )


PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,7}/?")


@contextmanager
def open_zip(path: Path) -> Iterator[Archive]:
    """Open a zip as a hostile one: every byte must belong to one file; names, links, sizes are checked before unpacking."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise Refused("zip_bad", found=str(error)[:80]) from None
    with archive:
        yield Archive(names_of_zip(path, archive), archive.open)


def names_of_zip(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files of a zip by their names inside its one outer folder."""
    packed, infos = path.stat().st_size, archive.infolist()
    try:
        check_bytes_of_zip(path, packed, archive, infos)
    except (ValueError, struct.error) as error:
        raise Refused("zip_bad", found=str(error)[:80]) from None
    names: dict[str, zipfile.ZipInfo] = {}
    tops, total, seen = set(), 0, set()
    for info in infos:
        name, folder = info.orig_filename, info.orig_filename.endswith("/")
        if not PLAIN_NAME.fullmatch(name):
            raise Refused("name_unsafe", name=name)
        if name in seen:
            raise Refused("name_twice", name=name)
        seen.add(name)
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode not in {0, stat.S_IFDIR if folder else stat.S_IFREG} or info.external_attr & 0x0408:
            raise Refused("link", name=name)
        if info.flag_bits & 0x2041 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Refused("zip_bad", found=f"{name}: {info.compress_type}")
        if folder and (info.file_size or info.compress_size):
            raise Refused("zip_bad", found=name)
        total += info.file_size
        tops.add(name.split("/")[0])
        if not folder:
            if "/" not in name:
                raise Refused("one_folder", found=name)
            names[name.split("/", 1)[1]] = info
    if total > LARGEST_UNPACKED or total > LARGEST_RATIO * packed:
        raise Refused("bomb", size=total, packed=packed)
    if len(tops) != 1:
        raise Refused("one_folder", found=", ".join(sorted(tops))[:120] or "∅")
    return names


def check_bytes_of_zip(path: Path, size: int, archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse a zip in which bytes belong to nothing or to two files: two programs could see two contents."""
    with path.open("rb") as stream:
        stream.seek(max(0, size - 22))
        end = stream.read(22)
        if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
            raise ValueError("end")
        count, length, start = struct.unpack("<H2L", end[10:20])
        if count == 0xFFFF or 0xFFFFFFFF in {length, start} or count != len(infos) or start + length + 22 != size:
            raise ValueError("directory")
        if start != archive.start_dir:
            raise ValueError("directory")
        at = 0
        for info in sorted(infos, key=lambda i: i.header_offset):
            if info.header_offset != at:
                raise ValueError(f"byte {at}")
            stream.seek(at)
            header = stream.read(30)
            name, extra = struct.unpack("<2H", header[26:30])
            if stream.read(name) != info.orig_filename.encode("ascii", "replace"):
                raise ValueError(f"byte {at}")
            at += 30 + name + extra + info.compress_size
            if info.flag_bits & 8:
                stream.seek(at)
                said = struct.pack("<3L", info.CRC, info.compress_size, info.file_size)
                behind = stream.read(16)
                at += 16 if behind == b"PK\x07\x08" + said else 12 if behind[:12] == said else 0
        if at != start:
            raise ValueError(f"byte {at}")


JUNK = {".DS_Store", "Thumbs.db", "desktop.ini"}


def opened(path: Path) -> Any:
    """Return a file opened for reading."""
    return path.open("rb")


def open_folder(path: Path) -> Archive:
    """Open a folder; a link in it is refused, not followed."""
    names = {}
    for at, folders, files in os.walk(path):
        for name in [*folders, *files]:
            inner = Path(at, name)
            if inner.is_symlink() or not (inner.is_dir() or inner.is_file()):
                raise Refused("link", name=inner.relative_to(path).as_posix())
        for name in files:
            names[Path(at, name).relative_to(path).as_posix()] = Path(at, name)
    return Archive(names, opened)


def read_manifest(data: bytes, name: str) -> dict[str, str]:
    """Return path and SHA-256 of each line of a BagIt manifest; a path may stand once."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("manifest_line", name=name, line="UTF-8") from None
    found: dict[str, str] = {}
    for line in text.split("\n"):
        match = re.fullmatch(r"([0-9a-f]{64})[ \t]+([!-~]+)\r?", line)
        if not match:
            if line.strip():
                raise Refused("manifest_line", name=name, line=line[:80])
            continue
        if not safe_name(match[2]):
            raise Refused("name_unsafe", name=match[2])
        if match[2] in found:
            raise Refused("two_hashes", name=match[2])
        found[match[2]] = match[1]
    return found


def check_manifest(archive: Archive, manifest: dict[str, str], besides: Iterable[str]) -> dict[str, int]:
    """Refuse unless the archive has exactly the files of the manifest and each fits; return their sizes."""
    besides = set(besides)
    for name in archive.names:
        if name not in manifest and name not in besides:
            raise Refused("file_extra", name=name)
    sizes = {}
    for name, digest in manifest.items():
        if name not in archive.names:
            raise Refused("file_missing", name=name)
        found, sizes[name] = archive.measure(name)
        if found != digest:
            raise Refused("file_digest", name=name)
    return sizes


BAGIT = ["BagIt-Version: 1.0", "Tag-File-Character-Encoding: UTF-8"]
BAG_NAME = re.compile(r"data/(?:bundle\.jws|(?:items|echo)/[0-9]{5,9}\.jsonl|files/[0-9a-f]{64})")
BAG_FILES = ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt")


def check_bundle(report: Report, ring: Ring, archive: Archive, where: str, node: str) -> None:
    """§9: check a bundle; at the first fault the whole bundle is refused."""
    try:
        for name in archive.names:
            if name not in BAG_FILES and re.fullmatch(r"(?:tag)?manifest-.*\.txt", name):
                raise Refused("two_hashes", name=name)
            if name not in BAG_FILES and not BAG_NAME.fullmatch(name):
                raise Refused("file_extra", name=name)
        for name in (*BAG_FILES, "data/bundle.jws"):
            if name not in archive.names:
                raise Refused("file_missing", name=name)
        if archive.read("bagit.txt").decode("utf-8", "replace").splitlines() != BAGIT:
            raise Refused("bag", found="bagit.txt")
        manifest = read_manifest(archive.read("manifest-sha256.txt"), "manifest-sha256.txt")
        tags = read_manifest(archive.read("tagmanifest-sha256.txt"), "tagmanifest-sha256.txt")
        if set(tags) != set(BAG_FILES[:3]):
            raise Refused("bag", found="tagmanifest-sha256.txt")
        if any(not name.startswith("data/") for name in manifest):
            raise Refused("bag", found="manifest-sha256.txt")
        sizes = check_manifest(archive, {**manifest, **tags}, BAG_FILES)
        info = archive.read("bag-info.txt").decode("utf-8", "replace")
        oxum = re.findall(r"^payload-oxum:[ \t]*([^\r\n]*?)[ \t]*\r?$", info, re.MULTILINE | re.IGNORECASE)
        if oxum != [f"{sum(sizes[n] for n in manifest)}.{len(manifest)}"]:
            raise Refused("bag", found=f"Payload-Oxum: {', '.join(oxum) or '∅'}")
        head = read_compact(archive.read("data/bundle.jws"), f"{where}/data/bundle.jws")
        if head.kind != "bundle":
            raise Refused("typ", found=head.kind)
        p = head.payload
        signed = p["payload"]
        for name in sorted((set(signed) | set(manifest)) - {"data/bundle.jws"}):
            if signed.get(name) != manifest.get(name):
                raise Refused("payload_differs", name=name)
        given = Bundle(documents=[head], quiet=True)
        for name in manifest:
            if name.startswith("data/files/"):
                if name != f"data/files/{manifest[name]}":
                    raise Refused("file_name_digest", name=name)
                given.files[manifest[name]] = sizes[name]
        if node and p["to"] != node:
            raise Refused("wrong_node", found=p["to"], needed=node)
        if p["part"] > p["parts"]:
            raise Refused("shape", path="part", found=p["part"])
        given.documents += read_items(report, archive, manifest, p, where)
        given.documents += read_echo(report, archive, manifest, p, where)
        checker = Checker(report, ring, given)
        checker.run()
        if any(f.level == FALSE and f.where == head.where for f in report.findings):
            raise Refused("bundle_refused")
        if head.good:
            facts = {k: p[k] for k in ("items", "first", "last", "to", "part", "parts")}
            report.add(GOOD, where, "bundle_good", sender=p["from"], **facts)
    except Refused as refused:
        report.add(refused.level, where, refused.code, **refused.facts)
        if refused.code != "bundle_refused":
            report.add(FALSE, where, "bundle_refused")


ECHO = {"incarnation": TEXT, "after": WHOLE, "through": WHOLE, "last": WHOLE, "items": WHOLE}


def read_echo(report: Report, archive: Archive, manifest: dict[str, str], head: dict[str, Any], where: str) -> list[Document]:
    """§9: return the documents of the echo: items of the receiving node itself, after a restore."""
    if "echo_after" in head and (problem := shape(head["echo_after"], WHOLE, "echo_after")):
        raise Refused("shape", path=problem[0], found=problem[1])
    if "echo" not in head:
        if any(name.startswith("data/echo/") for name in manifest):
            raise Refused("shape", path="echo", found="∅")
        return []
    echo = head["echo"]
    if problem := shape(echo, ECHO, "echo"):
        raise Refused("shape", path=problem[0], found=problem[1])
    if not echo["after"] <= echo["through"] <= max(echo["after"], echo["last"]):
        raise Refused("shape", path="echo.through", found=echo["through"])
    found, count, first, last = read_lines(report, archive, manifest, "echo", where)
    if count != echo["items"]:
        raise Refused("item_count", said=echo["items"], found=count)
    if count and not echo["after"] < first <= last <= echo["through"]:
        raise Refused("item_order", found=f"{first}–{last}", first=echo["after"] + 1, last=echo["through"])
    return found


ITEM_KINDS = {"dispatch", "receipt", "key", "checkpoint", "witness"}
ITEM = {"position": COUNT, "kind": TEXT, "document": TEXT}
LINES_PER_FILE = 1000


def read_items(report: Report, archive: Archive, manifest: dict[str, str], head: dict[str, Any], where: str) -> list[Document]:
    """§9: return the documents and hops of the items, which are as many and in such places as the statement says."""
    found, count, first, last = read_lines(report, archive, manifest, "items", where)
    if count != head["items"]:
        raise Refused("item_count", said=head["items"], found=count)
    if (first, last) != (head["first"], head["last"]):
        raise Refused("item_order", found=f"{first}–{last}", first=head["first"], last=head["last"])
    return found


def read_lines(
    report: Report, archive: Archive, manifest: dict[str, str], folder: str, where: str
) -> tuple[list[Document], int, int, int]:
    """§7: return the documents and hops of the lines of a folder, how many lines, the first and the last position. What a line
    says must be right, or the bundle is refused; a document that is wrong is a fault of this one item."""
    found: list[Document] = []
    count = first = before = 0
    names = sorted(n for n in manifest if n.startswith(f"data/{folder}/"))
    for number, name in enumerate(names, 1):
        if name != f"data/{folder}/{number:05d}.jsonl":
            raise Refused("file_missing", name=f"data/{folder}/{number:05d}.jsonl")
        lines = archive.read(name, LARGEST_UNPACKED).split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        if len(lines) > LINES_PER_FILE:
            raise Refused("item_bad", line=LINES_PER_FILE + 1, name=name, found=f"> {LINES_PER_FILE}")
        for n, line in enumerate(lines, 1):
            try:
                item = read_json(line, "item")
                problem = shape(item, ITEM, "")
                hops = item.get("hops", []) if not problem else []
                problem = problem or shape(hops if hops is not None else [], [TEXT], "hops")
                if problem:
                    raise Refused("shape", path=problem[0], found=problem[1])
            except Refused as refused:
                raise Refused("item_bad", line=n, name=name, found=MESSAGES[refused.code][1].format(**refused.facts)) from None
            if item["position"] <= before:
                raise Refused("item_order", found=item["position"], first=before + 1, last="…")
            first, before, count = first or item["position"], item["position"], count + 1
            at = f"{where}/{name}:{n}"
            try:
                found += documents_of(item, hops or [], at)
            except Refused as refused:
                report.add(refused.level, at, refused.code, **refused.facts)
    return found, count, first, before


def documents_of(item: dict[str, Any], hops: list[str], at: str) -> list[Document]:
    """Return the document of an item and its hops."""
    document = read_compact(item["document"].encode("utf-8", "replace"), at)
    if document.kind != item["kind"] or document.kind not in ITEM_KINDS:
        raise Refused("typ", found=f"{item['kind']}, {document.kind}")
    found = [document]
    for one in hops:
        hop = read_compact(one.encode("utf-8", "replace"), at)
        if hop.kind != "hop":
            raise Refused("typ", found=hop.kind)
        hop.carried_by = document.digest
        found.append(hop)
    return found


FOLDER_FILES = ("README.txt", "verify.py", "keys.json", "folder.json", "manifest-sha256.txt")
FOLDER_SHAPE = {
    "about": TEXT,
    "made_at": MOMENT,
    "made_by": TEXT,
    "complete": [{"sender": FILLED, "recipient": FILLED, "first": COUNT, "last": WHOLE}],
}


def check_folder(report: Report, ring: Ring, archive: Archive, where: str) -> None:
    """§11: check an evidence folder."""
    given = Bundle(whole=True)
    try:
        for name in FOLDER_FILES:
            if name not in archive.names and name not in {"verify.py", "README.txt"}:
                raise Refused("folder_without", name=name)
        for name in [n for n in archive.names if n.split("/")[-1] in JUNK]:
            report.add(NOTE, where, "folder_junk", name=name)
            del archive.names[name]
        listed = archive.read("manifest-sha256.txt")
        manifest = read_manifest(listed, "manifest-sha256.txt")
    except Refused as refused:
        report.add(refused.level, where, refused.code, **refused.facts)
        return
    faults = 0
    for name in sorted(set(archive.names) - set(manifest) - {"manifest-sha256.txt"}):
        report.add(FALSE, f"{where}/{name}", "file_extra", name=name)
        faults += 1
    good: dict[str, int] = {}
    for name, digest in manifest.items():
        if name not in archive.names:
            report.add(MISSING, f"{where}/{name}", "file_missing", name=name)
            faults += 1
            continue
        try:
            found, size = archive.measure(name)
        except Refused as refused:
            report.add(refused.level, f"{where}/{name}", refused.code, **refused.facts)
            faults += 1
            continue
        if found != digest:
            report.add(FALSE, f"{where}/{name}", "file_digest", name=name)
            faults += 1
        else:
            good[name] = size
    if not faults:
        report.add(GOOD, where, "folder_good", files=len(good), digest=hashlib.sha256(listed).hexdigest())
    ring = ring.copy()
    named = Ring()
    for name, size in sorted(good.items()):
        try:
            read_folder_file(report, given, archive, (name, size, manifest[name]), where, named)
        except Refused as refused:
            report.add(refused.level, f"{where}/{name}", refused.code, **refused.facts)
    checker = Checker(report, ring, given)
    for kid, key in sorted(named.keys.items()):
        known = ring.keys.get(kid)
        if not ring.given:
            checker.ring.put(key)
        elif known is None:
            checker.doubtful[kid] = key.whose
        elif known.owner is not None and (known.owner, known.node) != (key.owner, key.node):
            facts = {"kid": kid, "owner": known.whose, "other": key.whose}
            report.add(FALSE, f"{where}/keys.json", "key_two_owners", **facts)
    if not ring.given:
        checker.ring.speakers.update(named.speakers)
    checker.run()


def read_folder_file(
    report: Report, given: Bundle, archive: Archive, one: tuple[str, int, str], where: str, named: Ring
) -> None:
    """Read one file of an evidence folder (name, size, SHA-256) into the set, by the place where it stands."""
    name, size, digest = one
    at, base = f"{where}/{name}", name.rsplit("/", 1)[-1]
    if re.fullmatch(r"documents/[^/]+\.jws", name):
        given.documents.append(read_compact(archive.read(name), at))
    elif re.fullmatch(r"documents/[^/]+\.json", name):
        given.documents.append(read_several(read_json(archive.read(name), base), at))
    elif re.fullmatch(r"files/[0-9a-f]{64}", name):
        if digest != base:
            raise Refused("file_name_digest", name=name)
        given.files[base], given.file_names[base] = size, at
    elif re.fullmatch(r"reviews/[^/]+\.json", name):
        data = archive.read(name)
        value = read_json(data, base)
        if not isinstance(value, dict):
            raise Refused("json_object", part=base)
        given.reviews.append((at, data, value))
    elif re.fullmatch(r"seals/[0-9a-f]{64}", name):
        given.seals[base] = read_seal(archive.read(name), base)
    elif re.fullmatch(r"stamps/[0-9a-f]{64}\.tsr", name):
        given.stamps[base[:64]] = (at, *read_stamp(archive.read(name), name))
    elif re.fullmatch(r"entries/[0-9a-f]{64}\.json", name):
        data = archive.read(name)
        if hashlib.sha256(data).hexdigest() != base[:64]:
            raise Refused("file_name_digest", name=name)
        given.entries[base[:64]] = read_json(data, base)
    elif name == "keys.json":
        value = read_json(archive.read(name), base)
        if not isinstance(value, dict):
            raise Refused("json_object", part=base)
        put_keys_json(named, value)
    elif name == "folder.json":
        value = read_json(archive.read(name), base)
        problem = shape(value, FOLDER_SHAPE, "")
        if problem or value.get("format") != "hiepdong.evidence/1":
            raise Refused(
                "shape", path=problem[0] if problem else "format", found=problem[1] if problem else value.get("format")
            )
        given.claims = {(c["sender"], c["recipient"]): (c["first"], c["last"]) for c in value["complete"]}
        report.add(NOTE, at, "folder_about", about=value["about"])
    elif name not in FOLDER_FILES:
        raise Refused("folder_name", name=name)


def read_seal(data: bytes, name: str) -> tuple[int, str, list[str]]:
    """§10: return number, digest before, and the digests of the entries of a seal."""
    if hashlib.sha256(data).hexdigest() != name:
        raise Refused("file_name_digest", name=name)
    lines = data.decode("ascii", "replace").split("\n")
    if len(lines) < 4 or lines[0] != "hiepdong.seal/1" or not re.fullmatch(r"[1-9][0-9]{0,15}", lines[1]) or lines[-1]:
        raise Refused("seal_bad", found=name)
    if (
        not all(HEX.fullmatch(x) for x in lines[3:-1])
        or (lines[2] == "") != (lines[1] == "1")
        or (lines[2] and not HEX.fullmatch(lines[2]))
    ):
        raise Refused("seal_bad", found=name)
    return int(lines[1]), lines[2], lines[3:-1]


SIGNED_DATA = bytes.fromhex("2a864886f70d010702")  # 1.2.840.113549.1.7.2
TIME_STAMP = bytes.fromhex("2a864886f70d0109100104")  # 1.2.840.113549.1.9.16.1.4
SHA_256 = bytes.fromhex("608648016503040201")  # 2.16.840.1.101.3.4.2.1


def read_stamp(data: bytes, name: str) -> tuple[str, str]:
    """§10: return what a TimeStampResp (DER, RFC 3161) is a stamp of, as a SHA-256, and the moment that it says."""

    def within(outer: bytes, *tags: int) -> list[bytes]:
        found, place = [], 0
        for tag in tags:
            start, end = der(outer, place, tag)
            found.append(outer[start:end])
            place = end
        return found

    try:
        (response,) = within(data, 0x30)
        status, content = within(response, 0x30, 0x30)
        if within(status, 0x02)[0] not in {b"\0", b"\1"}:
            raise ValueError("status")
        kind, explicit = within(content, 0x06, 0xA0)
        _version, _algorithms, inner = within(within(explicit, 0x30)[0], 0x02, 0x31, 0x30)
        inner_kind, inner_explicit = within(inner, 0x06, 0xA0)
        if (kind, inner_kind) != (SIGNED_DATA, TIME_STAMP):
            raise ValueError("contentType")
        (info,) = within(within(inner_explicit, 0x04)[0], 0x30)
        _version, _policy, imprint, _serial, said = within(info, 0x02, 0x06, 0x30, 0x02, 0x18)
        algorithm, hashed = within(imprint, 0x30, 0x04)
        if within(algorithm, 0x06)[0] != SHA_256 or len(hashed) != 32:
            raise ValueError("messageImprint")
        moment = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z", said.decode("ascii"))
        if moment is None:
            raise ValueError("genTime")
    except (IndexError, ValueError) as error:
        raise Refused("stamp_bad", name=name, found=str(error)) from error
    year, month, day, hour, minute, second = moment.groups()
    return hashed.hex(), f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"


def der(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the content of the DER element at an offset begins and ends. Raises IndexError, ValueError: none does."""
    if data[at] != tag:
        raise ValueError(f"{data[at]:02x}, {tag:02x}")
    size, start = data[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        start += width
        size = int.from_bytes(data[at + 2 : start], "big")
    if start + size > len(data):
        raise IndexError("truncated")
    return start, start + size


# --- the command --------------------------------------------------------------------------------------------------------------


def check(paths: Iterable[Path], *, keys: Iterable[Path] = (), node: str = "", digest: str = "") -> Report:
    """Check the files and return what was found. Bundles and folders stand for themselves, single files are one set.

    Raises:
        Refused: "wrong_call" or "keys_wrong": a file cannot be read, a key file cannot be used.
    """
    report, ring = Report(), Ring()
    for path in keys:
        try:
            put_trusted(ring, path)
        except Refused as refused:
            raise Refused("keys_wrong", name=path, found=MESSAGES[refused.code][1].format(**refused.facts)) from None
        except OSError as error:
            raise Refused("wrong_call", name=path, found=error.strerror or type(error).__name__) from None
        ring.given = True
        report.sources.append(str(path))
    loose = Bundle()
    for path in paths:
        try:
            take(report, ring, loose, path, node, digest)
        except Refused as refused:
            report.add(refused.level, str(path), refused.code, **refused.facts)
        except OSError as error:
            raise Refused("wrong_call", name=path, found=error.strerror or type(error).__name__) from None
    if loose.documents or loose.reviews or loose.files:
        Checker(report, ring, loose).run()
    return report


def take(report: Report, ring: Ring, loose: Bundle, path: Path, node: str, digest: str) -> None:
    """Find out what a path is; check a bundle or folder at once, keep a single file for the common set."""
    where = path.name or str(path)
    if path.is_dir():
        check_folder(report, ring, open_folder(path), where)
        return
    measured, size = Archive({"": path}, opened).measure("")
    if digest:
        if measured == digest.lower():
            report.add(GOOD, where, "digest_good", digest=measured)
        else:
            report.add(FALSE, where, "digest_other", said=digest.lower(), found=measured)
    with open(path, "rb") as stream:
        start = stream.read(64)
    if start.startswith(b"age-encryption.org/v1") or start.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----"):
        report.add(MISSING, where, "encrypted")
    elif path.suffix.lower() == ".zip":
        with open_zip(path) as archive:
            if "folder.json" in archive.names:
                check_folder(report, ring, archive, where)
            elif "bagit.txt" in archive.names or any(n.startswith("data/") for n in archive.names):
                check_bundle(report, ring, archive, where, node)
            else:
                loose.files[measured], loose.file_names[measured] = size, where  # an attachment that is a zip
    elif path.suffix.lower() == ".jws" or (size <= LARGEST_DOCUMENT and COMPACT.fullmatch(path.read_bytes())):
        loose.documents.append(read_compact(path.read_bytes() if size <= LARGEST_DOCUMENT else b"", where))
    else:
        data = path.read_bytes() if path.suffix.lower() == ".json" and size <= 2**26 else b""
        value = read_json(data, where) if data else None
        if isinstance(value, dict) and "signatures" in value:
            loose.documents.append(read_several(value, where))
        elif isinstance(value, dict) and str(value.get("format", "")).startswith("hiepdong.review/"):
            loose.reviews.append((where, data, value))
        elif isinstance(value, dict) and (value.get("format") == "hiepdong.keys/1" or "kty" in value):
            report.add(NOTE, where, "keys_as_file")
        else:
            loose.files[measured], loose.file_names[measured] = size, where


def parser(language: int) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = {name: both[language] for name, both in HELP.items()}
    made = argparse.ArgumentParser(prog="hiepdong-verify", description=words["about"])
    made.add_argument("files", metavar="FILE", nargs="+", type=Path, help=words["files"])
    made.add_argument("--keys", metavar="KEYS", action="append", default=[], type=Path, help=words["keys"])
    made.add_argument("--node", metavar="ID", default="", help=words["node"])
    made.add_argument("--digest", metavar="SHA256", default="", help=words["digest"])
    made.add_argument("--json", action="store_true", help=words["json"])
    made.add_argument("--all", action="store_true", help=words["all"])
    made.add_argument("--lang", choices=("vi", "en"), default="vi", help=words["lang"])
    return made


def words_of(report: Report, language: int, *, every: bool) -> Iterator[str]:
    """Yield the lines that are printed: what is false first to be seen last, so the verdict stands at the end."""
    good = [f for f in report.findings if f.level == GOOD]
    for level in (GOOD, NOTE, MISSING, FALSE):
        found = [f for f in report.findings if f.level == level]
        if level == GOOD and len(good) > 40 and not every:
            found = [f for f in good if f.code not in {"signature_good", "receipts_fit", "attachment_good", "witnessed"}]
        for f in found:
            yield f"{MARKS[level][language]}  {plain(f.where) + ': ' if f.where else ''}{f.text(language)}"
    counts = ", ".join(f"{n} {NOUNS[kind][language]}" for kind, n in sorted(report.counts.items()) if kind in NOUNS)
    if counts:
        yield MESSAGES["counted"][language].format(counts=counts)
    if report.sources:
        yield MESSAGES["trust_given"][language].format(sources=", ".join(plain(s) for s in report.sources))
    else:
        yield MESSAGES["trust_none"][language]
        for kid, owner in sorted(report.keys_used.items(), key=lambda x: (x[1], x[0])):
            yield f"    {plain(owner)}: {kid}"
    yield MESSAGES[f"verdict_{report.verdict}"][language]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    language = 1 if "--lang=en" in given or "--lang en" in " ".join(given) else 0
    options = parser(language).parse_args(given)
    try:
        report = check(options.files, keys=options.keys, node=options.node, digest=options.digest)
    except Refused as refused:
        text = MESSAGES[refused.code][language].format(**{k: plain(v) for k, v in refused.facts.items()})
        sys.stderr.write(f"hiepdong-verify: {text}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(report.as_dict(language), ensure_ascii=False, indent=1, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(words_of(report, language, every=options.all)) + "\n")
    return 0 if report.verdict == GOOD else 1


if __name__ == "__main__":
    sys.exit(main())
