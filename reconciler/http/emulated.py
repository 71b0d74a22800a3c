"""Asking a server on this machine whether it is a sandbox of ours, and what time it is there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from urllib.parse import urlsplit

from reconciler.http.retry import server_time

_EMULATOR = "reconciler-sandbox"  # how the answers of one begin to name their server
_SECONDS = 2.0  # to wait for it: whoever is slower is asked for what is wanted, and told of then


def emulated_now(base_url: str) -> datetime | None:
    """Return the time of a sandbox that is served on this machine; ``None`` for any other API.

    A control endpoint is asked, which needs no key and meets no fault. Only a sandbox is reached by ``http://``
    (``checked_base_url``), so no other API is asked anything.
    """
    from http.client import HTTPConnection, HTTPException

    with suppress(OSError, HTTPException, ValueError):  # what is wrong with the address is told later
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not parts.hostname:
            return None
        with closing(HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)) as connection:
            connection.request("GET", "/_sandbox/settings")
            headers = {name.lower(): value for name, value in connection.getresponse().getheaders()}
        return server_time(headers) if is_emulated(headers) else None
    return None


def is_emulated(headers: Mapping[str, str]) -> bool:
    """Tell whether a sandbox of ours answered."""
    return headers.get("server", "").startswith(_EMULATOR)


def has_any_transfer(headers: Mapping[str, str]) -> bool:
    """Tell whether a sandbox answered in whose world every transfer exists, though its list names few."""
    return is_emulated(headers) and headers["server"].endswith("(open)")
