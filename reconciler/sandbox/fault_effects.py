"""What a faulty server, gateway or network makes of an answer: one function each, answer in, answer out.

Those about the body of a success leave refusals alone.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import repeat
from typing import Any

from reconciler.sandbox.responses import Answer, Refusal, Wire, refused, sized
from reconciler.sandbox.world import World

Act = Callable[[Answer, World], Answer]

HUGE_BYTES = 1 << 30  # announced and sent, in pieces
BOMB_BYTES = 1 << 26  # what a bomb of some 64 KiB unpacks to
FAR_HOST = "https://elsewhere.invalid"
HTML = b"<!doctype html><title>Maintenance</title><h1>We will be right back</h1>"
PIECE = b" " * 65536
JSON = ("Content-Type", "application/json")


def behaving(behaviour: str) -> Act:
    """The right answer, sent badly."""
    return lambda answer, _: replace(answer, behaviour=behaviour)


def header(name: str, value: str) -> Act:
    """The right answer with a header of our choice."""
    return lambda answer, _: replace(
        answer, headers=[(key, old) for key, old in answer.headers if key != name] + [(name, value)]
    )


def status(number: int, **words: Any) -> Act:
    """Another status, with the error body that belongs to it; a 429 asks to wait a second."""
    words = {"detail": "A fault of the sandbox", "retry_after": 1 if number == 429 else None} | words
    return lambda _, world: refused(Refusal(number, **words), "fault-0000", "/", world.settings)


def redirect(number: int) -> Act:
    """A redirect to another host, where no key must be sent."""
    far = ("Location", f"{FAR_HOST}/v1/elsewhere")
    return lambda *_: Answer(number, [far, ("Content-Length", "0")], b"")


def text(body: bytes, content_type: str = "application/json") -> Act:
    """A 200 with this body."""
    return lambda *_: sized(200, body, content_type)


def body(change: Callable[[bytes], bytes]) -> Act:
    """A success whose body is changed as bytes."""
    return lambda answer, _: answer if answer.status != 200 else answer.with_body(change(answer.body))


def parsed(change: Callable[[Any], Any]) -> Act:
    """A success whose body is changed as data."""
    return body(lambda raw: json.dumps(change(json.loads(raw))).encode())


def each(change: Callable[[Wire], Wire]) -> Act:
    """A success whose objects are changed: the one of the answer, or every one of its list."""

    def whole(data: Any) -> Any:
        for name in ("data", "items"):
            if isinstance(data, dict) and name in data:
                return data | {name: whole(data[name])}
        return [change(item) for item in data] if isinstance(data, list) else change(data)

    return parsed(whole)


def without(*names: str) -> Act:
    """A success whose objects lack some fields."""
    return each(lambda item: {name: value for name, value in item.items() if name not in names})


def with_fields(**fields: Any) -> Act:
    """A success whose objects show these values."""
    return each(lambda item: item | fields)


def known_id(answer: Answer, world: World) -> Answer:
    """A success that shows the id of the oldest other backfill instead of its own."""

    def change(item: Wire) -> Wire:
        own = item.get("transfer_backfill_id")
        others = [number for number in world.backfills if str(number) != str(own)]
        return item | {"transfer_backfill_id": min(others, default=own)}

    return each(change)(answer, world)


def huge(_answer: Answer, _world: World) -> Answer:
    """A gigabyte of blanks, with the right length."""
    headers = [JSON, ("Content-Length", str(HUGE_BYTES))]
    return Answer(200, headers, b"", stream=repeat(PIECE, HUGE_BYTES // len(PIECE)))


def endless(_answer: Answer, _world: World) -> Answer:
    """Chunks without end: no length is announced."""
    return Answer(200, [JSON], b"", stream=repeat(PIECE))


def gzip_bomb(_answer: Answer, _world: World) -> Answer:
    """A small body that unpacks to a large one, though nobody asked for compression."""
    packed = _bomb()
    return Answer(200, [JSON, ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))], packed)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), compresslevel=1, mtime=0)
