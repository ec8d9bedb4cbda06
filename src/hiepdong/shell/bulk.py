"""Many rows into one table at once, without what `bulk_create` does for each value and no table here needs."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection, models

AS_THEY_ARE = (models.IntegerField, models.BooleanField, models.ForeignKey)


def _text(value: Any) -> Any:
    return value if value is None or type(value) is str else str(value)  # a member of an enumeration is its value


def _converter(field: models.Field[Any, Any]) -> Callable[[Any], Any] | None:
    if isinstance(field, models.CharField | models.TextField):
        return _text
    if isinstance(field, AS_THEY_ARE) and type(field) in {*AS_THEY_ARE, *models.IntegerField.__subclasses__()}:
        return None
    return lambda value: field.get_db_prep_save(value, connection)


def insert(rows: Iterable[models.Model]) -> None:
    """Insert unsaved rows of one table in the caller's transaction.

    Their keys are given by the database and are not read back: for rows that nothing refers to yet. `pre_save` of fields and
    defaults of the database do not happen. Values are what the table takes, as the models' own code left them.
    """
    rows = list(rows)
    if not rows:
        return
    meta, quote = rows[0]._meta, connection.ops.quote_name
    fields = [f for f in meta.concrete_fields if not isinstance(f, models.AutoField)]
    columns = [(f.attname, _converter(f)) for f in fields]
    named = ", ".join(quote(f.column or f.attname) for f in fields)
    statement = f"INSERT INTO {quote(meta.db_table)} ({named}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608  # names
    values = []
    for row in rows:
        have = row.__dict__
        values.append([have[name] if turn is None else turn(have[name]) for name, turn in columns])
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
