"""Proxies of the environment: which one, and whom ``NO_PROXY`` keeps from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.http import HttpTransport, proxy_for
from reconciler.http.proxies import chosen, is_spared

SPARED = [
    ("*", "api.example.com"),
    ("example.com", "example.com"),
    ("example.com", "api.example.com"),
    (".example.com", "api.example.com"),
    ("*.example.com", "api.example.com"),
    ("EXAMPLE.com", "API.example.COM"),
    ("example.com.", "api.example.com"),
    ("example.com:443", "api.example.com"),
    ("other.org, example.com", "example.com"),
    ("other.org example.com", "example.com"),
    (" example.com ,, ", "example.com"),
    ("10.1.2.3", "10.1.2.3"),
    ("10.0.0.0/8", "10.1.2.3"),
    ("10.1.2.3/8", "10.9.9.9"),
    ("10.1.2.3:443", "10.1.2.3"),
    ("fd00::1", "fd00::1"),
    ("FD00:0::1", "fd00::1"),
    ("[fd00::1]", "fd00::1"),
    ("[fd00::1]:443", "fd00::1"),
    ("fd00::/8", "fd12::1"),
    ("[fd00::]/8", "fd12::1"),
    ("localhost, fd00::/8 , 10.0.0.0/8", "fd12::1"),
]
NOT_SPARED = [
    ("", "example.com"),
    (" , ", "example.com"),
    ("ample.com", "example.com"),
    ("api.example.com", "example.com"),
    ("example.com:8443", "example.com"),
    ("[fd00::1]:8443", "fd00::1"),
    ("10.0.0.0/8", "11.1.2.3"),
    ("10.0.0.0/8", "fd00::1"),
    ("fd00::/8", "10.1.2.3"),
    ("fd00::/999", "fd00::1"),
    ("[", "example.com"),
    (".", "example.com"),
    ("https://example.com", "example.com"),
]


@pytest.mark.parametrize("entries, host", SPARED)
def test_spared(entries: str, host: str) -> None:
    assert is_spared(host, 443, entries)


@pytest.mark.parametrize("entries, host", NOT_SPARED)
def test_not_spared(entries: str, host: str) -> None:
    assert not is_spared(host, 443, entries)


@given(st.text(), st.sampled_from(["example.com", "10.1.2.3", "fd00::1"]))
def test_any_text_is_read(entries: str, host: str) -> None:
    is_spared(host, 443, entries)


@pytest.mark.parametrize(
    "url, proxies, wanted",
    [
        ("https://api.invalid/v1", {}, None),
        ("https://api.invalid/v1", {"https": "http://p:3128"}, "http://p:3128"),
        ("https://api.invalid/v1", {"https": "p:3128"}, "http://p:3128"),
        ("https://api.invalid/v1", {"http": "http://p"}, None),
        ("https://api.invalid/v1", {"all": "http://p", "http": "http://q"}, "http://p"),
        ("https://api.invalid/v1", {"all": "http://p", "no": "invalid"}, None),
        ("https://[fd00::1]:8443/v1", {"all": "http://p", "no": "[fd00::]/8"}, None),
        ("https://[fd00::1]:8443/v1", {"all": "http://p", "no": "[fd00::1]:443"}, "http://p"),
        ("http://127.0.0.1:8765/v1", {"all": "http://p"}, None),
        ("http://[::1]:8765/v1", {"all": "http://p"}, None),
        ("http://localhost/v1", {"all": "http://p"}, None),
    ],
)
def test_which_proxy(url: str, proxies: dict[str, str], wanted: str | None) -> None:
    assert chosen(url, proxies) == wanted


@pytest.mark.parametrize("entries", ["fd00::/8", "[fd00::1]", "[::1]:80", "a b", "*.x, [", "::ffff:0/96"])
def test_no_entry_ends_a_run(entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of these are no hosts of a URL, which httpx takes them for."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", entries)
    monkeypatch.delenv("no_proxy", raising=False)
    assert proxy_for("https://api.invalid/v1") == "http://127.0.0.1:1"
    HttpTransport("https://api.invalid/v1", "any-key").close()
