"""Webhooks: one signed message is posted, tried again if need be, to an address that is allowed.

Messages follow Standard Webhooks (https://www.standardwebhooks.com): headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, `v1,` and the base64 of the HMAC-SHA256 of
`id.timestamp.body`. A receiver takes one id once, and refuses old timestamps. Addresses inside
the network are refused unless `allow_private` is set; the address that was checked is the one that
is spoken to, and redirects are not followed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import email.utils
import hashlib
import hmac
import http.client
import ipaddress
import json
import os
import re
import secrets
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from cartcast.errors import CartcastError, UsageError

__all__ = [
    "LARGEST",
    "TRIES",
    "Answer",
    "Endpoint",
    "SendError",
    "pause",
    "send_webhook",
    "sign",
    "verify",
]

LARGEST = 1 << 18
"""Bytes of a message's body, at most; the specification advises 20 kB."""
TRIES = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 3600.0
_TIMEOUT = 10.0
_DEADLINE = 30.0
"""Seconds that one post takes at most, however slowly its answer drips."""
_OLDEST, _DAY = 300, 86_400
_AGAIN = {0, 408, 425, 429, 500, 502, 503, 504}
_CHANCE = secrets.SystemRandom()
_WRAPPING = [ipaddress.ip_network(n) for n in ("64:ff9b::/96", "::/96")]
"""Addresses whose last four bytes are an IPv4 address: NAT64, and the older compatible ones."""


class SendError(CartcastError):
    """A message could not be delivered; what it tells of stays as it was."""


def _key(secret: str) -> bytes:
    if secret.startswith("$"):
        name = secret[1:]
        secret = os.environ.get(name, "")
        if not secret:
            raise UsageError(f"the variable {name} with the webhook's secret is not set.")
    try:
        text = secret.removeprefix("whsec_")
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or len(key) < 24:
        raise UsageError(
            "a webhook's secret must be whsec_ and the base64 of 24 bytes or more: "
            'echo "whsec_$(openssl rand -base64 32)" makes one.'
        )
    return key


def sign(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message, as the header carries it.

    The case of https://github.com/standard-webhooks/standard-webhooks (libraries/python tests):

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...     b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{identity}.{timestamp}.".encode() + body
    made = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(made).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> bool:
    """Return whether a message is ours and new, as a receiver checks it."""
    lower = {k.lower(): v for k, v in headers.items()}
    stamp = lower.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs((now or time.time()) - int(stamp)) > _OLDEST:
        return False
    wanted = sign(secret, lower.get("webhook-id", ""), int(stamp), body)
    offered = lower.get("webhook-signature", "").split()
    return any(hmac.compare_digest(wanted, o) for o in offered)


@dataclass(frozen=True)
class Answer:
    """What came of one post.

    Attributes:
        status: of HTTP; 0 when there was no answer.
        said: the same in words.
        wait: seconds that the receiver asks to be left alone (`Retry-After`), or None.
    """

    status: int
    said: str
    wait: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver has the message."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more messages at all."""
        return self.status == 410

    @property
    def again(self) -> bool:
        """Whether another try may help."""
        return self.status in _AGAIN


def pause(
    tries: int, wait: float | None = None, draw: Callable[[], float] = _CHANCE.random
) -> float:
    """Return the seconds before the next try, after `tries` tries: twice the last, at most an hour.

    A part up to a half is left to chance, so that senders that failed together do not return
    together. Never shorter than the receiver asked for.

    >>> [pause(n, draw=lambda: 0.0) for n in (1, 2, 3)], pause(1, wait=90.0)
    ([1.0, 2.0, 4.0], 90.0)
    """
    whole = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 32), _LONGEST_PAUSE)
    return max(whole * (1 - draw() / 2), wait or 0.0)


