"""Rows into one table, many at once or one of many, without what Django does for each value and no table here needs."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models.base import ModelState

AS_THEY_ARE = {models.BooleanField, models.IntegerField, *models.IntegerField.__subclasses__()}
Reader = Callable[[models.Model], Any]


def _text(value: Any) -> Any:
    return value if value is None or type(value) is str else str(value)  # a member of an enumeration is its value


def _moment_lite(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a moment without a zone")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


# What SQLite takes for a value of this field and type; anything else goes Django's way.
_LITE: dict[type[models.Field[Any, Any]], tuple[type, Callable[[Any], Any]]] = {
    models.DateTimeField: (datetime, _moment_lite),
    models.UUIDField: (UUID, lambda value: value.hex),
    models.BinaryField: (bytes, lambda value: value),
}


def _reader(field: models.Field[Any, Any], vendor: str) -> Reader:
    """Return what takes a field's value out of a row, as the database takes it."""
    name = field.attname
    if isinstance(field, models.ForeignKey):

        def key(row: models.Model) -> Any:
            found = row.__dict__[name]
            named = field.get_cached_value(row, default=None) if found is None else None
            if named is not None:  # it was made before it had a key, and is stored by now
                found = named.pk
                row.__dict__[name] = found  # by attribute, Django would forget the row that it names
            return found

        return key
    if isinstance(field, models.CharField | models.TextField):
        return lambda row: _text(row.__dict__[name])
    if type(field) in AS_THEY_ARE:
        return lambda row: row.__dict__[name]
    if vendor == "sqlite" and isinstance(field, models.JSONField) and field.encoder is None:
        return lambda row: _json_lite(field, row.__dict__[name])
    kind, quick = _LITE.get(type(field), (None, None)) if vendor == "sqlite" else (None, None)

    def other(row: models.Model) -> Any:
        value = row.__dict__[name]
        if value is None:
            return None
        if quick is not None and type(value) is kind:
            return quick(value)
        return field.get_db_prep_save(value, connection)

    return other


def _json_lite(field: models.Field[Any, Any], value: Any) -> Any:
    if type(value) in (dict, list):
        return json.dumps(value) if value else str(value)  # {} and [] are written as Python writes them
    return field.get_db_prep_save(value, connection)


class _Plan(NamedTuple):
    statement: str
    readers: tuple[Reader, ...]


@lru_cache(maxsize=256)
def _insertion(model: type[models.Model], with_key: bool, vendor: str) -> _Plan:
    meta, quote = model._meta, connection.ops.quote_name
    fields = [f for f in meta.concrete_fields if with_key or not isinstance(f, models.AutoField)]
    named = ", ".join(quote(f.column or f.attname) for f in fields)
    statement = f"INSERT INTO {quote(meta.db_table)} ({named}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608  # names
    return _Plan(statement, tuple(_reader(f, vendor) for f in fields))


@lru_cache(maxsize=256)
def _change(model: type[models.Model], names: tuple[str, ...], vendor: str, raised: str = "") -> _Plan:
    meta, quote = model._meta, connection.ops.quote_name
    fields = [f for name in names for f in meta.concrete_fields if f.name == name]
    columns = [quote(f.column or f.attname) for f in fields]
    more = quote(raised)  # its column is its name
    listed = ", ".join([*([f"{more} = {more} + %s"] if raised else []), *(f"{c} = %s" for c in columns)])
    told = f" RETURNING {more}" if raised else ""
    key = quote(meta.pk.column or "id")
    statement = f"UPDATE {quote(meta.db_table)} SET {listed} WHERE {key} = %s{told}"  # noqa: S608  # names
    return _Plan(statement, tuple(_reader(f, vendor) for f in (*fields, meta.pk)))


class _Blank(NamedTuple):
    """What a row of a model holds before anything is given."""

    constant: dict[str, Any]
    made: tuple[tuple[str, Callable[[], Any]], ...]  # defaults that are made anew for each row
    related: dict[str, models.ForeignKey[Any, Any]]


