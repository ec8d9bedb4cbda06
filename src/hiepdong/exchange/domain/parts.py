"""How a large export is cut into bundles, each of them whole by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_ITEMS = 50_000
MOST_BYTES = 1024**3  # unpacked; a stick with FAT32 takes no file of 4 GiB
MOST_FILES = 20_000  # a zip without extensions holds 65,534


@dataclass(frozen=True, slots=True)
class Load:
    """What one item brings: its position, the bytes of its line, and its attachments (digest, bytes).

    `echo`: it is an item of the other node itself, told back after a restore; its position is one of that node's.
    """

    position: int
    bytes: int
    files: tuple[tuple[str, int], ...] = ()
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One bundle to be made: which positions, how many items, how many bytes unpacked, which attachments, what of an echo."""

    first: int
    last: int
    items: int
    bytes: int
    files: tuple[str, ...]
    echo_last: int = 0
    echo_items: int = 0


def plan_parts(
    loads: Iterable[Load],
    *,
    loose: Iterable[tuple[str, int]] = (),
    most_items: int = MOST_ITEMS,
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> Iterator[Part]:
    """Yield the parts, in the order of positions, an echo before all else.

    An attachment lies in the first part whose item has it, and only there. An item that is too large for a part by itself gets
    one of its own. `loose` are attachments without an item here (asked for again by the other node); they come last. With
    nothing to carry there is one empty part, which still says how far the sender holds.

    >>> [(p.first, p.last, p.bytes) for p in plan_parts([Load(1, 40), Load(2, 40), Load(3, 40)], most_bytes=100)]
    [(1, 2, 80), (3, 3, 40)]
    """
    carried: set[str] = set()
    first = last = items = size = echo_last = echoed = 0
    files: list[str] = []
    some = False

    def done() -> Part:
        nonlocal first, last, items, size, files, some, echo_last, echoed
        part = Part(first, last, items, size, tuple(files), echo_last, echoed)
        first = last = items = size = echo_last = echoed = 0
        files, some = [], True
        return part

    def is_full(more_items: int, more_bytes: int, more_files: int) -> bool:
        if not items and not files and not echoed:
            return False
        many = items + echoed + more_items > most_items
        return many or size + more_bytes > most_bytes or len(files) + more_files > most_files

    for load in loads:
        new = {digest: count for digest, count in load.files if digest not in carried}
        more = load.bytes + sum(new.values())
        if is_full(1, more, len(new)):
            yield done()
        size += more
        if load.echo:
            echo_last, echoed = load.position, echoed + 1
        else:
            first, last, items = first or load.position, load.position, items + 1
        files += new
        carried |= new.keys()
    for digest, count in loose:
        if digest in carried:
            continue
        if is_full(0, count, 1):
            yield done()
        files.append(digest)
        carried.add(digest)
        size += count
    if items or files or echoed or not some:
        yield done()
