"""The generator of the synthetic year: pure, seeded, documented in examples/nghe-an-2020/README.md.

Only that failings of these two kinds existed is real (conference of 18 December 2020). Which pairs fall silent and which
stations report late is drawn by the seed, so that nothing is said of any real body.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from hiepdong.exchange.domain.dispatch import MADE_UP
from hiepdong.kernel.moments import at_local, local_day

MARK = "Dữ liệu minh họa do máy sinh ra, không phải văn bản thật."
PREFIX = MADE_UP
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owed:
    """A duty as the generator sees it."""

    reference: str
    rule: str
    content: str  # "report", "notice", "act"
    nil_allowed: bool
    debtor: str
    debtor_name: str
    debtor_kind: str
    creditor: str
    creditor_name: str
    label: str
    opens_at: datetime
    due_at: datetime
    period_from: str
    period_to: str
    copies: tuple[str, ...] = ()
    form: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A paper the generator wants sent."""

    kind: str
    sender: str
    to: tuple[str, ...]
    subject: str
    sent_at: datetime
    body: Mapping[str, Any]
    answers: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    acknowledged_at: datetime | None = None
    returned_at: datetime | None = None
    return_reason: str = ""
    id: str = ""
    replaces_id: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters, from examples/nghe-an-2020/demo.toml."""

    seed: int
    until: datetime  # nothing is sent after this moment
    late_share: float
    missing_share: float
    nil_share: float
    returned_share: float
    silent_pairs: int  # station and district fall silent, both directions
    silent_commune_pairs: int
    silent_months: tuple[int, int]  # least and most months of a silence
    silence_starts: tuple[str, ...]  # labels of the months in which a silence may begin
    weak_stations: int
    weak_late_share: float
    weak_missing_share: float
    quiet_districts: int  # skip quarterly exchanges
    figures: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # indicator: least and most in a period
    coastal: frozenset[str] = frozenset()  # stations and units that work at sea
    sea_only: frozenset[str] = frozenset()  # indicators that only they report
    land_only: frozenset[str] = frozenset()  # indicators that they do not report
    sea_partners_only: frozenset[str] = frozenset()  # the same for the reports of districts
    land_partners_only: frozenset[str] = frozenset()
    epidemic_only: frozenset[str] = frozenset()  # indicators that are zero before the epidemic
    epidemic_from: str = "2020-02-01"  # ISO day; no period that ended before speaks of it


_SITUATION = (
    "Tình hình an ninh chính trị, trật tự an toàn xã hội trên địa bàn ổn định.",
    "Công tác phòng, chống dịch Covid-19 tại các tổ, chốt được duy trì nghiêm túc.",
    "Một số hộ dân chưa khai báo tạm trú kịp thời; đã nhắc nhở, hướng dẫn.",
    "Quần chúng tích cực cung cấp thông tin, tham gia phong trào toàn dân bảo vệ an ninh Tổ quốc.",
    "Đời sống nhân dân cơ bản ổn định; một số hộ còn khó khăn do ảnh hưởng của dịch bệnh.",
    "Hoạt động tôn giáo diễn ra bình thường, đúng quy định.",
    "Chưa phát hiện vụ việc nổi cộm về an ninh, trật tự.",
    "Học sinh đến trường bình thường; việc vận động học sinh bỏ học trở lại lớp tiếp tục được duy trì.",
)
_LAND = (
    "Đường biên, mốc quốc giới được giữ vững; quần chúng chấp hành tốt quy chế khu vực biên giới.",
    "Hoạt động qua lại của cư dân hai bên biên giới giảm do thực hiện các biện pháp phòng, chống dịch.",
    "Thời tiết diễn biến phức tạp, nguy cơ sạt lở tại một số điểm ven suối, đường tuần tra.",
    "Tội phạm ma túy trên tuyến biên giới còn tiềm ẩn phức tạp; đã trao đổi để phối hợp nắm tình hình.",
    "Quan hệ với lực lượng bảo vệ biên giới và chính quyền phía Lào được duy trì qua điện thoại, thư tín.",
    "Một số hộ phát nương gần đường biên; đã phối hợp tuyên truyền, không để xảy ra xâm canh.",
    "Nguy cơ cháy rừng ở khu vực giáp biên cao; lực lượng tự quản đã được nhắc nhở trực, canh phòng.",
)
_SEA = (
    "Ngư dân bám biển sản xuất bình thường; tàu thuyền ra vào cửa lạch chấp hành khai báo.",
    "Còn một số tàu cá chưa bật thiết bị giám sát hành trình liên tục; đã nhắc nhở chủ tàu.",
    "Thời tiết trên biển diễn biến phức tạp; đã thông báo để tàu thuyền chủ động phòng, tránh.",
    "Chưa phát hiện tàu cá của địa phương vi phạm vùng biển nước ngoài.",
    "Việc khai thác thủy sản bằng ngư cụ cấm vẫn còn xảy ra nhỏ lẻ ở vùng ven bờ.",
    "Hoạt động của tàu thuyền tại cảng, bến bảo đảm an ninh, an toàn.",
)
_ADVICE = (
    "Đề nghị địa phương phối hợp tuyên truyền nhân dân không tiếp tay cho người xuất, nhập cảnh trái phép.",
    "Đề nghị thống nhất lịch giao ban và đầu mối trao đổi thông tin.",
    "Đề nghị hỗ trợ kinh phí duy trì các tổ, chốt phòng, chống dịch.",
    "Đề nghị tiếp tục phân công đảng viên phụ trách hộ gia đình ở khu vực biên giới.",
    "Đề nghị phối hợp quản lý người lạ đến địa bàn, trao đổi ngay khi có vấn đề cần làm rõ.",
    "Đề nghị quan tâm chế độ cho thành viên các tổ tự quản theo Chỉ thị số 01.",
)
_ADVICE_LAND = (
    "Đề nghị củng cố tổ tự quản đường biên, mốc quốc giới tại các bản giáp biên.",
    "Đề nghị phối hợp kiểm tra, ngăn chặn việc qua lại trái phép trên đường mòn, lối mở.",
    "Đề nghị chuẩn bị nội dung trao đổi với phía Lào khi hoạt động đối ngoại được nối lại.",
)
_ADVICE_SEA = (
    "Đề nghị phối hợp vận động chủ tàu lắp và bật thiết bị giám sát hành trình.",
    "Đề nghị củng cố tổ tàu thuyền an toàn, bến bãi an toàn.",
    "Đề nghị bố trí kinh phí tuần tra chống khai thác thủy sản bất hợp pháp.",
)
_ANSWERS = (
    "Cấp ủy đã nghiên cứu nội dung tham mưu và giao các cơ quan phối hợp thực hiện.",
    "Địa phương thông báo lịch họp dân sắp tới; đề nghị đồn cử cán bộ dự.",
    "Đã chỉ đạo các thôn, bản rà soát hộ dân và khách đến địa bàn.",
    "Đã thống nhất chủ trương phối hợp; thời gian cụ thể sẽ thông báo sau.",
)
_SECTIONS = {  # of the districts' reports on half a year and the year
    "han-che": (
        "Việc trao đổi thông tin giữa một số xã và đồn có lúc chưa kịp thời; nguyên nhân do đường truyền và kiêm nhiệm.",
        "Công tác phối hợp ở một vài nội dung còn dừng ở trao đổi tình hình.",
        "Kinh phí cho hoạt động phối hợp còn hạn chế.",
        "Một số nội dung triển khai chậm do tập trung cho công tác phòng, chống dịch bệnh.",
    ),
    "kien-nghi": (
        "Đề nghị duy trì giao ban định kỳ giữa đồn với huyện, thị xã.",
        "Đề nghị có hướng dẫn thống nhất về mẫu báo cáo, số liệu.",
        "Đề nghị quan tâm chế độ cho thành viên các tổ tự quản.",
        "Đề nghị tiếp tục cử cán bộ tăng cường giúp cơ sở.",
    ),
}
_OPENINGS = {
    "d-08": "Hai bên đã họp giao ban, đánh giá kết quả phối hợp trong quý và thống nhất nội dung quý tới.",
    "d-09": "Kính mời cấp ủy, chính quyền địa phương dự hội nghị rút kinh nghiệm năm; tài liệu hội nghị gửi kèm văn bản này.",
    "d-14": "Việc sơ kết thực hiện Chỉ thị số 01 ở cấp xã đã hoàn thành, chuẩn bị cho Ngày Biên phòng toàn dân.",
}
# What can only be said in some months (of the 15th on which a period ends); the schools were closed until May 2020.
_SEASONS: Mapping[str, frozenset[int]] = {
    _SITUATION[7]: frozenset({1, 6, 10, 11, 12}),  # school
    _LAND[2]: frozenset({5, 6, 7, 8, 9, 10, 11}),  # landslides
    _LAND[5]: frozenset({2, 3, 4, 5, 6}),  # clearing fields
    _LAND[6]: frozenset({3, 4, 5, 6, 7, 8}),  # forest fires
}
_EPIDEMIC = ("dịch", "nối lại", "qua điện thoại")  # words of texts that have a meaning only since the epidemic
_SUBJECTS = {
    "d-01": "Thông báo tình hình địa bàn tháng {m}",
    "d-02": "Thông báo tình hình nhân dân, khách đến địa bàn tháng {m}",
    "d-03": "Báo cáo công tác biên phòng tháng {m}",
    "d-04": "Báo cáo, tham mưu tình hình biên giới tháng {m}",
    "d-04-phan-hoi": "Thông báo tình hình, chủ trương của địa phương tháng {m}",
    "d-05-di": "Trao đổi tình hình biên giới, vùng biển {m}",
    "d-05-den": "Trao đổi tình hình địa phương {m}",
    "d-06-6-thang": "Báo cáo kết quả phối hợp {m}",
    "d-06-nam": "Báo cáo kết quả phối hợp năm 2020",
    "d-07": "Báo cáo kết quả thực hiện quy chế phối hợp năm 2020",
    "d-08": "Thông báo kết quả giao ban {m}",
    "d-09": "Giấy mời, tài liệu hội nghị rút kinh nghiệm năm 2020",
    "d-14": "Kết quả sơ kết Chỉ thị 01, chuẩn bị Ngày Biên phòng toàn dân",
}
_RETURNS = (
    "Thiếu phần kiến nghị; đề nghị bổ sung.",
    "Số liệu chưa khớp với báo cáo kỳ trước; đề nghị kiểm tra lại.",
    "Gửi nhầm kỳ; đề nghị gửi lại.",
)


def make_year(owed: Sequence[Owed], shape: Shape) -> list[Planned]:
    """Return the papers of the year, in the order they were sent. The same duties and shape give the same papers."""
    rng = random.Random(shape.seed)
    duties = sorted(owed, key=lambda d: d.reference)
    local = [d for d in duties if d.rule in {"d-01", "d-04"}]
    inland = {d.creditor for d in local if d.debtor not in shape.coastal}
    shape = replace(shape, coastal=shape.coastal | {d.creditor for d in local if d.debtor in shape.coastal} - inland)
    silent = _silences(rng, duties, shape)
    weak = _weak_stations(rng, duties, shape)
    districts = sorted({d.debtor for d in duties if d.rule == "d-05-den"})
    quiet = set(rng.sample(districts, min(shape.quiet_districts, len(districts))))
    plans: list[Planned] = []
    told: dict[tuple[str, str], dict[str, int]] = {}
    for duty in duties:
        if (frozenset((duty.debtor, duty.creditor)), duty.label) in silent:
            continue
        late, missing = shape.late_share, shape.missing_share
        if duty.rule == "d-04" and duty.debtor in weak:
            late, missing = shape.weak_late_share, shape.weak_missing_share
        if duty.rule == "d-05-den" and duty.debtor in quiet:
            missing = 0.5
        if rng.random() < missing:
            continue
        plans += _papers(rng, duty, shape, late, told)
    plans += _ad_hoc(rng, duties, shape)
    return sorted((p for p in plans if p.sent_at <= shape.until), key=lambda p: (p.sent_at, p.sender, p.subject, p.to))


def _silences(rng: random.Random, duties: Sequence[Owed], shape: Shape) -> set[tuple[frozenset[str], str]]:
    """Draw the pairs that fall silent in both directions, with the labels of the months they do."""
    labels = sorted({d.label for d in duties if d.rule == "d-04"})
    found: set[tuple[frozenset[str], str]] = set()
    for rule, count in (("d-04", shape.silent_pairs), ("d-01", shape.silent_commune_pairs)):
        pairs = sorted({tuple(sorted((d.debtor, d.creditor))) for d in duties if d.rule == rule})
        for pair in rng.sample(pairs, min(count, len(pairs))):
            start = labels.index(rng.choice(shape.silence_starts))
            months = labels[start : start + rng.randint(*shape.silent_months)]
            quarters = {f"{m[:4]}-Q{(int(m[5:]) - 1) // 3 + 1}" for m in months if int(m[5:]) % 3 == 0}
            found |= {(frozenset(pair), label) for label in [*months, *quarters]}
    return found


def _weak_stations(rng: random.Random, duties: Sequence[Owed], shape: Shape) -> set[str]:
    stations = sorted({d.debtor for d in duties if d.rule == "d-04"})
    return set(rng.sample(stations, min(shape.weak_stations, len(stations))))


def _office_hour(rng: random.Random, day: datetime) -> datetime:
    """Return a moment in office hours of the local day of `day`."""
    minutes = rng.choice((rng.randint(7 * 60 + 30, 11 * 60 + 20), rng.randint(13 * 60 + 30, 16 * 60 + 50)))
    return at_local(local_day(day), time(minutes // 60, minutes % 60, rng.randint(0, 59)))


def _sent_at(rng: random.Random, duty: Owed, late_share: float) -> datetime:
    if rng.random() < late_share:
        return _office_hour(rng, duty.due_at + DAY * rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 9)))
    last = duty.due_at - DAY / 2
    days = max(0, (local_day(last) - local_day(duty.opens_at)).days)
    moment = _office_hour(rng, duty.opens_at + DAY * rng.randint(0, min(days, 12)))
    return moment if duty.opens_at <= moment < duty.due_at else _office_hour(rng, last)


def _acknowledged(rng: random.Random, sent_at: datetime, until: datetime) -> datetime | None:
    if rng.random() < 0.04:
        return None
    found = _office_hour(rng, sent_at + DAY * rng.choice((0, 0, 1, 1, 1, 2, 3)))
    found = max(found, sent_at + timedelta(minutes=20))
    return found if found <= until else None


def _papers(
    rng: random.Random, duty: Owed, shape: Shape, late_share: float, told: dict[tuple[str, str], dict[str, int]]
) -> list[Planned]:
    sent_at = _sent_at(rng, duty, late_share)
    nil = duty.nil_allowed and rng.random() < shape.nil_share
    first_id = str(_uuid(rng))
    common: dict[str, Any] = {
        "sender": duty.debtor,
        "to": (duty.creditor,),
        "copies": duty.copies,
        "subject": _subject(duty, nil),
        "answers": (duty.reference,),
    }
    body: Mapping[str, Any] = (
        {"text": f"{MARK}\n\nKhông có thay đổi so với kỳ trước."} if nil else _body(rng, duty, shape, told)
    )
    kind = "nil_report" if nil else "report" if duty.content == "report" else "notice"
    if rng.random() >= shape.returned_share:
        ack = _acknowledged(rng, sent_at, shape.until)
        return [Planned(kind=kind, sent_at=sent_at, body=body, acknowledged_at=ack, id=first_id, **common)]
    returned = max(_office_hour(rng, sent_at + DAY), sent_at + timedelta(hours=1))
    again = _office_hour(rng, returned + DAY * rng.randint(1, 4))
    ack = _acknowledged(rng, again, shape.until)
    if returned > shape.until:
        return [Planned(kind=kind, sent_at=sent_at, body=body, id=first_id, **common)]
    reason = rng.choice(_RETURNS)
    return [
        Planned(kind=kind, sent_at=sent_at, body=body, returned_at=returned, return_reason=reason, id=first_id, **common),
        Planned(kind=kind, sent_at=again, body=body, acknowledged_at=ack, id=str(_uuid(rng)), replaces_id=first_id, **common),
    ]


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _subject(duty: Owed, nil: bool) -> str:
    year, _, part = duty.label.partition("-")
    when = (
        f"{part}/{year}" if part.isdigit() else {"Q1": "quý I", "Q2": "quý II", "Q3": "quý III", "Q4": "quý IV"}.get(part, "")
    )
    when = f"{when}/{year}" if when.startswith("quý") else when
    when = {"H1": f"6 tháng đầu năm {year}", "H2": f"6 tháng cuối năm {year}"}.get(part, when)
    subject = _SUBJECTS.get(duty.rule, "Thông báo").format(m=when).strip()
    return f"{PREFIX} {subject}: không có thay đổi" if nil else f"{PREFIX} {subject}"


def _chosen(rng: random.Random, texts: Sequence[str], duty: Owed, shape: Shape, taken: Sequence[str] = ()) -> str:
    """Return one of the texts that can be said of the duty's period, and that is not said already."""
    start = rng.randrange(len(texts))
    month = int(duty.period_to[5:7])
    for text in (*texts[start:], *texts[:start]):
        early = duty.period_to < shape.epidemic_from and any(word in text for word in _EPIDEMIC)
        if not early and month in _SEASONS.get(text, {month}) and text not in taken:
            return text
    return texts[start]


