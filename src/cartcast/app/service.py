"""What the live service says of itself, asked by the app's server."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from cartcast.errors import CartcastError, UsageError

__all__ = ["KEY_VARIABLE", "ServiceError", "status"]

KEY_VARIABLE: Final = "CARTCAST_LIVE_KEY"
"""Environment variable with the app's key to the service, of the scope `score`."""
_SECONDS: Final = 3.0
_MOST: Final = 1_000_000
_SAID: Final = {
    401: f"asks for a key: put one of the scope score into {KEY_VARIABLE}",
    403: f"does not let the key in {KEY_VARIABLE} read: it needs the scope score",
    404: "has no /v1/status: it is another program, or an older Cartcast",
    429: "is asked too often; the page tries again",
}


class ServiceError(CartcastError):
    """The live service does not answer, or not with its status."""


def status(url: str, key: str | None) -> dict[str, Any]:
    """Return the answer of `GET /v1/status`; nothing else is asked, and no redirect followed.

    Raises:
        UsageError: the URL is none of HTTP.
        ServiceError: nobody answers, or not as a live service does.
    """
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise UsageError(f"live: must be an http:// or https:// address, got {url!r}.")
    name = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        connection = _connect(address.scheme, address.hostname, address.port)
        try:
            connection.request("GET", f"{address.path.rstrip('/')}/v1/status", headers=headers)
            answer = connection.getresponse()
            body = answer.read(_MOST)
        finally:
            connection.close()
        told = json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise ServiceError(f"No live service answers at {name} ({_why(error)}).") from error
    if answer.status != 200:
        said = _SAID.get(answer.status, f"answers with status {answer.status}")
        raise ServiceError(f"The service at {name} {said}.")
    if not isinstance(told, dict) or "per_second" not in told:
        raise ServiceError(f"The service at {name} {_SAID[404]}.")
    return told


def _connect(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)
    tls = ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=tls)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"not within {_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "what answers is not a live service"
