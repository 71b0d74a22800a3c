"""HTTP: one request, one answer, and an honest word on whether a lost one may have arrived.

``transport.py`` alone imports httpx, and only when a transport is built; importing this package
is cheap. Nothing here knows the API's endpoints.
"""

from reconciler.http.address import checked_base_url, checked_key
from reconciler.http.emulated import emulated_now, has_any_transfer, is_emulated
from reconciler.http.message import (
    AnswerLost,
    Headers,
    NotSent,
    Request,
    Response,
    TlsFailed,
    TooLarge,
    Transport,
)
from reconciler.http.pacing import Held, Pacer
from reconciler.http.proxies import proxy_for
from reconciler.http.retry import GaveUp, Retry, TryAgain, is_passing, retry_after, server_time
from reconciler.http.transport import HttpTransport
from reconciler.http.wsgi import WsgiTransport

__all__ = [
    "AnswerLost",
    "GaveUp",
    "Headers",
    "Held",
    "HttpTransport",
    "NotSent",
    "Pacer",
    "Request",
    "Response",
    "Retry",
    "TlsFailed",
    "TooLarge",
    "Transport",
    "TryAgain",
    "WsgiTransport",
    "checked_base_url",
    "checked_key",
    "emulated_now",
    "has_any_transfer",
    "is_emulated",
    "is_passing",
    "proxy_for",
    "retry_after",
    "server_time",
]
