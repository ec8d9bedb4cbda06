"""The word index of dispatches: FTS5 on SQLite, tsvector with GIN on PostgreSQL, behind two functions.

The indexed text is folded (no marks, d for đ) and carries a token for each party ("o12o"), so that who may see it is a
part of the match and a page of results never reads what it must hide.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction

from hiepdong.kernel.text import fold
from hiepdong.organisations.models import Organisation

from .models import Addressee, Dispatch
from .signing import payload_of

BATCH = 500  # papers indexed in one transaction when the index is made anew


def party_token(organisation_id: int) -> str:
    """Return the token of an organisation; no Vietnamese word looks so."""
    return f"o{organisation_id}o"


_WORD = re.compile(r"[^\W_]+")
_BETWEEN = bytes(code if chr(code).isalnum() else 32 for code in range(128)).ljust(256, b" ")


def words_of(text: str) -> list[str]:
    """Return the folded words of a text: letters and digits only."""
    folded = fold(text)
    if folded.isascii():  # as Vietnamese is without its marks: the same words in a quarter of the time
        return folded.encode("ascii").translate(_BETWEEN).decode("ascii").split()
    return _WORD.findall(folded)


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


MANY = 30  # bodies: with more, nearly every match may be seen, and to ask each is cheaper than to unite so many lists
NEWEST = 4000  # dispatches in which a common word is looked for without the index


def _seen(key: str, parties: Sequence[int]) -> str:
    ids = ", ".join(str(int(i)) for i in parties)
    either = f"(a.organisation_id in ({ids}) or a.sender_id_copy in ({ids}))"
    return f" and exists (select 1 from exchange_addressee a where a.dispatch_id = {key} and {either})"  # noqa: S608  # numbers


def matching(text: str, parties: Sequence[int], *, limit: int, before: int | None = None) -> list[int]:
    """Return ids of dispatches that hold every word (the last one as a beginning) and one of the parties, newest first.

    `before` continues a list: only ids smaller than it. An empty text or no party finds nothing.
    """
    words = words_of(text)
    if not words or not parties:
        return []
    with connection.cursor() as cursor:
        find = _matching_lite if connection.vendor == "sqlite" else _matching_large
        return find(cursor, words, parties, limit, before or 1 << 62)


def _matching_lite(cursor: Any, words: list[str], parties: Sequence[int], limit: int, before: int) -> list[int]:
    query = " AND ".join([*(f'"{w}"' for w in words[:-1]), f'"{words[-1]}"*'])
    seen = ""
    if len(parties) > MANY:
        seen = _seen("exchange_search.rowid", parties)
    else:
        tokens = " OR ".join(f'"{party_token(i)}"' for i in parties)
        query = f"{query} AND ({tokens})"
    cursor.execute(
        f"select rowid from exchange_search where words match %s and rowid < %s{seen} order by rowid desc limit %s",  # noqa: S608
        [query, before, limit],
    )
    return [row[0] for row in cursor.fetchall()]


def _matching_large(cursor: Any, words: list[str], parties: Sequence[int], limit: int, before: int) -> list[int]:
    query = " & ".join([*(f"'{w}'" for w in words[:-1]), f"'{words[-1]}':*"])
    select, hit = "select dispatch_id from exchange_search where", "words @@ to_tsquery('simple', %s) and dispatch_id < %s"
    if len(parties) <= MANY:
        tokens = " | ".join(f"'{party_token(i)}'" for i in parties)
        cursor.execute(f"{select} {hit} order by 1 desc limit %s", [f"{query} & ({tokens})", before, limit])
        return [row[0] for row in cursor.fetchall()]
    # PostgreSQL guesses how common a beginning of a word is, and guesses badly: then it reads all rows for a word that nobody
    # wrote. So the newest are read, which is enough for what is common, and only the word index is asked for the rest.
    newest = "(select max(dispatch_id) from exchange_search where dispatch_id < %s) - %s"
    cursor.execute(
        f"{select} {hit} and dispatch_id >= {newest}{_seen('exchange_search.dispatch_id', parties)} order by 1 desc limit %s",
        [query, before, before, NEWEST, limit],
    )
    found = [row[0] for row in cursor.fetchall()]
    if len(found) < limit:
        indexed = f"with hit as materialized ({select} {hit}) select dispatch_id from hit"  # noqa: S608
        cursor.execute(
            f"{indexed} where true{_seen('hit.dispatch_id', parties)} order by 1 desc limit %s", [query, before, limit]
        )
        found = [row[0] for row in cursor.fetchall()]
    return found


def rebuild() -> int:
    """Make the index anew from the stored papers, after a restore: it is the only table that is not backed up.

    Returns the number of papers. Where an organisation was renamed its papers are found by the name of today.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("insert into exchange_search(exchange_search) values ('delete-all')")
        else:
            cursor.execute("truncate exchange_search")
    names = dict(Organisation.objects.values_list("pk", "name"))
    done, after = 0, 0
    while papers := list(Dispatch.objects.filter(pk__gt=after).order_by("pk")[:BATCH]):
        after = papers[-1].pk
        done += len(papers)
        parties: dict[int, list[int]] = {}
        to = Addressee.objects.filter(dispatch__in=papers).order_by("pk").values_list("dispatch_id", "organisation_id")
        for dispatch_id, organisation_id in to:
            parties.setdefault(dispatch_id, []).append(organisation_id)
        with transaction.atomic():
            add(_indexed(paper, parties.get(paper.pk, []), names) for paper in papers)
    return done


def _indexed(paper: Dispatch, to: list[int], names: dict[int, str]) -> tuple[int, str, set[int]]:
    content = json.loads(payload_of(bytes(paper.signed)))
    texts = [paper.subject, paper.notation, names[paper.sender_id], *(names[pk] for pk in to)]
    todo: list[Any] = [content.get("reason"), paper.signer_title, content.get("body")]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return paper.pk, " ".join(texts), {paper.sender_id, *to}
