"""Reads that are asked for every single paper: Django writes their SQL once, afterwards only the values are bound.

To write a query costs Django ten times what SQLite needs to answer it. A `Prepared` is written as any other query; it keeps
the statement by the lengths of its lists, and reads rows as the query would. Measured in docs/explanation/performance.md.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.base import ModelState
from django.db.models.expressions import Expression
from django.db.models.lookups import In
from django.db.models.query import get_related_populators
from django.db.models.sql.compiler import SQLCompiler

LONGEST = 8  # values of a list whose statement is kept; a longer one is asked in the usual way


def among(name: str, values: Collection[Any]) -> In:
    """Return the condition that a foreign key is among values: `name__in` of one does not take places for values."""
    return In(models.F(name), values)


class _Slot(Expression):
    """The place of a value in a statement."""

    def __init__(self, name: str, place: int | None, output_field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name, self.place = name, place
        kinds = {models.CharField: str, models.BigIntegerField: int}
        self.plain: type | None = kinds.get(type(output_field))

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class _Statement:
    """SQL with the places of its values, and how a row of it is read."""

    def __init__(self, queryset: Any) -> None:  # a QuerySet, of which more is asked than it shows
        compiler = queryset.query.get_compiler(using=queryset.db)
        self.sql, self.params = compiler.as_sql()
        if queryset.db != DEFAULT_DB_ALIAS:
            raise ValueError("reads of the main database only")
        self.compiler, self.db = compiler, queryset.db
        self.converters = compiler.get_converters([column[0] for column in compiler.select])
        self.model = None if queryset._fields is not None else queryset.model
        self.flat = self.model is None and len(compiler.select) == 1
        if self.model is not None:
            klass, select = compiler.klass_info, compiler.select
            columns = klass["select_fields"]
            self.first, self.last = columns[0], columns[-1] + 1
            self.names = [column[0].target.attname for column in select[self.first : self.last]]
            self.related = get_related_populators(klass, select, self.db, queryset._fetch_mode)
            self.added = list(compiler.annotation_col_map.items())

    def rows(self, values: dict[str, Any], connection: Any) -> list[Any]:
        """Return what the query finds with these values."""
        bound = []
        for param in self.params:
            if type(param) is _Slot:
                value = values[param.name]
                value = value if param.place is None else value[param.place]
                # numbers and words are what the database takes; the rest is turned into it
                bound.append(value if param.plain is type(value) else param.output_field.get_db_prep_value(value, connection))
            else:
                bound.append(param)
        with connection.cursor() as cursor:
            cursor.execute(self.sql, bound)
            found: Any = cursor.fetchall()
        if self.converters:
            found = self.compiler.apply_converters(found, self.converters)
        if self.flat:
            return [row[0] for row in found]
        if self.model is None:
            return [tuple(row) for row in found]
        made = []
        for row in found:
            one = self.model.__new__(self.model)  # as from_db makes it, without signals, which no model here uses
            one._state = state = ModelState()
            state.adding, state.db = False, self.db
            one.__dict__.update(zip(self.names, row[self.first : self.last], strict=True))
            for populator in self.related:
                populator.populate(row, one)
            for name, place in self.added:
                setattr(one, name, row[place])
            made.append(one)
        return made


class Prepared[Row]:
    """A query by names: the function that builds it, and a field for each value, or a list of one field for a list of values.

    `Prepared(lambda ids: Peer.objects.filter(pk__in=ids), ids=[BigIntegerField()])(ids={3, 7})` returns a list of rows; with
    `values_list` of one column a list of values. No value may be None (SQL would never find it), and an empty list finds
    nothing without asking.
    """

    def __init__(
        self,
        build: Callable[..., models.QuerySet[Any, Row]],
        **kinds: models.Field[Any, Any] | list[models.Field[Any, Any]],
    ) -> None:
        self._build, self._kinds = build, kinds

    def __call__(self, **values: Any) -> list[Row]:
        connection = connections[DEFAULT_DB_ALIAS]
        shape: list[object] = [self]
        for name, kind in self._kinds.items():
            if not isinstance(kind, list):
                continue
            values[name] = listed = _listed(values[name])
            if not listed:
                return []
            if len(listed) > LONGEST:
                return list(self._build(**values))
            shape.append(len(listed))
        # A statement knows the connection for which it was written, so it lives as long: no thread holds another's open.
        kept: dict[tuple[object, ...], _Statement] = connection.__dict__.setdefault("hiepdong_prepared", {})
        key = tuple(shape)
        statement = kept.get(key)
        if statement is None:
            statement = kept[key] = _Statement(self._build(**self._slots(values)))
        return cast("list[Row]", statement.rows(values, connection))

    def one(self, **values: Any) -> Row | None:
        """Return the first row, or None."""
        return next(iter(self(**values)), None)

    def _slots(self, values: dict[str, Any]) -> dict[str, Any]:
        slots: dict[str, Any] = {}
        for name, kind in self._kinds.items():
            if isinstance(kind, list):
                slots[name] = [_Slot(name, place, kind[0]) for place in range(len(values[name]))]
            else:
                slots[name] = _Slot(name, None, kind)
        return slots


def _listed(values: Collection[Any]) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else list(values)
