"""Settings of the server, and the refusal of settings that would leave it open."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cartcast.errors import UsageError

__all__ = ["Served", "require_safe"]


@dataclass(frozen=True)
class Served:
    """How the service is offered.

    Attributes:
        max_body: bytes of a request body, after decompression.
        max_events: events that one body may become.
        max_ahead: seconds that an event may lie in the future.
        head_seconds: time in which the head of a request must have come in.
        body_seconds: time in which a body must have come in.
        max_connections: open connections in all.
        max_each: open connections of one address.
        rate: requests per second and key (or address, without keys); 0 for no limit.
        origins: web origins whose pages may call (`*` for all); empty for none.
        credentials: whether pages of these origins may send credentials, as Snowplow's browser
            tracker and `sendBeacon` do.
        webhooks: name of each webhook of one's own, and the name or YAML file of its layout.
        docs: whether `/docs` and `/openapi.json` exist.
        metrics: whether `/metrics` exists.
    """

    max_body: int = 2_000_000
    max_events: int = 5_000
    max_ahead: float = 300.0
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    max_connections: int = 800
    max_each: int = 256
    rate: float = 0.0
    origins: tuple[str, ...] = ()
    credentials: bool = False
    webhooks: tuple[tuple[str, str], ...] = ()
    docs: bool = True
    metrics: bool = True

    def __post_init__(self) -> None:
        if self.credentials and (not self.origins or "*" in self.origins):
            raise UsageError("--credentials needs the origins named: --origin https://shop.example")


def require_safe(host: str, has_keys: bool, open_to_all: bool) -> None:
    """Refuse to listen beyond this machine without keys, unless told so.

    Raises:
        UsageError: the host is not loopback and there are no keys.
    """
    if has_keys or open_to_all or is_loopback(host):
        return
    raise UsageError(
        f"--host {host} can be reached from other machines, and there are no keys: make one with "
        "`cartcast keys add NAME --scope ingest`, or say --open-to-all."
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach the host.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
