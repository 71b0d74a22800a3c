"""Which proxy the environment asks for, and whom ``NO_PROXY`` keeps from it.

Read by us, since httpx takes an entry of ``NO_PROXY`` for part of a URL: an IPv6 network or brackets end the
program there, and an IPv4 network matches nothing. What curl and Go understand is understood here:

    *                       everybody
    example.com             the host and all below it; .example.com and *.example.com say the same
    example.com:8443        only that port
    10.0.0.0/8  fd00::/8    addresses in a network
    ::1  [::1]  [::1]:8443  one address, with or without brackets
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies

from reconciler.http.address import is_loopback

_PORTS = {"http": 80, "https": 443}


def proxy_for(base_url: str) -> str | None:
    """Return the URL of the proxy to use, which may hold a password; ``None``: go directly."""
    return chosen(base_url, getproxies())


def chosen(base_url: str, proxies: Mapping[str, str]) -> str | None:
    """Choose among proxies by scheme, as ``urllib`` finds them; ``no`` has those to be reached directly."""
    parts = urlsplit(base_url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_loopback(host) or is_spared(host, port, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_spared(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether an entry of ``NO_PROXY`` names the host. What cannot be read names nobody."""
    entries = (entry.lower() for entry in no_proxy.replace(",", " ").split())
    return any(entry == "*" or _names(*_parted(entry), host.lower(), port) for entry in entries)


def _parted(entry: str) -> tuple[str, int | None]:
    """Return an entry without brackets, and its port, if it has one: ``[fd00::]/8``, ``::1``, ``host:80``."""
    if entry.startswith("["):
        address, _, rest = entry[1:].partition("]")
        return (address + rest, None) if rest.startswith("/") else (address, _port(rest))
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and port.isdigit():
        return name, int(port)
    return entry, None


def _port(rest: str) -> int | None:
    return int(rest[1:]) if rest[:1] == ":" and rest[1:].isdecimal() else None


def _names(entry: str, entry_port: int | None, host: str, port: int) -> bool:
    if entry_port not in (None, port):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".").rstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network
