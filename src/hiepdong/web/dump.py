"""Rows of every table as text that no kind of database owns: read in one consistent state, loaded into either kind.

The text is what PostgreSQL's COPY writes: a row a line, columns parted by a tab, `\\N` for null, moments in UTC, bytes in
hex. PostgreSQL writes and reads it itself; for SQLite it is made and read here. So a backup of one kind of database can be
restored into the other, and any PostgreSQL can read it without this program.
"""

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field

from hiepdong.kernel.errors import DomainError, gettext_noop

LEFT_OUT = frozenset({"django_session", "exchange_search"})  # who is signed in; the word index, made again from the papers
_ROWS = 500  # read from SQLite at once

SHAPES = {
    "AutoField": "integer",
    "BigAutoField": "integer",
    "SmallAutoField": "integer",
    "IntegerField": "integer",
    "SmallIntegerField": "integer",
    "BigIntegerField": "integer",
    "PositiveIntegerField": "integer",
    "PositiveSmallIntegerField": "integer",
    "PositiveBigIntegerField": "integer",
    "BooleanField": "boolean",
    "CharField": "text",
    "EmailField": "text",
    "SlugField": "text",
    "TextField": "text",
    "URLField": "text",
    "FileField": "text",
    "DateField": "date",
    "DateTimeField": "moment",
    "DecimalField": "decimal",
    "FloatField": "real",
    "UUIDField": "uuid",
    "JSONField": "json",
    "BinaryField": "bytes",
}


class NotThisProgram(DomainError):
    """The tables are those of a newer program."""

    code = "web.backup_newer"
    message = gettext_noop("It was made by a newer version of the program: this one does not know %(migration)s.")
    hint = gettext_noop("Install the version that made it, or a later one, and try again.")


class UnfitRow(DomainError):
    """A row cannot be read, or not be stored in this kind of database."""

    code = "web.backup_unfit_row"
    message = gettext_noop("A row of %(table)s does not fit: %(reason)s.")
    hint = gettext_noop("Nothing was changed. Tell those who look after the program; keep the backup.")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, one of the values of `SHAPES`, and the decimal places of a decimal."""

    name: str
    shape: str
    places: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in the order of the text, and the column that counts by itself, or ""."""

    name: str
    columns: tuple[Column, ...]
    counter: str


def applied() -> list[tuple[str, str]]:
    """Return the migrations that the database has had, sorted."""
    return sorted(MigrationRecorder(connection).applied_migrations())


