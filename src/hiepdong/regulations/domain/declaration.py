"""The shape of a regulation file, declared once: the checker, the JSON Schema and the reference page all read this.

A declaration is data: tables of fields, each with its kind, what is accepted and what it means.
"""

from hiepdong.kernel.declared import KEY, Field, Table
from hiepdong.kernel.declared import schema as schema_of_file
from hiepdong.organisations.domain.kinds import ORGANISATION_KINDS

CLAUSE = r"[0-9A-Za-z][0-9A-Za-z.đ]{0,19}"
MONTH_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


SELECTOR = Table(
    "Chọn cơ quan: bằng khóa, bằng loại, bằng bên của quy chế, và bằng quan hệ với bên phải gửi.",
    {
        "organisation": Field("text", "khóa của đúng một cơ quan", pattern=KEY),
        "kind": Field("text or list of text", "loại cơ quan", choices=tuple(ORGANISATION_KINDS)),
        "side": Field("text", "bên trong quy chế, như khai ở [[party]]"),
        "relation": Field(
            "text",
            "quan hệ với bên phải gửi: cùng địa bàn phụ trách, cấp trên, cấp dưới, hoặc bất kỳ",
            choices=("same_territory", "superior", "subordinate", "any"),
        ),
    },
)

_DEADLINE_FIELDS: dict[str, Field] = {
    "type": Field(
        "text",
        "cách tính hạn: ngày cố định của tháng kết thúc kỳ; ngày cố định của tháng sau; sau một khoảng; chính ngày đó",
        choices=("day_of_period_end_month", "day_of_month_after", "after", "date"),
    ),
    "day": Field("integer", "ngày trong tháng; 31 là ngày cuối tháng", least=1, most=31),
    "amount": Field("integer", "độ dài khoảng", least=0, most=1000),
    "unit": Field("text", "đơn vị của khoảng", choices=("hours", "days", "working_days", "weeks")),
    "on_day_off": Field(
        "text", "khi hạn rơi vào ngày nghỉ: giữ nguyên, lùi về trước, chuyển sau", choices=("stay", "previous", "next")
    ),
    "earliest_working_days": Field("integer", "ít nhất bấy nhiêu ngày làm việc từ ngày chốt số liệu", least=0, most=60),
    "latest_day": Field("integer", "không muộn hơn ngày này của tháng; 0 là không đặt", least=0, most=31),
    "clause": Field("text", "điều khoản làm căn cứ, nếu khác điều khoản của nghĩa vụ"),
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
        "key": Field("text", "khóa, giữ nguyên qua các lần sửa đổi", required=True, pattern=KEY),
        "title": Field("text", "tên gọi trên màn hình", required=True, longest=300),
        "clause": Field("text", "điều khoản, như khai ở [[article]]", required=True, pattern=CLAUSE),
        "field": Field("text", "lĩnh vực phối hợp, như khai ở [[field]]"),
        "debtor": Field("table", "bên phải gửi hoặc phải làm", required=True, of=SELECTOR),
        "creditor": Field("table", "bên nhận", required=True, of=SELECTOR),
        "copies": Field("list of table", "nơi nhận bản sao", of=SELECTOR),
        "content": Field(
            "table",
            "nội dung phải gửi",
            required=True,
            of=Table(
                "Nội dung.",
                {
                    "type": Field("text", "báo cáo theo mẫu, thông báo, việc", True, ("report", "notice", "act")),
                    "form": Field("text", "mẫu báo cáo, như khai ở [[form]]"),
                    "nil_allowed": Field("boolean", "được báo “không có thay đổi” bằng một thao tác ký"),
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
                    "type": Field("text", "theo kỳ, theo sự việc, theo ngày hằng năm", True, ("period", "event", "yearly")),
                    "family": Field("text", "loại kỳ báo cáo"),
                    "event": Field("text", "tên sự việc"),
                    "moment": Field(
                        "text", "tính từ lúc xảy ra, phát hiện hay nhận tin", choices=("happened", "found", "received")
                    ),
                    "month": Field("integer", "tháng", least=1, most=12),
                    "day": Field("integer", "ngày", least=1, most=31),
                },
            ),
        ),
        "deadline": Field("table", "quy tắc tính hạn", required=True, of=DEADLINE),
        "reminders": Field("list of integer", "nhắc trước (-) và sau hạn, tính bằng ngày"),
        "may_waive": Field("list of text", "bên được miễn", choices=("creditor", "debtor", "superior")),
        "may_suspend": Field("list of text", "bên được tạm dừng", choices=("creditor", "debtor", "superior")),
        "source": Field("text", "nguồn của quy định này", required=True, longest=500),
        "verified": Field("boolean", "đã thấy nguyên văn hay chưa", required=True),
    },
)

INDICATOR = Table(
    "Một chỉ tiêu của mẫu báo cáo.",
    {
        "key": Field("text", "khóa", required=True, pattern=KEY),
        "name": Field("text", "tên chỉ tiêu", required=True, longest=200),
        "unit": Field("text", "đơn vị tính", required=True, longest=40),
        "definition": Field("text", "cách đếm: chỉ so sánh khi giống hệt nhau", longest=80),
        "group": Field("text", "nhóm trên mẫu"),
        "field": Field("text", "lĩnh vực phối hợp"),
        "aggregate": Field("text", "cộng dồn, lấy số cuối kỳ, không gộp", choices=("sum", "last", "none")),
        "parts_of": Field("text", "là một phần của chỉ tiêu tổng nào"),
        "required": Field("boolean", "phải điền"),
    },
)

