"""The shape of a regulation file, declared once: the checker, the JSON Schema and the reference page all read this.

A declaration is data: tables of fields, each with its kind, what is accepted and what it means.
"""

from hiepdong.kernel.declared import KEY, Field, Table
from hiepdong.kernel.declared import schema as schema_of_file
from hiepdong.organisations.domain.kinds import ORGANISATION_KINDS

CLAUSE = r"[0-9A-Za-z][0-9A-Za-z.đ]{0,19}"
PERIOD_NAME = r"[0-9A-Za-z.-]{1,20}"  # stands in the reference of a duty
MONTH_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


SELECTOR = Table(
    "Chọn cơ quan: bằng khóa, bằng loại, bằng bên của quy chế, và bằng quan hệ với bên phải gửi.",
    {
        "organisation": Field("text", "khóa của đúng một cơ quan", pattern=KEY, example="quang-tri.don-a"),
        "kind": Field("text or list of text", "loại cơ quan", choices=tuple(ORGANISATION_KINDS), example='"border_station"'),
        "side": Field("text", "bên trong quy chế, như khai ở [[party]]", example="locality"),
        "relation": Field(
            "text",
            "quan hệ với bên phải gửi: cùng địa bàn phụ trách, cấp trên, cấp dưới, hoặc bất kỳ; không dùng ở debtor",
            choices=("same_territory", "superior", "subordinate", "any"),
            default="any",
            example="same_territory",
        ),
    },
)

_DEADLINE_FIELDS: dict[str, Field] = {
    "type": Field(
        "text",
        "cách tính hạn: ngày cố định của tháng kết thúc kỳ; ngày cố định của tháng sau; sau một khoảng; chính ngày đó",
        choices=("day_of_period_end_month", "day_of_month_after", "after", "date"),
        example="after",
    ),
    "day": Field(
        "integer", "ngày trong tháng; 31 là ngày cuối tháng; cần khi type bắt đầu bằng day_of", least=1, most=31, example="25"
    ),
    "amount": Field("integer", "độ dài khoảng; cần khi type là after", least=0, most=1000, example="2"),
    "unit": Field(
        "text",
        "đơn vị của khoảng; cần khi type là after; sự việc chỉ tính bằng after",
        choices=("hours", "days", "working_days", "weeks"),
        example="working_days",
    ),
    "on_day_off": Field(
        "text",
        "khi hạn rơi vào ngày nghỉ: giữ nguyên, lùi về trước, chuyển sau",
        choices=("stay", "previous", "next"),
        default="stay",
        example="next",
    ),
    "earliest_working_days": Field(
        "integer", "ít nhất bấy nhiêu ngày làm việc từ ngày chốt số liệu", least=0, most=60, default="không đặt", example="1"
    ),
    "latest_day": Field("integer", "không muộn hơn ngày này của tháng", least=0, most=31, default="0: không đặt", example="25"),
    "clause": Field(
        "text", "điều khoản làm căn cứ, nếu khác điều khoản của nghĩa vụ", default="clause của nghĩa vụ", example="9.2"
    ),
}
TIER = Table("Hạn riêng của một loại cơ quan; khóa không ghi thì theo hạn chung.", _DEADLINE_FIELDS)
DEADLINE = Table(
    "Quy tắc tính hạn.",
    _DEADLINE_FIELDS
    | {
        "type": Field("text", _DEADLINE_FIELDS["type"].doc, required=True, choices=_DEADLINE_FIELDS["type"].choices),
        "tiers": Field("table of table", "hạn riêng theo loại cơ quan phải gửi", of=TIER),
    },
)

