"""One round with one peer over a line: greet, recover if need be, give, take, files both ways. Cut, it goes on next time."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q

from hiepdong.journal.queries import entries_about
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.shell.commands import told

from . import answering, files, intake, links, outbox, recovery
from .domain.classified import ClassifiedContent
from .domain.envelope import DIGEST
from .domain.links import InvalidItem, pause_after, read_item
from .models import Node, Peer
from .transport import PeerRefused, Transport

AT_ONCE = 200  # items in one request
MOST_FILES_A_ROUND = 200
MOST_PULLS_A_ROUND = 500


@dataclass(slots=True)
class Round:
    """What one round did."""

    sent: int = 0
    taken: int = 0
    files_out: int = 0
    files_in: int = 0
    recovered: int = 0
    stopped: str = ""  # why it ended before its end, although the line was good


def due_peers(at: datetime) -> list[Peer]:
    """Return linked peers with an address whose next try has come."""
    found = Peer.objects.filter(state=Peer.State.LINKED, via__isnull=True).exclude(address="")
    return list(
        found.filter(Q(next_try_at__isnull=True) | Q(next_try_at__lte=at)).order_by(F("next_try_at").asc(nulls_first=True))
    )


def waits(at: datetime) -> bool:
    """Say whether something is to be given to a peer that may be called now."""
    return any(p.sent_through > p.confirmed_through for p in due_peers(at))


def run(*, peer_id: int, transport: Transport, clock: Callable[[], datetime]) -> Round:
    """Do one round. `clock` is asked for the moment of each step, since a round may be long.

    Raises:
        Unreachable, PeerRefused, InvalidItem: the pause before the next try was noted.
    """
    done = Round()
    try:
        _round(peer_id, transport, clock, done)
    except DomainError as error:
        _failed(peer_id, error, clock())
        raise
    Peer.objects.filter(pk=peer_id).update(failures=0, next_try_at=None, last_error=done.stopped, reached_at=clock())
    return done


def _failed(peer_id: int, error: DomainError, at: datetime) -> None:
    peer = links.peer_for(peer_id)
    failures = peer.failures + 1
    pause = pause_after(failures, random.random())  # noqa: S311 - spreads tries, protects nothing
    asked = getattr(error, "retry_after_s", None)
    if asked:
        pause = max(pause, type(pause)(seconds=min(asked, 3600)))
    Peer.objects.filter(pk=peer_id).update(failures=failures, next_try_at=at + pause, last_error=_reason(error))


def _reason(error: DomainError) -> str:
    """Return why a round failed or stopped, as it is kept beside the link: the code, and the words of the node's language."""
    return f"{error.code}: {told(error)}"[:300]


def _round(peer_id: int, transport: Transport, clock: Callable[[], datetime], done: Round) -> None:
    peer = answering.open_peer(peer_id)
    answer = _answer(transport.hello(answering.greeting(peer, at=clock())))
    _, _, held = recovery.read_greeting(answer, peer)
    if held > peer.sent_through or recovery.disagrees(peer, held, str(answer.get("held_digest", ""))):
        _prove(peer_id, held, transport, clock)
        answer = {
            **answer,
            "held_through": peer.confirmed_through,
            "held_digest": "",
        }  # what it holds is asked, or not believed
    answering.take_greeting(peer_id=peer_id, said=answer, at=clock())
    if recovery.is_open(links.peer_for(peer_id)):
        done.recovered = _recover(peer_id, transport, clock)
    wanted_there = _give(peer_id, transport, clock, done)
    wanted_there |= _take(peer_id, transport, clock, done)
    _fetch(peer_id, transport, clock, done)
    _offer(peer_id, transport, wanted_there, clock, done)


def _prove(peer_id: int, held: int, transport: Transport, clock: Callable[[], datetime]) -> None:
    """Ask a peer that holds more than we know of having sent, or something else, to show what bears our signature.

    If it can, this node was restored from a backup and nobody told it: it recovers first. If not, the peer lies.
    """
    peer = links.peer_for(peer_id)
    if Node.objects.filter(state=Node.State.RECOVERING).exists():
        return
    after = min(held - 1, peer.sent_through)
    items = [read_item(i, "echo") for i in _listed(transport.echo(after=after, limit=1), "items")]
    facts = {"held_there": held, "sent_from_here": peer.sent_through}
    if any(recovery.is_ours(item) and not recovery.is_known(peer, item) for item in items):
        links.note_incident(peer=peer, code="exchange.restored_from_backup", facts=facts, at=clock())
        links.mark_restored(at=clock())
    else:
        links.note_incident(peer=peer, code="exchange.held_beyond_sent", facts=facts, at=clock())


def _recover(peer_id: int, transport: Transport, clock: Callable[[], datetime]) -> int:
    back = 0
    peer = links.peer_for(peer_id)
    after = recovery.told_back(peer).through
    while True:
        answer = _answer(transport.echo(after=after, limit=AT_ONCE))
        held = answer.get("held_through")
        held = held if isinstance(held, int) and not isinstance(held, bool) else peer.confirmed_through
        items = [read_item(i, "echo") for i in _listed(answer, "items")]
        if not items:
            break
        back += recovery.take_back(peer_id=peer_id, items=items, at=clock())
        reached = max(i.position for i in items)
        if reached <= after:
            break  # it repeats itself
        recovery.note_told(peer_id=peer_id, after=after, through=reached, last=None, held=held, at=clock())
        after = reached
    if recovery.is_open(links.peer_for(peer_id)):
        recovery.peer_recovered(peer_id=peer_id, held=held, at=clock())
    return back


