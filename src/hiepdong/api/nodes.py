"""The far end of the line between nodes: docs/reference/protocol.md, section 8. Every answer leaves after the commit."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Header, Path, Query, Router

from hiepdong.exchange import answering, files, links
from hiepdong.exchange.domain.links import MOST_ITEMS, read_item

from . import schemas
from .authentication import SignedByPeer
from .problems import Invalid, RangeUnusable
from .schemas import LARGEST_POSITION, Problem

router = Router(auth=SignedByPeer(), tags=["between nodes"])
REFUSED: dict[Any, Any] = {frozenset({400, 401, 409, 413, 422, 429, 503}): Problem}
REFUSED_FILE: dict[Any, Any] = {frozenset({400, 401, 404, 409, 413, 416, 422, 429, 503}): Problem}
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
PIECE_OF_A_FILE = 64 * 1024

Digest = Path(..., pattern="^[0-9a-f]{64}$")
After = Query(0, ge=0, le=LARGEST_POSITION)
Limit = Query(MOST_ITEMS, ge=1, le=MOST_ITEMS)


@router.post("/hello", response={200: schemas.Greeting, **REFUSED}, summary="Greet; compare marks and clocks")
def hello(request: Any, said: schemas.Greeting) -> HttpResponse:
    """Take a greeting and answer in kind."""
    return JsonResponse(answering.hello(peer_id=request.auth, said=said.model_dump(mode="json"), at=request.at))


@router.post("/items", response={200: schemas.Taken, **REFUSED}, summary="Give items")
def give_items(request: Any, given: schemas.ItemsIn) -> HttpResponse:
    """Take items in: bytes first, whatever their order, the same again changes nothing."""
    items = [read_item(i.model_dump()) for i in given.items]
    return JsonResponse(answering.take(peer_id=request.auth, items=items, way="https", at=request.at))


@router.get("/items", response={200: schemas.ItemsOut, **REFUSED}, summary="Ask for items after a position")
def ask_items(request: Any, after: int = After, limit: int = Limit) -> HttpResponse:
    """Give the items for the asking node after a position."""
    return JsonResponse(answering.give(peer_id=request.auth, after=after, limit=limit))


@router.post("/held", response={200: schemas.HeldOut, **REFUSED}, summary="Say up to where everything is held")
def held(request: Any, said: schemas.HeldIn) -> HttpResponse:
    """Take the word of a node that pulls."""
    return JsonResponse(answering.held(peer_id=request.auth, through=said.held_through, at=request.at))


@router.get("/echo", response={200: schemas.EchoOut, **REFUSED}, summary="After a restore: own items that this node holds")
def echo(request: Any, after: int = After, limit: int = Limit) -> HttpResponse:
    """Give back the asking node's own items after a position of its own."""
    return JsonResponse(answering.echo(peer_id=request.auth, after=after, limit=limit))


@router.get(
    "/files/{digest}",
    response=REFUSED_FILE,
    summary="The bytes of an attachment, or a piece of them",
    openapi_extra={
        "parameters": [{"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}}],
        "responses": {
            200: {"description": "the whole file", "content": BINARY},
            206: {"description": "a piece", "content": BINARY},
        },
    },
)
def give_file(request: Any, digest: str = Digest) -> HttpResponseBase:
    """Give the bytes of a file that a paper on its way to the asking node names."""
    file = answering.file_for(peer_id=request.auth, digest=digest)
    asked = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", request.headers.get("Range", ""))
    if asked is None:
        files.note_given(file, at=request.at)
        return FileResponse(files.place_of(file).open("rb"), content_type="application/octet-stream")
    first = int(asked[1])
    last = min(int(asked[2]) if asked[2] else file.size - 1, file.size - 1)
    if first > last:
        raise RangeUnusable(size=file.size)
    if last == file.size - 1:
        files.note_given(file, at=request.at)
    response = StreamingHttpResponse(
        _read(files.place_of(file), first, last), status=206, content_type="application/octet-stream"
    )
    response.headers["Content-Length"] = str(last - first + 1)
    response.headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    return response


def _read(path: pathlib.Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as source:
        source.seek(first)
        left = last - first + 1
        while left > 0 and (piece := source.read(min(PIECE_OF_A_FILE, left))):
            left -= len(piece)
            yield piece


@router.put(
    "/files/{digest}",
    response={200: schemas.PieceOut, **REFUSED_FILE},
    summary="Give a piece of an attachment",
    openapi_extra={"requestBody": {"required": True, "content": BINARY}},
)
def give_piece(
    request: Any,
    digest: str = Digest,
    content_range: str = Header(..., alias="Content-Range", pattern=r"^bytes \d{1,15}-\d{1,15}/\d{1,15}$"),
) -> HttpResponse:
    """Add a piece that continues what is here."""
    peer = links.peer_for(request.auth)
    file = answering.wants(peer_id=request.auth, digest=digest)
    first, last, size = (int(n) for n in re.findall(r"\d+", content_range))
    if last - first + 1 != len(request.body):
        raise Invalid(errors=[{"path": "header.Content-Range", "found": content_range}])
    if size != file.size:
        raise files.PieceUnusable(start=first, have=files.gathered(file, peer), size=file.size)
    return JsonResponse({"have": files.gather(file, peer, piece=request.body, start=first, at=request.at)})


@router.api_operation(
    ["HEAD"],
    "/files/{digest}",
    response=REFUSED_FILE,
    summary="How many bytes of an attachment are here",
    openapi_extra={
        "responses": {200: {"description": "see Upload-Offset", "headers": {"Upload-Offset": {"schema": {"type": "integer"}}}}}
    },
)
def offset(request: Any, digest: str = Digest) -> HttpResponse:
    """Say at which byte the next piece begins."""
    file = answering.wants(peer_id=request.auth, digest=digest)
    return HttpResponse(headers={"Upload-Offset": str(files.gathered(file, links.peer_for(request.auth)))})
