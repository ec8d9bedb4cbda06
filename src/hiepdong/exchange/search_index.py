"""The word index of dispatches: FTS5 on SQLite, tsvector with GIN on PostgreSQL, behind two functions.

The indexed text is folded (no marks, d for đ) and carries a token for each party ("o12o"), so that who may see it is a
part of the match and a page of results never reads what it must hide.
"""

from collections.abc import Iterable, Sequence

from django.db import connection

from hiepdong.kernel.text import fold


def party_token(organisation_id: int) -> str:
    """Return the token of an organisation; no Vietnamese word looks so."""
    return f"o{organisation_id}o"


def words_of(text: str) -> list[str]:
    """Return the folded words of a text: letters and digits only."""
    return "".join(c if c.isalnum() else " " for c in fold(text)).split()


def add(rows: Iterable[tuple[int, str, Iterable[int]]]) -> None:
    """Index dispatches: (id, text, ids of the parties)."""
    prepared = [
        (pk, " ".join([*words_of(text)[:4000], *(party_token(i) for i in sorted(parties))])) for pk, text, parties in rows
    ]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.executemany("insert into exchange_search(rowid, words) values (%s, %s)", prepared)
        else:
            cursor.executemany(
                "insert into exchange_search(dispatch_id, words) values (%s, to_tsvector('simple', %s))", prepared
            )


def matching(text: str, parties: Sequence[int], *, limit: int, before: int | None = None) -> list[int]:
    """Return ids of dispatches that hold every word (the last one as a beginning) and one of the parties, newest first.

    `before` continues a list: only ids smaller than it. An empty text or no party finds nothing.
    """
    words = words_of(text)
    if not words or not parties:
        return []
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            query = " AND ".join([*(f'"{w}"' for w in words[:-1]), f'"{words[-1]}"*'])
            seats = " OR ".join(f'"{party_token(i)}"' for i in parties)
            cursor.execute(
                "select rowid from exchange_search where words match %s and rowid < %s order by rowid desc limit %s",
                [f"{query} AND ({seats})", before or 1 << 62, limit],
            )
        else:
            query = " & ".join([*(f"'{w}'" for w in words[:-1]), f"'{words[-1]}':*"])
            seats = " | ".join(f"'{party_token(i)}'" for i in parties)
            cursor.execute(
                "select dispatch_id from exchange_search where words @@ to_tsquery('simple', %s) and dispatch_id < %s"
                " order by dispatch_id desc limit %s",
                [f"{query} & ({seats})", before or 1 << 62, limit],
            )
        return [row[0] for row in cursor.fetchall()]