def _give(peer_id: int, transport: Transport, clock: Callable[[], datetime], done: Round) -> set[str]:
    wanted: set[str] = set()
    while True:
        peer = links.peer_for(peer_id)
        items = outbox.items_after(peer, peer.confirmed_through, limit=AT_ONCE)
        if not items:
            return wanted
        least = items[0].position
        items = outbox.urgent_first(peer, peer.confirmed_through, items)
        answer = _answer(transport.push([i.as_json() for i in items]))
        through = answer.get("held_through")
        if not isinstance(through, int) or isinstance(through, bool):
            raise InvalidItem(path="held_through", found=str(through)[:40], accepted="0, 1, 2 …")
        given = {i.position: i.digest for i in items}
        results = [
            r
            for r in _listed(answer, "results")
            if isinstance(r, Mapping) and isinstance(r.get("position"), int) and given.get(r["position"]) == r.get("digest")
        ]
        top = links.peer_for(peer_id).sent_through
        peer = intake.confirmed(peer_id=peer_id, held_through=min(through, top), outcomes=results, at=clock())
        wanted |= _wanted(answer)
        done.sent += len(items)
        if peer.confirmed_through < least:
            refused = PeerRefused(name=peer.name, code="held_through", detail=str(through))
            raise refused


def _take(peer_id: int, transport: Transport, clock: Callable[[], datetime], done: Round) -> set[str]:
    wanted: set[str] = set()
    for _ in range(MOST_PULLS_A_ROUND):
        before = links.peer_for(peer_id).held_through
        answer = _answer(transport.pull(after=before, limit=AT_ONCE))
        wanted |= _wanted(answer)
        items = [read_item(i) for i in _listed(answer, "items")]
        if not items:
            return wanted
        taken = intake.take_in(peer_id=peer_id, items=items, way=transport.way, at=clock())
        done.taken += sum(not o.duplicate for o in taken.outcomes)
        transport.held(taken.held_through)
        if taken.held_through <= before:
            return wanted  # what it gives does not continue what is held: named as missing, asked for again next time
    return wanted  # it gives without an end: others have their turn first


def _answer(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise InvalidItem(path="answer", found=type(answer).__name__, accepted="{…}")
    return answer


def _wanted(answer: Mapping[str, Any]) -> set[str]:
    return {w for w in _listed(answer, "wanted") if isinstance(w, str) and DIGEST.fullmatch(w)}


def _listed(answer: Any, name: str) -> list[Any]:
    found = _answer(answer).get(name, [])
    if not isinstance(found, list) or len(found) > 1000:
        raise InvalidItem(path=name, found=type(found).__name__, accepted="[…], ≤ 1000")
    return found


def _fetch(peer_id: int, transport: Transport, clock: Callable[[], datetime], done: Round) -> None:
    peer = links.peer_for(peer_id)
    for digest in intake.wanted_files(peer, limit=MOST_FILES_A_ROUND):
        try:
            file = answering.wants(peer_id=peer_id, digest=digest)
            pieces = transport.fetch(digest, start=files.gathered(file, peer))
            files.gather_all(file, peer, pieces, at=clock())
        except (PeerRefused, NotFound):
            continue  # it is not there yet either
        except ClassifiedContent:
            continue  # noted, and never asked for again
        except (files.FileWrong, files.PieceUnusable) as error:
            links.note_incident(peer=peer, code=error.code, facts={"digest": digest}, at=clock())
            continue
        except files.DiskFull as error:
            done.stopped = _reason(error)
            return  # papers pass, files wait for room
        file.refresh_from_db()
        done.files_in += file.kept


def _offer(peer_id: int, transport: Transport, wanted: set[str], clock: Callable[[], datetime], done: Round) -> None:
    for digest in sorted(wanted)[:MOST_FILES_A_ROUND]:
        try:
            file = answering.file_for(peer_id=peer_id, digest=digest)
        except NotFound:
            continue  # it asks for what no paper of ours names: it gets nothing, not even a no
        have = transport.offered(digest)
        with files.place_of(file).open("rb") as source:
            while have < file.size:
                source.seek(have)
                now = transport.put(digest, source.read(files.PIECE), start=have, size=file.size)
                if now <= have:
                    break
                have = now
        if have >= file.size:
            files.note_given(file, at=clock())
            done.files_out += 1


def note_silence(*, peer: Peer, at: datetime) -> bool:
    """Write down that a peer was not heard for long, once for each silence; the caller judges how long that is."""
    last = entries_about(peer).filter(code="exchange.peer.silent").order_by("-id").values_list("at", flat=True).first()
    if last is not None and last > (peer.heard_at or peer.linked_at or last):
        return False
    record("exchange.peer.silent", subject=peer, actor=None, at=at, name=peer.name)
    return True