def _body(rng: random.Random, duty: Owed, shape: Shape, told: dict[tuple[str, str], dict[str, int]]) -> Mapping[str, Any]:
    sea = bool({duty.debtor, duty.creditor} & shape.coastal)
    said: list[str] = []
    for texts in (_SITUATION, _SEA if sea else _LAND, _SITUATION[1:]):
        said.append(_chosen(rng, texts, duty, shape, said))
    situation = " ".join(said)
    station = duty.debtor_kind in {"border_station", "sea_squadron", "border_guard_party"}
    wishes = _ADVICE + (_ADVICE_SEA if sea else _ADVICE_LAND) if station else _ANSWERS
    if duty.content != "report" or duty.form is None:
        wish = _chosen(rng, wishes, duty, shape)
        opening = _OPENINGS.get(duty.rule)
        return {"text": f"{MARK}\n\n{opening or situation}\n\n{situation if opening else wish}"}
    figures = []
    stated: dict[str, int] = {}
    for indicator in duty.form["indicators"]:
        figure = _figure(rng, duty, indicator, shape, stated)
        figures.append(_fitting(figure, duty, indicator, shape, told))
    sections = [
        {
            "key": s["key"],
            "name": s["name"],
            "text": situation if i == 0 else _chosen(rng, _SECTIONS.get(s["key"], wishes), duty, shape),
        }
        for i, s in enumerate(duty.form["sections"])
    ]
    return {
        "text": MARK,
        "form": {
            "instrument": duty.form["instrument"],
            "version": duty.form["version"],
            "key": duty.form["key"],
            "period_from": duty.period_from,
            "period_to": duty.period_to,
            "figures": figures,
            "sections": sections,
        },
    }