DUTY = Table(
    "Một nghĩa vụ: ai, gửi ai, gửi gì, khi nào.",
    {
        "key": Field("text", "khóa, giữ nguyên qua các lần sửa đổi", required=True, pattern=KEY, longest=40, example="d-01"),
        "title": Field("text", "tên gọi trên màn hình", required=True, longest=300, example="Đồn thông báo tình hình tháng"),
        "clause": Field("text", "điều khoản, như khai ở [[article]]", required=True, pattern=CLAUSE, longest=20, example="3.1"),
        "field": Field("text", "lĩnh vực phối hợp, như khai ở [[field]]", default="không", longest=60, example="thong-tin"),
        "debtor": Field("table", "bên phải gửi hoặc phải làm", required=True, of=SELECTOR),
        "creditor": Field("table", "bên nhận", required=True, of=SELECTOR),
        "copies": Field("list of table", "nơi nhận bản sao", of=SELECTOR, default="không"),
        "content": Field(
            "table",
            "nội dung phải gửi",
            required=True,
            of=Table(
                "Nội dung.",
                {
                    "type": Field(
                        "text", "báo cáo theo mẫu, thông báo, việc", True, ("report", "notice", "act"), example="report"
                    ),
                    "form": Field("text", "mẫu báo cáo, như khai ở [[form]]; cần khi type là report", example="thang-don"),
                    "nil_allowed": Field(
                        "boolean", "được báo “không có thay đổi” bằng một thao tác ký", default="false", example="true"
                    ),
                },
            ),
        ),
        "trigger": Field(
            "table",
            "khi nào phát sinh",
            required=True,
            of=Table(
                "Thời điểm phát sinh.",
                {
                    "type": Field(
                        "text",
                        "theo kỳ, theo sự việc, theo ngày hằng năm",
                        True,
                        ("period", "event", "yearly"),
                        example="period",
                    ),
                    "family": Field(
                        "text", "loại kỳ báo cáo, xem bảng dưới; cần khi type là period", longest=80, example="r-rep-month"
                    ),
                    "event": Field("text", "tên sự việc; cần khi type là event", longest=60, example="vu-viec"),
                    "moment": Field(
                        "text",
                        "tính từ lúc xảy ra, phát hiện hay nhận tin; cần khi type là event",
                        choices=("happened", "found", "received"),
                        example="found",
                    ),
                    "month": Field("integer", "tháng; cần khi type là yearly", least=1, most=12, example="3"),
                    "day": Field("integer", "ngày; cần khi type là yearly", least=1, most=31, example="3"),
                },
            ),
        ),
        "deadline": Field("table", "quy tắc tính hạn", required=True, of=DEADLINE),
        "reminders": Field(
            "list of integer",
            "các lần nhắc, tính bằng ngày: số âm là trước hạn, số dương là sau hạn",
            least=-366,
            most=366,
            default="không nhắc",
            example="[-3, -1, 1]",
        ),
        "may_waive": Field(
            "list of text",
            "bên được miễn: bên nhận, bên phải gửi, cấp trên của bên phải gửi",
            choices=("creditor", "debtor", "superior"),
            default="không ai",
            example='["creditor"]',
        ),
        "may_suspend": Field(
            "list of text",
            "bên được tạm dừng",
            choices=("creditor", "debtor", "superior"),
            default="không ai",
            example='["creditor"]',
        ),
        "source": Field("text", "nguồn của quy định này", required=True, longest=500, example="Điều 3 khoản 1"),
        "verified": Field("boolean", "đã thấy nguyên văn hay chưa", required=True, example="true"),
    },
)

INDICATOR = Table(
    "Một chỉ tiêu của mẫu báo cáo.",
    {
        "key": Field("text", "khóa", required=True, pattern=KEY, longest=60, example="tuan-tra"),
        "name": Field("text", "tên chỉ tiêu", required=True, longest=200, example="Tuần tra, kiểm soát"),
        "unit": Field("text", "đơn vị tính", required=True, longest=40, example="lượt"),
        "definition": Field(
            "text", "cách đếm: chỉ so sánh khi giống hệt nhau", longest=80, default="<key>/1", example="tuan-tra/2026"
        ),
        "group": Field("text", "nhóm trên mẫu", default="không nhóm", longest=80, example="Tuần tra"),
        "field": Field("text", "lĩnh vực phối hợp, như khai ở [[field]]", default="không", example="chu-quyen"),
        "aggregate": Field(
            "text", "cộng dồn, lấy số cuối kỳ, không gộp", choices=("sum", "last", "none"), default="sum", example="last"
        ),
        "parts_of": Field("text", "là một phần của chỉ tiêu nào của mẫu", default="không", example="vu-viec"),
        "paired_with": Field(
            "text", "in sau dấu / của chỉ tiêu nào: vụ/đối tượng, lượt/lượt người", default="không", example="vu-viec"
        ),
        "required": Field("boolean", "phải điền", default="false", example="true"),
    },
)