REGULATION = Table(
    "Một tệp là một phiên bản của một quy chế.",
    {
        "format": Field("text", "luôn là hiepdong.regulation/1", required=True, choices=("hiepdong.regulation/1",)),
        "key": Field("text", "khóa của quy chế, giữ nguyên qua các phiên bản", required=True, pattern=KEY),
        "version": Field("integer", "số thứ tự phiên bản, bắt đầu từ 1", required=True, least=1, most=999),
        "number": Field("text", "số, ký hiệu như in trên văn bản; để trống nếu chưa biết", longest=80),
        "title": Field("text", "tên quy chế", required=True, longest=300),
        "signed_on": Field("date", "ngày ký"),
        "effective_from": Field("date", "ngày có hiệu lực", required=True),
        "effective_until": Field("date", "ngày hết hiệu lực (không tính ngày này)"),
        "parent": Field("text", "khóa của quy chế cấp trên", pattern=KEY),
        "issuer": Field("text", "khóa của cơ quan chủ trì", required=True, pattern=KEY),
        "source": Field("text", "nguồn", required=True, longest=500),
        "verified": Field("boolean", "đã thấy nguyên văn hay chưa", required=True),
        "party": Field(
            "list of table",
            "các bên",
            required=True,
            of=Table(
                "Một bên của quy chế.",
                {
                    "organisation": Field("text", "khóa của cơ quan", required=True, pattern=KEY),
                    "side": Field("text", "tên bên, ví dụ border_guard, locality", required=True, pattern=r"[a-z_]{1,30}"),
                },
            ),
        ),
        "field": Field(
            "list of table",
            "các lĩnh vực phối hợp",
            of=Table(
                "Một lĩnh vực phối hợp.",
                {
                    "key": Field("text", "khóa", required=True, pattern=KEY),
                    "name": Field("text", "tên", required=True, longest=200),
                    "clause": Field("text", "điều khoản", pattern=CLAUSE),
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
                    "clause": Field("text", "số điều, khoản: 5 hoặc 5.2", required=True, pattern=CLAUSE),
                    "heading": Field("text", "tên điều", longest=300),
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
                    "key": Field("text", "khóa", required=True, pattern=KEY),
                    "title": Field("text", "tên mẫu", required=True, longest=300),
                    "indicator": Field("list of table", "các chỉ tiêu", of=INDICATOR),
                    "section": Field(
                        "list of table",
                        "các phần lời",
                        of=Table(
                            "Một phần lời.",
                            {
                                "key": Field("text", "khóa", required=True, pattern=KEY),
                                "name": Field("text", "tên phần", required=True, longest=200),
                                "required": Field("boolean", "phải viết"),
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
                    "key": Field("text", "khóa", required=True, pattern=KEY),
                    "ends": Field("list of text", "ngày cuối của từng kỳ trong năm, dạng MM-DD", True, pattern=MONTH_DAY),
                    "names": Field("list of text", "tên từng kỳ"),
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
                    "silence_days": Field("integer", "im lặng từ bao nhiêu ngày thì nêu", least=1, most=1000),
                    "missing_count": Field("integer", "thiếu từ bao nhiêu lần thì nêu", least=1, most=1000),
                    "late_count": Field("integer", "chậm từ bao nhiêu lần thì nêu", least=1, most=1000),
                    "unacknowledged_days": Field("integer", "chưa xác nhận sau bao nhiêu ngày thì nêu", least=1, most=1000),
                    "unacknowledged_count": Field("integer", "chưa xác nhận từ bao nhiêu văn bản thì nêu", least=1, most=1000),
                    "year_family": Field("text", "loại kỳ của năm tổng kết"),
                },
            ),
        ),
        "example": Field(
            "list of table",
            "ví dụ tính sẵn, như luật gia lập bảng",
            of=Table(
                "Một ví dụ tính sẵn.",
                {
                    "duty": Field("text", "khóa nghĩa vụ", required=True),
                    "period": Field("text", "tên kỳ, ví dụ 2020-03"),
                    "event": Field("text", "thời điểm sự việc, ví dụ 2020-03-05T09:30+07:00"),
                    "on": Field("date", "ngày của nghĩa vụ hằng năm"),
                    "debtor_kind": Field("text", "loại cơ quan phải gửi", choices=tuple(ORGANISATION_KINDS)),
                    "due": Field("date", "ngày cuối cùng còn đúng hạn"),
                    "due_at": Field("text", "thời điểm bắt đầu chậm, cho hạn tính bằng giờ"),
                    "note": Field("text", "ghi chú"),
                },
            ),
        ),
    },
)


def schema() -> dict[str, object]:
    """Return the JSON Schema of a regulation file, for editors."""
    return schema_of_file(REGULATION, "hiepdong.regulation/1")