def _figure(
    rng: random.Random, duty: Owed, indicator: Mapping[str, Any], shape: Shape, stated: dict[str, int]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "indicator": indicator["key"],
        "name": indicator["name"],
        "unit": indicator["unit"],
        "precision": "exact",
        "scope": "số liệu minh họa",
        "text": "",
    }
    elsewhere = shape.land_only if duty.debtor in shape.coastal else shape.sea_only
    chance = rng.random()
    if indicator["key"] in elsewhere:
        return found | {"state": "not_reported"}
    if chance < 0.03:
        return found | {"state": "not_reported"}
    if chance < 0.05:
        return found | {"state": "no_number", "text": "có thực hiện, chưa thống kê"}
    least, most = shape.figures.get(indicator["key"], (0, 5))
    value = rng.randint(least, most)
    if indicator.get("parts_of") in stated:
        value = min(value, stated[indicator["parts_of"]])
    stated[indicator["key"]] = value
    precision = "over" if value > 200 and rng.random() < 0.1 else "exact"
    return found | {"state": "value", "value": str(value), "precision": precision}


def _fitting(
    figure: dict[str, Any],
    duty: Owed,
    indicator: Mapping[str, Any],
    shape: Shape,
    told: dict[tuple[str, str], dict[str, int]],
) -> dict[str, Any]:
    """Return the figure as its place and its day allow; a year tells again what its halves told.

    Done after drawing, so that nothing here moves the rest of the year.
    """
    key = indicator["key"]
    elsewhere = shape.land_partners_only if duty.debtor in shape.coastal else shape.sea_partners_only
    if key in elsewhere:
        return {k: v for k, v in figure.items() if k not in {"value", "text"}} | {
            "state": "not_reported",
            "precision": "exact",
            "text": "",
        }
    if figure["state"] != "value":
        return figure
    if key in shape.epidemic_only and duty.period_to < shape.epidemic_from:
        return figure | {"value": "0"}
    halves = told.setdefault((duty.debtor, key), {})
    if duty.label.endswith(("-H1", "-H2")):
        halves[duty.label] = int(figure["value"])
    elif len(duty.label) == 4 and halves:
        latest = halves[max(halves)]
        whole = sum(halves.values()) + (int(figure["value"]) if len(halves) == 1 else 0)
        figure |= {"value": str(latest if indicator.get("aggregate") == "last" else whole), "precision": "exact"}
    return figure


def _ad_hoc(rng: random.Random, duties: Sequence[Owed], shape: Shape) -> list[Planned]:
    """Notices that no duty asks for: the Party committee to districts on the epidemic, stations to communes on storms."""
    sender = "nghe-an.dang-uy-bdbp"
    districts = sorted({d.debtor for d in duties if d.rule == "d-05-den"})
    first = min(d.opens_at for d in duties)
    found = []
    for day in (48, 75, 100, 128, 190, 228, 262, 305, 322):
        moment = _office_hour(rng, first + DAY * day)
        for district in rng.sample(districts, min(6, len(districts))):
            text = f"{MARK}\n\nThông báo phối hợp phòng, chống dịch bệnh, thiên tai trên địa bàn. {rng.choice(_SITUATION)}"
            found.append(
                Planned(
                    kind="notice",
                    sender=sender,
                    to=(district,),
                    subject=f"{PREFIX} Thông báo đột xuất về phối hợp phòng, chống dịch bệnh, thiên tai",
                    sent_at=moment.astimezone(UTC),
                    body={"text": text},
                    acknowledged_at=_acknowledged(rng, moment, shape.until),
                    id=_uuid(rng),
                )
            )
    return found