@dataclass(frozen=True)
class Endpoint:
    """Where messages go.

    Attributes:
        url: https, or http where private addresses are allowed; never with a password.
        secret: `whsec_...`, or `$NAME` of the variable that holds it.
        allow_private: whether addresses inside the network may be spoken to.
        posts: whether this process posts there; one that only keeps messages needs no secret.

    Raises:
        UsageError: the URL or the secret is not usable.
    """

    url: str
    secret: str = field(repr=False)
    allow_private: bool = False
    posts: bool = True

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.url)
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            usable = None
        if not usable or url.username is not None:
            raise UsageError(f"a webhook's url must be https://host/path, got {self.url!r}.")
        if url.scheme == "http" and not self.allow_private:
            raise UsageError("a webhook's url must be https; http is for private addresses.")
        if self.posts:
            _key(self.secret)

    @classmethod
    def of(cls, settings: Mapping[str, Any], posts: bool = True) -> Endpoint:
        """Return the endpoint that a `webhook:` section of settings names."""
        allowed = settings.get("allow_private", False)
        if not isinstance(allowed, bool):
            raise UsageError(f"allow_private must be true or false, got {allowed!r}.")
        return cls(str(settings.get("url", "")), str(settings.get("secret", "")), allowed, posts)

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or ""

    def post(self, identity: str, body: bytes, clock: Callable[[], float] = time.time) -> Answer:
        """Post a signed message once.

        Raises:
            UsageError: the address lies inside the network, or the body is too large.
        """
        if len(body) > LARGEST:
            raise UsageError(f"a message has at most {LARGEST:,} bytes, got {len(body):,}.")
        url, stamp = urlsplit(self.url), int(clock())
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        headers = {
            "content-type": "application/json", "webhook-id": identity,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(self.secret, identity, stamp, body),
        }  # fmt: skip
        path = url.path or "/"
        if url.query:
            path += f"?{url.query}"
        path = quote(path, safe="/?&=%:@!$'()*+,;~-._[]")
        try:
            address = _address(self.host, port, self.allow_private)
            connection = _Pinned(self.host, port, address, secure)
            with _ended(connection):
                connection.request("POST", path, body, headers)
                # Its head only: what the receiver says besides is of no use, and has no bound.
                answer = connection.getresponse()
                return Answer(answer.status, f"status {answer.status}",
                              _wait(answer.headers.get("retry-after"), clock()))  # fmt: skip
        except socket.gaierror:
            return Answer(0, "no such host")
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            return Answer(0, type(error).__name__)


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, under the certificate of its name."""

    def __init__(self, host: str, port: int, address: str, secure: bool) -> None:
        super().__init__(host, port, timeout=_TIMEOUT)
        self.address, self.secure = address, secure
        self.default_port = 443 if secure else 80  # left out of the header Host

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), _TIMEOUT)
        if self.secure:
            self.sock = _certificates().wrap_socket(self.sock, server_hostname=self.host)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    # To read the system's takes longer than to post a message.
    return ssl.create_default_context()


@contextlib.contextmanager
def _ended(connection: _Pinned) -> Iterator[None]:
    """Close a connection afterwards, and cut it at the deadline: each byte may come in time."""

    def cut() -> None:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(_DEADLINE, cut)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        connection.close()


def _wait(told: str | None, now: float) -> float | None:
    """Return the seconds of a `Retry-After`, number or date, at most a day; None for neither."""
    if told is None:
        return None
    if re.fullmatch(r"\s*[0-9]+\s*", told):
        return float(min(int(told.strip()[:9]), _DAY))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        wait = email.utils.parsedate_to_datetime(told).timestamp() - now
        return min(max(wait, 0.0), float(_DAY))
    return None


def _address(host: str, port: int, allow_private: bool) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(f[4][0]) for f in found]
    if not allow_private:
        for address in addresses:
            if not _is_public(address):
                raise UsageError(
                    f"{host} is {address}, an address inside the network; to send there all the "
                    "same set `allow_private: true` under webhook."
                )
    return addresses[0]


def _is_public(address: str) -> bool:
    """Return whether an address, and the IPv4 address that it wraps, lie outside the network."""
    ip = ipaddress.ip_address(address.split("%")[0])
    inner: list[ipaddress.IPv4Address | None] = []
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_site_local:
            return False
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in _WRAPPING):
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return ip.is_global and not ip.is_multicast and all(_is_public(str(i)) for i in inner if i)


def send_webhook(
    settings: Mapping[str, Any], payload: Mapping[str, Any], *, identity: str | None = None,
    tries: int = TRIES, sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> int:  # fmt: skip
    """Post a signed message, with growing pauses between tries; return how often it was tried.

    One identity is kept over all tries, so that a receiver can tell a repetition.

    Raises:
        UsageError: the URL or secret is not usable, or the address lies inside the network.
        SendError: it was refused, not taken in all `tries`, or is to wait for over a minute.
    """
    endpoint = Endpoint.of(settings)
    body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    identity = identity or f"msg_{uuid.uuid4().hex}"
    answer = Answer(0, "")
    for attempt in range(1, tries + 1):
        answer = endpoint.post(identity, body, clock)
        if answer.taken:
            return attempt
        if not answer.again:
            raise SendError(f"{endpoint.host} refused the message with {answer.said}.")
        if attempt < tries:
            rest = pause(attempt, answer.wait)
            if rest > 60:
                break
            sleep(rest)
    raise SendError(f"{endpoint.host} did not take the message in {attempt} tries ({answer.said}).")