@lru_cache(maxsize=256)
def _blank(model: type[models.Model]) -> _Blank:
    fields = model._meta.concrete_fields
    made = tuple((f.attname, f.default) for f in fields if callable(f.default) and f.default is not models.NOT_PROVIDED)
    constant = {f.attname: f.get_default() for f in fields}
    related = {f.name: f for f in fields if isinstance(f, models.ForeignKey)}
    return _Blank(constant, made, related)


def fresh[M: models.Model](model: type[M], **values: Any) -> M:
    """Return an unsaved row as `model(**values)` does, for the many of an exchange: without signals, which no model here uses.

    Raises:
        TypeError: the model has no such field.
    """
    blank = _blank(model)
    row = model.__new__(model)
    row._state = ModelState()
    held = row.__dict__
    held.update(blank.constant)
    for name, make in blank.made:
        held[name] = make()
    for name, value in values.items():
        field = blank.related.get(name)
        if field is not None:
            held[field.attname] = value.pk if value is not None else None
            field.set_cached_value(row, value)
        elif name in blank.constant:
            held[name] = value
        else:
            raise TypeError(f"{model.__name__} has no field {name}")
    return row


def insert(rows: Iterable[models.Model], *, keyed: bool = False) -> None:
    """Insert unsaved rows of one table in the caller's transaction.

    With `keyed` the rows know their keys afterwards, as those do that `bulk_create` returns; without it, for rows that nothing
    refers to yet, they do not. `pre_save` of fields and defaults of the database do not happen.
    """
    rows = list(rows)
    if not rows:
        return
    model = type(rows[0])
    if keyed and len(rows) == 1 and isinstance(model._meta.pk, models.AutoField):
        _insert_one(rows[0])
        return
    if keyed:
        for row, number in zip(rows, _fresh_keys(model._meta.db_table, model._meta.pk.column or "id", len(rows)), strict=True):
            _stored(row, number)
    database = connections[DEFAULT_DB_ALIAS]  # `connection` looks it up anew each time
    plan = _insertion(model, keyed, database.vendor)
    values = [[read(row) for read in plan.readers] for row in rows]
    with database.cursor() as cursor:
        if len(values) == 1:
            cursor.execute(plan.statement, values[0])
        else:
            cursor.executemany(plan.statement, values)


def _insert_one(row: models.Model) -> None:
    database = connections[DEFAULT_DB_ALIAS]
    plan = _insertion(type(row), False, database.vendor)
    key = database.ops.quote_name(row._meta.pk.column or "id")
    with database.cursor() as cursor:
        cursor.execute(f"{plan.statement} RETURNING {key}", [read(row) for read in plan.readers])
        _stored(row, cursor.fetchone()[0])


def _stored(row: models.Model, number: int) -> None:
    row.pk = number
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def update(row: models.Model, *names: str) -> None:
    """Write these fields of one stored row, in the caller's transaction: `save(update_fields=…)` without its overhead."""
    database = connections[DEFAULT_DB_ALIAS]
    plan = _change(type(row), names, database.vendor)
    with database.cursor() as cursor:
        cursor.execute(plan.statement, [read(row) for read in plan.readers])


def raise_by(row: models.Model, name: str, by: int, *beside: str) -> int:
    """Add to a whole number in one stored row, and write the fields `beside` it; returns what it is now, as the row then knows.

    The statement locks the row, so that two who add to it get different numbers.
    """
    database = connections[DEFAULT_DB_ALIAS]
    plan = _change(type(row), beside, database.vendor, name)
    with database.cursor() as cursor:
        cursor.execute(plan.statement, [by, *(read(row) for read in plan.readers)])
        found = int(cursor.fetchone()[0])
    setattr(row, name, found)
    return found


def _fresh_keys(table: str, column: str, count: int) -> Sequence[int]:
    """Return keys that no row has and no other transaction will get."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # Writers of SQLite come one after the other, so what is highest now stays so until this transaction ends.
            highest = f"SELECT max({connection.ops.quote_name(column)}) FROM {connection.ops.quote_name(table)}"  # noqa: S608
            given = "SELECT seq FROM sqlite_sequence WHERE name = %s"
            cursor.execute(f"SELECT max(coalesce(({given}), 0), coalesce(({highest}), 0))", [table])
            first = int(cursor.fetchone()[0]) + 1
            return range(first, first + count)
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)", [table, column, count])
        return [row[0] for row in cursor.fetchall()]
