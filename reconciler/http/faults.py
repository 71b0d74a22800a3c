"""Why a connection cannot be prepared or made, which no second try would change."""

from __future__ import annotations

import os

_TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # name what httpx trusts


def fault_of_settings(error: Exception) -> str:
    """Return what of the environment cannot be used; the error's own text may quote a proxy's password."""
    if isinstance(error, ImportError):
        return "The package socksio, which a SOCKS proxy needs, is not installed"
    named = [f"{name}={os.environ[name]}" for name in _TRUSTED if os.environ.get(name)]
    if isinstance(error, OSError) and named:
        lost = [one for one in named if not os.path.exists(one.partition("=")[2])]
        return f"There is no {' and no '.join(lost)}" if lost else f"{named[0]} holds no certificates"
    return "The address of a proxy cannot be read"


def fault_of_tls(error: BaseException | None) -> str:
    """Return why no TLS connection can be made, if that ended the connecting; "" for what may pass."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLEOFError | ssl.SSLSyscallError | ssl.SSLZeroReturnError):
            return ""  # the connection broke
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            return f"TLS could not be agreed on ({reason})"
        error = error.__cause__ or error.__context__
    return ""
