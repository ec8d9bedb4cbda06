"""Loading the administrative units, from the data files of an installed package and our own corrections."""

import json
import sqlite3
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from django.db import transaction

from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import fold, nfc, sort_key

from . import queries
from .models import Level, Succession, Unit, UnitFlag

PACKAGE = "vietnamadminunits"
OLD_FROM = date(2004, 1, 1)
NEW_FROM = date(2025, 7, 1)
OLD_SOURCE = "vietnamadminunits 1.0.4 (MIT), trước 01/07/2025; ngày bắt đầu chưa rõ, ghi quy ước 01/01/2004"
NEW_SOURCE = "vietnamadminunits 1.0.4 (MIT), từ 01/07/2025"


class DataMissing(DomainError):
    """The package with the units is not installed."""

    code = "territories.data_missing"
    message = gettext_noop("The data files of the package %(package)s are not installed.")
    hint = gettext_noop("Run bin/setup again.")


def _data_file(name: str) -> Path:
    """Return a data file of the package without importing the package (which would pull in what we do not need)."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise DataMissing(package=PACKAGE) from error
    found = next((f for f in files if str(f).endswith(f"data/{name}")), None)
    if found is None:
        raise DataMissing(package=PACKAGE)
    return Path(str(found.locate()))


def corrections() -> dict[str, Any]:
    """Return our own dated corrections and flags."""
    return tomllib.loads((resources.files(__package__) / "data" / "corrections.toml").read_text(encoding="utf-8"))


@transaction.atomic
def load_units(*, actor: Any, at: datetime, progress: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """Load both pictures, their successions and flags; running it again changes nothing.

    The converter names old units by folded keys that are unique in the package (checked here: a key that stands for two
    codes is refused), so no unit is matched by a name without marks. Returns counts by table.
    """
    if Unit.objects.exists():
        return _counts()
    with closing(sqlite3.connect(f"file:{_data_file('dataset.db')}?mode=ro", uri=True)) as source:
        old_rows = source.execute(
            "select provinceCode, province, provinceShort, provinceKey, districtCode, district, districtShort,"
            " districtType, districtKey, wardCode, ward, wardShort, wardType, coalesce(wardKey, '')"
            " from admin_units_legacy"
        ).fetchall()
        new_rows = source.execute(
            "select provinceCode, province, provinceShort, provinceKey, wardCode, ward, wardShort, wardType, wardKey"
            " from admin_units"
        ).fetchall()
    converter = json.loads(_data_file("converter_2025.json").read_text(encoding="utf-8"))
    old_keys, province_keys = _load_old(old_rows)
    progress(f"old picture: {Unit.objects.count()} units")
    new_keys, new_provinces = _load_new(new_rows)
    progress(f"both pictures: {Unit.objects.count()} units")
    _load_successions(converter, old_keys, province_keys, new_keys, new_provinces)
    _correct()
    counts = _counts()
    first = Unit.objects.earliest("pk")
    record("territories.units.loaded", subject=first, actor=actor, at=at, name="Đơn vị hành chính", facts=counts)
    progress(json.dumps(counts))
    return counts


def _counts() -> dict[str, int]:
    return {
        "units": Unit.objects.count(),
        "successions": Succession.objects.count(),
        "flags": UnitFlag.objects.count(),
    }


def _unit(
    code: str, level: str, kind: str, name: str, parent: Unit | None, since: date, until: date | None, source: str
) -> Unit:
    name = nfc(name)
    return Unit(
        code=code,
        valid_from=since,
        valid_until=until,
        level=level,
        kind=nfc(kind).lower(),
        name=name,
        parent=parent,
        name_folded=fold(name),
        name_sort=sort_key(name),
        source=source,
    )


def _kind_of(full: str, short: str) -> str:
    return full.removesuffix(short).strip() or "Tỉnh"


def _without_kind(full: str, kind: str) -> str:
    """Return the name without its kind in front, which the package writes with other capitals in places ("Thị Trấn Prao")."""
    full = nfc(full)
    return full[len(kind) :].strip() if full.lower().startswith(f"{nfc(kind).lower()} ") else full.strip()


def _load_old(rows: list[Any]) -> tuple[dict[str, Unit], dict[str, Unit]]:
    provinces: dict[str, Unit] = {}
    districts: dict[str, Unit] = {}
    province_keys: dict[str, Unit] = {}
    for row in rows:
        if row[0] not in provinces:
            kind = _kind_of(row[1], row[2])
            provinces[row[0]] = _unit(row[0], Level.PROVINCE, kind, row[2], None, OLD_FROM, NEW_FROM, OLD_SOURCE)
            province_keys[row[3]] = provinces[row[0]]
    Unit.objects.bulk_create(provinces.values())
    for row in rows:
        if row[4] not in districts:
            name = _without_kind(row[5], row[7])
            unit = _unit(row[4], Level.DISTRICT, row[7], name, provinces[row[0]], OLD_FROM, NEW_FROM, OLD_SOURCE)
            districts[row[4]] = unit
    Unit.objects.bulk_create(districts.values())
    keys: dict[str, Unit] = {}
    communes = []
    for row in rows:
        key = f"{row[3]}_{row[8]}_{row[13]}"
        if key in keys:
            raise ValueError(f"the package names two units {key}: match by code first")
        if row[9]:
            name = _without_kind(row[10], row[12])
            unit = _unit(row[9], Level.COMMUNE, row[12], name, districts[row[4]], OLD_FROM, NEW_FROM, OLD_SOURCE)
            communes.append(unit)
            keys[key] = unit
        else:
            keys[key] = districts[row[4]]  # an island district without communes
    Unit.objects.bulk_create(communes, batch_size=2000)
    return keys, province_keys


def _load_new(rows: list[Any]) -> tuple[dict[tuple[str, str], Unit], dict[str, Unit]]:
    provinces: dict[str, Unit] = {}
    by_code: dict[str, Unit] = {}
    for row in rows:
        if row[3] not in provinces:
            kind = _kind_of(row[1], row[2])
            provinces[row[3]] = _unit(row[0], Level.PROVINCE, kind, row[2], None, NEW_FROM, None, NEW_SOURCE)
            by_code[row[0]] = provinces[row[3]]
    Unit.objects.bulk_create(provinces.values())
    keys: dict[tuple[str, str], Unit] = {}
    for row in rows:
        name = _without_kind(row[5], row[7])
        if (row[3], row[8]) in keys:
            raise ValueError(f"the package names two units {row[3]}_{row[8]}: match by code first")
        unit = _unit(row[4], Level.COMMUNE, row[7], name, by_code[row[0]], NEW_FROM, None, NEW_SOURCE)
        keys[row[3], row[8]] = unit
    Unit.objects.bulk_create(keys.values(), batch_size=2000)
    return keys, provinces


def _load_successions(
    converter: dict[str, Any],
    old: dict[str, Unit],
    old_provinces: dict[str, Unit],
    new: dict[tuple[str, str], Unit],
    new_provinces: dict[str, Unit],
) -> None:
    found: dict[tuple[int, int], Succession] = {}

    def link(before: Unit, after: Unit, share: str) -> None:
        found[before.pk, after.pk] = Succession(
            predecessor=before, successor=after, effective_on=NEW_FROM, share=share, source=NEW_SOURCE
        )

    for key, members in converter["DICT_PROVINCE"].items():
        for member in members:
            link(old_provinces[member], new_provinces[key], Succession.Share.WHOLE)
    for province, wards in converter["DICT_PROVINCE_WARD_NO_DIVIDED"].items():
        for ward, members in wards.items():
            for member in members:
                link(old[member], new[province, ward], Succession.Share.WHOLE)
    for province, members in converter["DICT_PROVINCE_WARD_DIVIDED"].items():
        for member, parts in members.items():
            for part in parts:
                link(old[member], new[province, part["newWardKey"]], Succession.Share.PART)
    Succession.objects.bulk_create(found.values(), batch_size=2000)


def _correct() -> None:
    table = corrections()
    for row in table["district"]:
        heir = Unit.objects.get(code=row["successor"], level=Level.DISTRICT, valid_from=OLD_FROM)
        province = Unit.objects.get(code=row["province"], level=Level.PROVINCE, valid_from=OLD_FROM)
        until, source = row["valid_until"], row["source"]
        district = _unit(row["code"], Level.DISTRICT, row["kind"], row["name"], province, OLD_FROM, until, source)
        district.save()
        Succession.objects.create(
            predecessor=district, successor=heir, effective_on=until, share=Succession.Share.WHOLE, source=source
        )
        for commune in Unit.objects.filter(code__in=row["communes"], level=Level.COMMUNE, valid_from=OLD_FROM):
            before = _unit(commune.code, Level.COMMUNE, commune.kind, commune.name, district, OLD_FROM, until, source)
            Unit.objects.filter(pk=commune.pk).update(valid_from=until)
            before.save()
            Succession.objects.create(
                predecessor=before, successor=commune, effective_on=until, share=Succession.Share.WHOLE, source=source
            )
    flags = []
    for row in table["flag"]:
        units = Unit.objects.filter(code__in=row["codes"], level=row["level"], valid_from__lte=row["on"]).exclude(
            valid_until__lte=row["on"]
        )
        for unit in units:
            flags.append(
                UnitFlag(
                    unit=unit,
                    flag=row["flag"],
                    valid_from=row["on"],
                    valid_until=unit.valid_until,
                    source=row["source"],
                    verified=row["verified"],
                )
            )
    UnitFlag.objects.bulk_create(flags)


# --- a reorganisation ---------------------------------------------------------------------------------------------------


class UnitsDisagree(DomainError):
    """The units of a reorganisation do not fit what the node knows."""

    code = "territories.units_disagree"
    message = gettext_noop("%(count)s units do not fit what this node knows.")
    hint = gettext_noop("Correct what is listed; nothing was changed.")

    def __init__(self, found: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(count=len(found))
        self.found = list(found)  # (key path, what was found, what is accepted)


@transaction.atomic
def load_unit_changes(
    *, rows: Sequence[Mapping[str, Any]], on: date, actor: Any, at: datetime
) -> list[tuple[Unit, bool, list[Succession]]]:
    """Let units begin on a day, out of the units before it; what is known already stays as it is.

    A unit that the node does not know is made; the units it is made of end on that day, and not a day before. Each row holds
    `code` ("commune:16744"), `kind`, `name`, `parent`, `from` (whole), `parts_of`, `flags`, `source`, `verified`.
    Returns (unit, made now, the successions into it) in the order of the rows.

    Raises:
        UnitsDisagree: with every disagreement; nothing was changed.
    """
    codes = {c for r in rows for c in (r["code"], r.get("parent", ""), *r.get("from", ()), *r.get("parts_of", ())) if c}
    bare = {c.partition(":")[2] for c in codes}
    before = queries.units_by_code(bare, on - timedelta(days=1))
    after = queries.units_by_code(bare, on)
    found = [
        p for i, r in enumerate(rows, 1) for p in _disagreements(r, f"unit[{i}]", on, before, after, {x["code"] for x in rows})
    ]
    if found:
        raise UnitsDisagree(found)
    result = []
    for row in sorted(rows, key=lambda r: _LEVELS.index(r["code"].partition(":")[0])):
        result.append(_changed_unit(row, on, before, after))
    order = {row["code"]: i for i, row in enumerate(rows)}
    result.sort(key=lambda made: order[f"{made[0].level}:{made[0].code}"])
    fresh = [unit for unit, made, _ in result if made]
    if fresh:
        name = f"{on:%d/%m/%Y}"
        record("territories.units.changed", subject=fresh[0], actor=actor, at=at, name=name, facts={"made": len(fresh)})
    return result


_LEVELS = [Level.PROVINCE, Level.DISTRICT, Level.COMMUNE]
_Known = dict[tuple[str, str], Unit]


def _at(code: str) -> tuple[str, str]:
    level, _, number = code.partition(":")
    return level, number


def _disagreements(
    row: Mapping[str, Any], path: str, on: date, before: _Known, after: _Known, new: Collection[str]
) -> list[tuple[str, str, str]]:
    found = []
    known = after.get(_at(row["code"]))
    older = [(f"{key}[{j}]", c) for key in ("from", "parts_of") for j, c in enumerate(row.get(key, ()), 1)]
    if known is not None and known.valid_from == on:
        for key, has in (("kind", known.kind), ("name", known.name)):
            if key in row and nfc(row[key]).lower() != has.lower():
                found.append(
                    (f"{path}.{key}", repr(row[key]), f"{has!r}, như nút đã biết về mã {row['code']} từ {on.isoformat()}")
                )
    else:
        if known is not None and row["code"] not in [c for _, c in older]:
            accepted = f"mã chưa dùng, hoặc ghi {row['code']} ở from hay parts_of; nay là {known.full_name}"
            found.append((f"{path}.code", row["code"], accepted))
        for key in ("kind", "name", *(() if row["code"].startswith("province") else ("parent",))):
            if not row.get(key, "").strip():
                found.append(
                    (f"{path}.{key}", "thiếu", f"cần khi lập đơn vị mới; nút chưa biết mã {row['code']} từ {on.isoformat()}")
                )
        parent = row.get("parent", "")
        if parent and parent not in new and _at(parent) not in after:
            found.append((f"{path}.parent", parent, f"mã đơn vị có vào ngày {on.isoformat()}"))
    for where, code in older:
        old = before.get(_at(code))
        if old is None:
            found.append((f"{path}.{where}", code, f"mã đơn vị có vào ngày {(on - timedelta(days=1)).isoformat()}"))
        elif old.valid_until is not None and old.valid_until != on:
            found.append((f"{path}.{where}", code, f"đơn vị còn đến {on.isoformat()}; nút biết nó còn đến {old.valid_until}"))
    return found


def _changed_unit(row: Mapping[str, Any], on: date, before: _Known, after: _Known) -> tuple[Unit, bool, list[Succession]]:
    unit = after.get(_at(row["code"]))
    made = unit is None or unit.valid_from != on
    source = nfc(row["source"])
    shares = [(c, Succession.Share.WHOLE) for c in row.get("from", ())]
    shares += [(c, Succession.Share.PART) for c in row.get("parts_of", ())]
    for code, _share in shares:
        old = before[_at(code)]
        if old.valid_until is None:
            old.valid_until = on
            old.save(update_fields=["valid_until"])
            old.flags.filter(valid_until__isnull=True).update(valid_until=on)
    if unit is None or made:
        level, number = _at(row["code"])
        parent = after.get(_at(row["parent"])) if row.get("parent") else None
        unit = _unit(number, level, row["kind"], row["name"], parent, on, None, source)
        unit.save()
        after[level, number] = unit
    for code, share in shares:
        Succession.objects.get_or_create(
            predecessor=before[_at(code)],
            successor=unit,
            defaults={"effective_on": on, "share": share, "source": source},
        )
    for flag in row.get("flags", ()):
        UnitFlag.objects.get_or_create(
            unit=unit, flag=flag, valid_from=on, defaults={"source": source, "verified": row["verified"]}
        )
    return unit, made, queries.forebears_of(unit)
