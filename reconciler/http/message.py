"""What goes over the wire and what may go wrong: values, two signals, and the seam.

``Transport`` is where the network ends and the rest begins. Tests, simulations and the
embedded sandbox plug in here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconciler.untrusted import as_it_is


class NotSent(Exception):
    """The connection was never made: no byte of the request left us. Safe to send again."""


class TlsFailed(NotSent):
    """TLS could not be agreed on: a certificate is not trusted, say. Asking again gives the same."""


class AnswerLost(Exception):
    """The request may have arrived, and its answer is not known (whole). A write may have happened."""


class TooLarge(AnswerLost):
    """The answer is larger than what is read of one."""


class Headers(Mapping[str, str]):
    """Headers of an answer, looked up in any case. Repeated ones are joined by a comma (RFC 9110, 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = items.items() if isinstance(items, Mapping) else items
        values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            values[name] = f"{values[name]}, {value}" if name in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request relative to a base URL. ``path`` starts with ``/``; ``json``, unless None, is the body."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: object | None = None

    def body(self) -> bytes | None:
        if self.json is None:
            return None
        return json.dumps(self.json, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, whatever its status. The body is bytes as sent, never decompressed; a success's is whole.

    ``hide`` takes our key out of a text. Whoever makes text of the answer that will be shown or kept
    applies it, after decoding and cleaning: only then is all that was escaped or invisible gone.
    """

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)
    hide: Callable[[str], str] = field(default=as_it_is, repr=False, compare=False)


class Transport(Protocol):
    """Sends one request, once. It never retries and never follows a redirect."""

    def send(self, request: Request, *, read_timeout: float) -> Response:
        """Send and return the answer; ``read_timeout`` is seconds of silence we bear while waiting for it.

        Raises ``NotSent`` when no byte of the request can have left, ``AnswerLost`` for any
        failure after that.
        """
        ...


def without_secret(response: Response, secret: str) -> Response:
    """Return an answer with our key taken out of its bytes, should the server say it back as it is.

    Out of a success only a key that cannot be a word or number of the answer by chance. Other
    spellings are left to ``Response.hide``.
    """
    if len(secret) < (_SHORTEST_SECRET if response.status >= 400 else _LONG_SECRET):
        return response
    body = response.body
    for spelled in (secret, secret.replace("/", "\\/")):  # as PHP writes a slash in JSON
        body = body.replace(spelled.encode(), b"***")
    headers = ((name, value.replace(secret, "***")) for name, value in response.headers.items())
    return replace(response, headers=Headers(headers), body=body)


_SHORTEST_SECRET = 6  # shorter ones are no real keys, and would be found inside ordinary words
_LONG_SECRET = 16