def targets(migrations: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the last ones among the migrations: what to migrate to, so that the tables are those of that moment.

    Raises:
        NotThisProgram: this program does not know one of them.
    """
    had = set(migrations)
    graph = MigrationLoader(None).graph
    for each in sorted(had):
        if each not in graph.nodes:
            raise NotThisProgram(migration=".".join(each))
    return sorted(m for m in had if not any(c.key in had for c in graph.node_map[m].children if c.key[0] == m[0]))


def tables_at(migrations: Iterable[tuple[str, str]]) -> list[Table]:
    """Return the tables that the migrations made, sorted by name, without `LEFT_OUT`.

    They are read from the migrations, not from the program's models, so that a node whose program was changed before its
    database can be backed up too, and an old backup is loaded into the tables that it was made from.
    """
    state = MigrationLoader(None).project_state(targets(migrations))
    found = []
    for model in state.apps.get_models(include_auto_created=True):
        options = model._meta
        if options.managed and not options.proxy and options.db_table not in LEFT_OUT:
            columns = tuple(_column(f) for f in options.concrete_fields)
            auto = options.auto_field
            found.append(Table(options.db_table, columns, str(auto.column) if auto is not None else ""))
    return sorted(found, key=lambda t: t.name)


def _column(field: "Field[Any, Any]") -> Column:
    shown = field
    while shown.remote_field is not None and hasattr(shown, "target_field"):
        shown = shown.target_field
    try:
        shape = SHAPES[shown.get_internal_type()]
    except KeyError as error:
        raise NotImplementedError(f"{field}: dump.SHAPES has no {shown.get_internal_type()}") from error
    return Column(str(field.column), shape, getattr(shown, "decimal_places", None) or 0)


# --- reading -------------------------------------------------------------------------------------------------------


class Snapshot(Protocol):
    """The database in one state, whatever others write meanwhile."""

    def applied(self) -> list[tuple[str, str]]: ...

    def names(self) -> set[str]:
        """Return the tables that there are."""
        ...

    def last_numbers(self, tables: Sequence[Table]) -> dict[str, int]:
        """Return the last number that each counting table has given out, deleted rows included."""
        ...

    def rows(self, table: Table) -> Iterator[bytes]:
        """Give the rows as text, in pieces that end with a line."""
        ...

    def digests(self, files: Table) -> Iterator[str]:
        """Give the digests of the files that the rows of documents_file say are kept here."""
        ...


def first_of(taken: Snapshot, table: Table) -> dict[str, str]:
    """Return the first row of a table as text, null as ""; nothing where there is none."""
    text = next(taken.rows(table), b"").decode().split("\n")[0]
    cells = [("" if cell == r"\N" else _meant(cell)) for cell in text.split("\t")] if text else []
    return dict(zip([c.name for c in table.columns], cells, strict=False))


@contextlib.contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Open the node's database in one state of a connection of its own; writers are not kept waiting."""
    taken = _lite() if connection.vendor == "sqlite" else _large()
    with taken as found:
        yield found


@contextlib.contextmanager
def _lite() -> Iterator[Snapshot]:
    # In WAL mode a read transaction is a state that nobody changes. SQLite's backup API begins again whenever another
    # process writes, so on a busy node it might never end, and it needs room for a second, unencrypted database.
    name = str(connection.settings_dict["NAME"])
    with connection.wrap_database_errors:
        opened = sqlite3.connect(f"file://{quote(os.path.abspath(name))}?mode=rw", uri=True, isolation_level=None, timeout=20)
    try:
        with connection.wrap_database_errors:
            opened.execute("PRAGMA query_only=1")
            opened.execute("BEGIN")
            opened.execute("SELECT 1 FROM django_migrations").fetchone()  # the state is taken by the first look, not by BEGIN
        yield _Lite(opened)
    finally:
        opened.close()


class _Lite:
    def __init__(self, opened: sqlite3.Connection) -> None:
        self._opened = opened

    def applied(self) -> list[tuple[str, str]]:
        return sorted(self._opened.execute("SELECT app, name FROM django_migrations"))

    def names(self) -> set[str]:
        return {name for (name,) in self._opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def last_numbers(self, tables: Sequence[Table]) -> dict[str, int]:
        kept = dict(self._opened.execute("SELECT name, seq FROM sqlite_sequence"))
        return {t.name: int(kept.get(t.name, 0)) for t in tables if t.counter}

    def rows(self, table: Table) -> Iterator[bytes]:
        writers = [_WRITERS[c.shape](c) for c in table.columns]
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        cursor = self._opened.execute(f'SELECT {names} FROM "{table.name}"')  # noqa: S608  # names of our own tables
        while some := cursor.fetchmany(_ROWS):
            lines = []
            for row in some:
                try:
                    cells = [r"\N" if v is None else w(v) for w, v in zip(writers, row, strict=True)]
                except (ValueError, TypeError, ArithmeticError) as error:
                    raise UnfitRow(table=table.name, reason=str(error)[:120]) from error
                lines.append("\t".join(cells))
            yield ("\n".join(lines) + "\n").encode()

    def digests(self, files: Table) -> Iterator[str]:
        return (digest for (digest,) in self._opened.execute(_kept_files(files)))


@contextlib.contextmanager
def _large() -> Iterator[Snapshot]:
    own = connection.copy()
    own.connect()
    try:
        with own.connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for setting in _TEXT_OF_COPY:
                cursor.execute(setting)
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")  # the state is taken by the first look, not by BEGIN
            yield _Large(cursor)
    finally:
        own.close()


_TEXT_OF_COPY = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL client_encoding = 'UTF8'",
)


class _Large:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def _all(self, question: str, facts: Sequence[Any] = ()) -> list[Any]:
        self._cursor.execute(question, facts)
        return list(self._cursor.fetchall())

    def applied(self) -> list[tuple[str, str]]:
        return sorted(self._all("SELECT app, name FROM django_migrations"))

    def names(self) -> set[str]:
        return {n for (n,) in self._all("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}

    def last_numbers(self, tables: Sequence[Table]) -> dict[str, int]:
        last = {}
        for table in tables:
            if table.counter:
                ((sequence,),) = self._all("SELECT pg_get_serial_sequence(%s, %s)", [f'"{table.name}"', table.counter])
                ((number, given),) = self._all(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608  # by the server
                last[table.name] = int(number) if given else 0
        return last

    def rows(self, table: Table) -> Iterator[bytes]:
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        with self._cursor.copy(f'COPY "{table.name}" ({names}) TO STDOUT') as copy:
            for block in copy:  # a block is whole rows: the server sends each row as a message of its own
                yield bytes(block)

    def digests(self, files: Table) -> Iterator[str]:
        with self._cursor.copy(f"COPY ({_kept_files(files)}) TO STDOUT") as copy:
            for (digest,) in copy.rows():
                yield digest


def _kept_files(files: Table) -> str:
    # before documents 0002 every file that was known was here
    some = " WHERE kept" if any(c.name == "kept" for c in files.columns) else ""
    return f"SELECT digest FROM documents_file{some} ORDER BY digest"  # noqa: S608  # no word of a stranger


# --- the text of a cell, for SQLite --------------------------------------------------------------------------------

_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_MEANT = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _write_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in a column of text")
    return value.translate(_ESCAPED) if "\\" in value or not value.isprintable() else value


def _write_integer(value: Any) -> str:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} in a column of whole numbers")
    return str(value)


def _write_boolean(value: Any) -> str:
    return {0: "f", 1: "t"}[value] if value in (0, 1) else _refuse(value)


def _write_date(value: Any) -> str:
    return value if _DATE.fullmatch(value) else _refuse(value)


def _write_moment(value: Any) -> str:
    return f"{value}+00" if _MOMENT.fullmatch(value) else _refuse(value)


def _write_uuid(value: Any) -> str:
    return str(UUID(value))


def _write_bytes(value: Any) -> str:
    return rf"\\x{bytes(value).hex()}"


def _refuse(value: Any) -> str:
    raise ValueError(repr(value)[:60])


def _decimal_writer(column: Column) -> Callable[[Any], str]:
    # SQLite keeps a decimal as a number with 15 good digits; what was stored is that number with its places
    unit = Decimal(1).scaleb(-column.places)
    return lambda value: format(Decimal(repr(value) if isinstance(value, float) else value).quantize(unit), "f")


_WRITERS: dict[str, Callable[[Column], Callable[[Any], str]]] = {
    "integer": lambda _c: _write_integer,
    "boolean": lambda _c: _write_boolean,
    "text": lambda _c: _write_text,
    "date": lambda _c: _write_date,
    "moment": lambda _c: _write_moment,
    "decimal": _decimal_writer,
    "real": lambda _c: lambda v: repr(float(v)),
    "uuid": lambda _c: _write_uuid,
    "json": lambda _c: _write_text,
    "bytes": lambda _c: _write_bytes,
}


def _meant(cell: str) -> str:
    def one(found: re.Match[str]) -> str:
        return _MEANT[found[1]]  # KeyError: an escape that COPY does not write

    return _ESCAPE.sub(one, cell) if "\\" in cell else cell


def _read_moment(cell: str) -> str:
    found = _MOMENT.fullmatch(cell.removesuffix("+00"))
    if not found or not cell.endswith("+00"):
        raise ValueError(cell[:60])
    # as Django writes it: SQLite compares moments as text, so half a second is always .500000
    return f"{found[1]}.{found[2]:0<6}" if found[2] and int(found[2]) else found[1]


def _read_bytes(cell: str) -> bytes:
    if not cell.startswith("\\x"):
        raise ValueError(cell[:60])
    return bytes.fromhex(cell[2:])


_READERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "boolean": lambda cell: {"t": 1, "f": 0}[cell],
    "text": lambda cell: cell,
    "date": lambda cell: cell if _DATE.fullmatch(cell) else _refuse(cell),
    "moment": _read_moment,
    "decimal": lambda cell: str(Decimal(cell)),
    "real": float,
    "uuid": lambda cell: UUID(cell).hex,
    "json": lambda cell: json.dumps(json.loads(cell)),  # as Django writes it
    "bytes": _read_bytes,
}


# --- loading -------------------------------------------------------------------------------------------------------


class Loading(Protocol):
    """The filling of tables that were just made."""

    def begin(self) -> None:
        """Take out what migrations put into the tables, and the ties between them."""
        ...

    def load(self, table: Table, text: bytes) -> None:
        """Add rows, given as whole lines.

        Raises:
            UnfitRow: the database does not take one of them.
        """
        ...

    def end(self, last: dict[str, int]) -> None:
        """Tie the tables again, which checks every reference, and let each count on from the number given.

        Raises:
            UnfitRow: a row refers to one that is not there.
        """
        ...


def loading(tables: Sequence[Table]) -> Loading:
    """Return the way to fill the tables of the node's database."""
    return _LiteLoading(tables) if connection.vendor == "sqlite" else _LargeLoading(tables)


class _LiteLoading:
    """Each load is a transaction: the database is one that nobody uses before the last of them."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables

    def begin(self) -> None:
        connection.ensure_connection()
        self._opened: sqlite3.Connection = connection.connection
        self._opened.execute("PRAGMA foreign_keys=OFF")
        self._opened.execute("PRAGMA synchronous=OFF")  # it is brought to the disk as a whole, before it gets its name
        for table in self._tables:
            if self._opened.execute(f'SELECT 1 FROM "{table.name}" LIMIT 1').fetchone():  # noqa: S608  # names of our own tables
                self._opened.execute(f'DELETE FROM "{table.name}"')  # noqa: S608

    def load(self, table: Table, text: bytes) -> None:
        readers = [_READERS[c.shape] for c in table.columns]
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        places = ", ".join("?" * len(readers))
        try:
            lines = text.decode().removesuffix("\n").split("\n")
            rows = (
                [None if cell == r"\N" else read(_meant(cell)) for read, cell in zip(readers, line.split("\t"), strict=True)]
                for line in lines
            )
            self._opened.execute("BEGIN")
            self._opened.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({places})', rows)  # noqa: S608
            self._opened.execute("COMMIT")
        except (ValueError, KeyError, ArithmeticError, RecursionError, OverflowError, sqlite3.IntegrityError) as error:
            raise UnfitRow(table=table.name, reason=f"{type(error).__name__}: {error}"[:160]) from error

    def end(self, last: dict[str, int]) -> None:
        for table in self._tables:
            if table.counter:
                ((highest,),) = self._opened.execute(f'SELECT coalesce(max("{table.counter}"), 0) FROM "{table.name}"')  # noqa: S608
                number = max(highest, last.get(table.name, 0))
                self._opened.execute("DELETE FROM sqlite_sequence WHERE name = ?", [table.name])
                if number:
                    self._opened.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [table.name, number])
        if broken := self._opened.execute("PRAGMA foreign_key_check").fetchone():
            raise UnfitRow(table=broken[0], reason=f"row {broken[1]} refers to {broken[2]}")
        self._opened.execute("PRAGMA foreign_keys=ON")


class _LargeLoading:
    """All within the caller's transaction."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._ties: list[tuple[str, str, str]] = []

    def begin(self) -> None:
        with connection.cursor() as cursor:
            for setting in _TEXT_OF_COPY:
                cursor.execute(setting)
            # Ties that are checked at the end would be queued, row by row, in the server's memory; made anew after the
            # loading they are checked at once, whatever the order of the rows was.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2"
            )
            self._ties = cursor.fetchall()
            for table, name, _definition in self._ties:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            for each in self._tables:
                cursor.execute(f'SELECT 1 FROM "{each.name}" LIMIT 1')  # noqa: S608  # names of our own tables
                if cursor.fetchone():
                    cursor.execute(f'DELETE FROM "{each.name}"')  # noqa: S608

    def load(self, table: Table, text: bytes) -> None:
        from psycopg import Error

        names = ", ".join(f'"{c.name}"' for c in table.columns)
        try:
            with connection.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
                copy.write(text)
        except Error as error:
            raise UnfitRow(table=table.name, reason=str(error).splitlines()[0][:160]) from error

    def end(self, last: dict[str, int]) -> None:
        from django.db import IntegrityError

        with connection.cursor() as cursor:
            for table in self._tables:
                if table.counter:
                    facts: list[str | int] = [f'"{table.name}"', table.counter, last.get(table.name, 0)]
                    highest = f'SELECT greatest(%s, coalesce(max("{table.counter}"), 0)) AS n FROM "{table.name}"'  # noqa: S608
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence(%s, %s)::regclass, greatest(n, 1), n > 0) FROM ({highest}) AS h",  # noqa: S608
                        facts,
                    )
            for name_of_table, name, definition in self._ties:
                try:
                    cursor.execute(f"ALTER TABLE {name_of_table} ADD CONSTRAINT {name} {definition}")
                except IntegrityError as error:
                    raise UnfitRow(table=name_of_table, reason=str(error).splitlines()[0][:160]) from error
