"""Many rows into one table at once, without what `bulk_create` does for each value and no table here needs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import connection, models

AS_THEY_ARE = {models.BooleanField, models.IntegerField, *models.IntegerField.__subclasses__()}


def _text(value: Any) -> Any:
    return value if value is None or type(value) is str else str(value)  # a member of an enumeration is its value


def _reader(field: models.Field[Any, Any]) -> Callable[[models.Model], Any]:
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
    return lambda row: field.get_db_prep_save(row.__dict__[name], connection)


def insert(rows: Iterable[models.Model], *, keyed: bool = False) -> None:
    """Insert unsaved rows of one table in the caller's transaction.

    With `keyed` the rows know their keys afterwards, as those do that `bulk_create` returns; without it, for rows that nothing
    refers to yet, they do not. `pre_save` of fields and defaults of the database do not happen.
    """
    rows = list(rows)
    if not rows:
        return
    meta, quote = rows[0]._meta, connection.ops.quote_name
    if keyed:
        for row, number in zip(rows, _fresh_keys(meta.db_table, meta.pk.column or "id", len(rows)), strict=True):
            row.pk = number
            row._state.adding, row._state.db = False, connection.alias
    fields = [f for f in meta.concrete_fields if keyed or not isinstance(f, models.AutoField)]
    readers = [_reader(f) for f in fields]
    named = ", ".join(quote(f.column or f.attname) for f in fields)
    statement = f"INSERT INTO {quote(meta.db_table)} ({named}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608  # names
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[read(row) for read in readers] for row in rows])


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
