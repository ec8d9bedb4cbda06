"""A small regulation as a file, between bodies of the nodes of `support.nodes`, with every party on one of two sides."""

from collections.abc import Sequence

KEY = "t.qcph-hai-nut"
PARTIES = (("t.don-my-ly", "border_guard"), ("t.huyen-uy", "locality"))


def regulation_text(
    *, version: int = 1, effective_from: str = "2019-12-15", days: int = 2, parties: Sequence[tuple[str, str]] = PARTIES
) -> bytes:
    """Return the TOML of a regulation with a monthly report of the station and a yearly notice back."""
    listed = "\n".join(f'[[party]]\norganisation = "{key}"\nside = "{side}"\n' for key, side in parties)
    return f"""format = "hiepdong.regulation/1"
key = "{KEY}"
version = {version}
title = "Quy chế phối hợp giữa đồn và huyện"
effective_from = {effective_from}
issuer = "{parties[0][0]}"
source = "thử"
verified = false

{listed}
[[article]]
clause = "5.2"
heading = "Chế độ thông tin"
text = "Hằng tháng đồn gửi báo cáo cho huyện ủy."

[[duty]]
key = "thang"
title = "Báo cáo tháng"
clause = "5.2"
source = "thử"
verified = false
debtor = {{ kind = "border_station" }}
creditor = {{ kind = "party_district", relation = "any" }}
content = {{ type = "notice", nil_allowed = true }}
trigger = {{ type = "period", family = "r-rep-month" }}
deadline = {{ type = "after", amount = {days}, unit = "working_days" }}
""".encode()