def _count(doc: str, default: str) -> Field:
    return Field("integer", doc, least=1, most=1000, default=default, example=default)


REGULATION = Table(
    "Một tệp là một phiên bản của một quy chế.",
    {
        "format": Field("text", "luôn là hiepdong.regulation/1", required=True, choices=("hiepdong.regulation/1",)),
        "key": Field(
            "text",
            "khóa của quy chế, giữ nguyên qua các phiên bản",
            required=True,
            pattern=KEY,
            longest=60,
            example="quang-tri.qcph-2026",
        ),
        "version": Field(
            "integer", "số thứ tự phiên bản, bắt đầu từ 1; sửa đổi thì cộng 1", required=True, least=1, most=999, example="1"
        ),
        "number": Field(
            "text", "số, ký hiệu như in trên văn bản; để trống nếu chưa biết", longest=80, default="trống", example="12-QC/ĐU"
        ),
        "title": Field("text", "tên quy chế", required=True, longest=300, example="Quy chế phối hợp năm 2026"),
        "signed_on": Field("date", "ngày ký", default="chưa biết", example="2025-12-12"),
        "effective_from": Field(
            "date", "ngày có hiệu lực; bản sửa đổi phải sau ngày của bản trước", required=True, example="2025-12-15"
        ),
        "effective_until": Field("date", "ngày hết hiệu lực (không tính ngày này)", default="còn hiệu lực"),
        "parent": Field("text", "khóa của quy chế cấp trên, đã nạp", pattern=KEY, default="không", longest=80),
        "issuer": Field(
            "text", "khóa của cơ quan chủ trì, đã nạp", required=True, pattern=KEY, longest=80, example="quang-tri.dang-uy-bdbp"
        ),
        "source": Field("text", "nguồn", required=True, longest=500, example="bản ký ngày 12/12/2025"),
        "verified": Field("boolean", "đã thấy nguyên văn hay chưa", required=True, example="true"),
        "party": Field(
            "list of table",
            "các bên",
            required=True,
            of=Table(
                "Một bên của quy chế.",
                {
                    "organisation": Field("text", "khóa của cơ quan, đã nạp", required=True, pattern=KEY, longest=80),
                    "side": Field(
                        "text",
                        "tên bên; border_guard đứng trước trên bảng thường xuyên",
                        required=True,
                        pattern=r"[a-z_]{1,30}",
                        example="locality",
                    ),
                },
            ),
        ),
        "field": Field(
            "list of table",
            "các lĩnh vực phối hợp",
            of=Table(
                "Một lĩnh vực phối hợp.",
                {
                    "key": Field("text", "khóa", required=True, pattern=KEY, longest=60, example="thong-tin"),
                    "name": Field("text", "tên", required=True, longest=200, example="Trao đổi thông tin"),
                    "clause": Field("text", "điều khoản", pattern=CLAUSE, longest=20, default="không", example="3"),
                },
            ),
        ),
        "article": Field(
            "list of table",
            "các điều, khoản",
            required=True,
            of=Table(
                "Một điều hoặc khoản.",
                {
                    "clause": Field(
                        "text", "số điều, khoản: 5 hoặc 5.2", required=True, pattern=CLAUSE, longest=20, example="3.1"
                    ),
                    "heading": Field("text", "tên điều", longest=300, default="trống", example="Trao đổi thông tin"),
                    "text": Field("text", "nội dung", required=True),
                },
            ),
        ),
        "form": Field(
            "list of table",
            "các mẫu báo cáo",
            of=Table(
                "Một mẫu báo cáo.",
                {
                    "key": Field("text", "khóa", required=True, pattern=KEY, longest=60, example="thang-don"),
                    "title": Field("text", "tên mẫu", required=True, longest=300, example="Báo cáo tháng của đồn"),
                    "indicator": Field("list of table", "các chỉ tiêu", of=INDICATOR),
                    "section": Field(
                        "list of table",
                        "các phần lời",
                        of=Table(
                            "Một phần lời.",
                            {
                                "key": Field("text", "khóa", required=True, pattern=KEY, longest=60, example="tinh-hinh"),
                                "name": Field("text", "tên phần", required=True, longest=200, example="Tình hình"),
                                "required": Field("boolean", "phải viết", default="false", example="true"),
                            },
                        ),
                    ),
                },
            ),
        ),
        "period_family": Field(
            "list of table",
            "loại kỳ báo cáo riêng",
            of=Table(
                "Một loại kỳ riêng.",
                {
                    "key": Field("text", "khóa, dùng ở trigger.family", required=True, pattern=KEY, example="hai-ky"),
                    "ends": Field(
                        "list of text",
                        "ngày cuối của từng kỳ trong năm, dạng MM-DD, tăng dần",
                        True,
                        pattern=MONTH_DAY,
                        example='["05-20", "11-20"]',
                    ),
                    "names": Field(
                        "list of text", "tên từng kỳ", pattern=PERIOD_NAME, default="P01, P02…", example='["K1", "K2"]'
                    ),
                },
            ),
        ),
        "duty": Field("list of table", "các nghĩa vụ", required=True, of=DUTY),
        "thresholds": Field(
            "table",
            "ngưỡng của phần nhận xét trong tổng kết",
            of=Table(
                "Ngưỡng nhận xét.",
                {
                    "silence_days": _count("im lặng từ bao nhiêu ngày thì nêu", "60"),
                    "missing_count": _count("thiếu từ bao nhiêu lần thì nêu", "2"),
                    "late_count": _count("chậm từ bao nhiêu lần thì nêu", "3"),
                    "unacknowledged_days": _count("chưa xác nhận sau bao nhiêu ngày thì nêu", "10"),
                    "unacknowledged_count": _count("chưa xác nhận từ bao nhiêu văn bản thì nêu", "3"),
                    "year_family": Field(
                        "text", "loại kỳ của năm tổng kết, xem bảng dưới", longest=80, default="r-rep-year", example="year"
                    ),
                },
            ),
        ),
        "example": Field(
            "list of table",
            "ví dụ tính sẵn, như luật gia lập bảng",
            of=Table(
                "Một ví dụ tính sẵn.",
                {
                    "duty": Field("text", "khóa nghĩa vụ", required=True, example="d-01"),
                    "period": Field("text", "tên kỳ; cần khi nghĩa vụ theo kỳ", longest=40, example="2026-03"),
                    "event": Field(
                        "text",
                        "thời điểm sự việc có múi giờ; cần khi nghĩa vụ theo sự việc",
                        longest=40,
                        example="2026-03-05T09:30+07:00",
                    ),
                    "on": Field("date", "ngày của nghĩa vụ hằng năm; cần khi nghĩa vụ theo ngày", example="2026-03-03"),
                    "debtor_kind": Field(
                        "text",
                        "loại cơ quan phải gửi, khi hạn riêng theo loại",
                        choices=tuple(ORGANISATION_KINDS),
                        example="sea_squadron",
                    ),
                    "due": Field("date", "ngày cuối cùng còn đúng hạn; đúng một trong hai: due, due_at", example="2026-03-17"),
                    "due_at": Field(
                        "text", "thời điểm bắt đầu chậm, cho hạn tính bằng giờ", longest=40, example="2026-03-06T09:30+07:00"
                    ),
                    "note": Field("text", "ghi chú", longest=300, default="trống", example="qua cuối tuần"),
                },
            ),
        ),
    },
)


def schema() -> dict[str, object]:
    """Return the JSON Schema of a regulation file, for editors."""
    return schema_of_file(REGULATION, "hiepdong.regulation/1")
