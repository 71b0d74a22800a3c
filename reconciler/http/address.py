"""Where we may send to, and with which key. Everything is checked before a connection is made."""

from __future__ import annotations

from urllib.parse import urlsplit

from reconciler.errors import KeyProblem, UsageError

LONGEST_KEY = 4096  # far below what servers take as a header


def checked_key(key: str) -> str:
    """Return the key. Raises ``KeyProblem``, never quoting it, if it cannot stand in a header."""
    fault = _fault_of_key(key)
    if fault is None:
        return key
    raise KeyProblem(
        "The API key cannot be used",
        f"It {fault}, so it cannot be an API key. Nothing was sent.",
        "Check the variable or file the key comes from: a copied space or line break is the usual cause.",
    )


def _fault_of_key(key: str) -> str | None:
    if not key:
        return "is empty"
    if not key.isascii():
        return "contains a character that is not ASCII"
    if "\n" in key or "\r" in key:
        return "contains a line break"
    if not key.isprintable() or " " in key:
        return "contains a space or a control character"
    return f"is longer than {LONGEST_KEY} characters" if len(key) > LONGEST_KEY else None


def checked_base_url(url: str) -> str:
    """Return the URL without a trailing slash. Raises ``UsageError`` unless it is https, or http on loopback.

    Over plain http the key would go in clear, which is only tolerable within one machine.
    Credentials in the URL are refused too: it is printed, and stored in plans and states.
    """
    fault = _fault_of_url(url)
    if fault:
        raise UsageError("The API's URL cannot be used", fault, _URL_HINT)
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UsageError(
            "The API's URL is not encrypted",
            "With http:// the API key would be sent unencrypted; only loopback addresses may use it.",
            _URL_HINT,
        )
    return url.rstrip("/")


_URL_HINT = "Give a URL like https://host/v1, or http://127.0.0.1:PORT/v1 for a server on this machine."


def _fault_of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only when asked for
        (parts.hostname or "").encode("idna")  # what looking the name up will do
    except ValueError:
        return "It is not a URL."
    if not url.isascii() or not url.isprintable() or " " in url:
        return "It contains a character that is not allowed in a URL."
    if parts.scheme not in ("http", "https"):
        return "It must start with https:// (or http:// for loopback)."
    if not parts.hostname:
        return "It has no host."
    if "@" in parts.netloc:
        return "It contains credentials; the API key is given separately."
    return "It must end with the path, without ? or #." if "?" in url or "#" in url else ""


def is_loopback(host: str) -> bool:
    """True for ``localhost``, 127.0.0.0/8 and ::1."""
    from ipaddress import ip_address

    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
