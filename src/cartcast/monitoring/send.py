"""Alarms are sent: one message for all that were opened together, signed, tried again if need be.

Webhooks follow Standard Webhooks (https://www.standardwebhooks.com): headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, `v1,` and the base64 of the HMAC-SHA256 of
`id.timestamp.body`. A receiver takes one id once, and refuses old timestamps. Addresses inside
the network are refused unless `allow_private` is set; the address that was checked is the one that
is spoken to. E-mail goes by SMTP, with TLS unless `tls: none`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ipaddress
import json
import os
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

from cartcast.errors import CartcastError, UsageError
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.plan import Plan

__all__ = ["SendError", "send", "send_email", "send_webhook", "sign", "text_of", "verify"]

_TRIES = 4
_FIRST_PAUSE = 1.0
_TIMEOUT = 10.0
_OLDEST = 300
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class SendError(CartcastError):
    """A message could not be delivered; the alarm stays open and unsent."""


def _key(secret: str) -> bytes:
    if secret.startswith("$"):
        name = secret[1:]
        secret = os.environ.get(name, "")
        if not secret:
            raise UsageError(
                f"monitoring: the variable {name} with the webhook's secret is not set."
            )
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or len(key) < 24:
        raise UsageError(
            "monitoring: a webhook's secret must be whsec_ and the base64 of 24 bytes or more: "
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


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was checked, under the certificate of its name."""

    def __init__(self, host: str, port: int, address: str, secure: bool) -> None:
        super().__init__(host, port, timeout=_TIMEOUT)
        self.address, self.secure = address, secure

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), _TIMEOUT)
        self.sock = plain
        if self.secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self.host)


def _address(host: str, port: int, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SendError(f"{host}: no such host ({error}).") from error
    addresses = [str(f[4][0]) for f in found]
    if not allow_private:
        for address in addresses:
            if not ipaddress.ip_address(address.split("%")[0]).is_global:
                raise UsageError(
                    f"{host} is {address}, an address inside the network; to send there all the "
                    "same set `allow_private: true` under monitoring.webhook."
                )
    return addresses[0]


def send_webhook(
    settings: Mapping[str, Any], payload: Mapping[str, Any], *, identity: str | None = None,
    sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.time,
) -> int:  # fmt: skip
    """Post a signed message; return how often it was tried.

    One identity is kept over all tries, so that a receiver can tell a repetition; pauses double.

    Raises:
        UsageError: the URL or secret is not usable, or the address lies inside the network.
        SendError: it was refused, or not taken in four tries.
    """
    url = urlsplit(str(settings.get("url", "")))
    if url.scheme not in ("http", "https") or not url.hostname or url.username:
        raise UsageError(
            f"monitoring: a webhook's url must be https://host/path, got {url.geturl()!r}."
        )
    if url.scheme == "http" and not settings.get("allow_private"):
        raise UsageError(
            "monitoring: a webhook's url must be https; http is for private addresses."
        )
    secret = str(settings.get("secret", ""))
    _key(secret)
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    identity = identity or f"msg_{uuid.uuid4().hex}"
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    said = ""
    for attempt in range(1, _TRIES + 1):
        address = _address(url.hostname, port, bool(settings.get("allow_private")))
        stamp = int(clock())
        headers = {
            "content-type": "application/json", "webhook-id": identity,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(secret, identity, stamp, body),
        }  # fmt: skip
        status, said = _post(_Pinned(url.hostname, port, address, secure), path, body, headers)
        if 200 <= status < 300:
            return attempt
        if status and status not in _AGAIN:
            raise SendError(f"{url.hostname} refused the alarm with status {status}.")
        if attempt < _TRIES:
            sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
    raise SendError(f"{url.hostname} did not take the alarm in {_TRIES} tries ({said}).")


def _post(
    connection: _Pinned, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, str]:
    """Return the status, 0 when there was no answer, and what went wrong."""
    try:
        connection.request("POST", path, body, dict(headers))
        status = connection.getresponse().status
        return status, f"status {status}"
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def text_of(alarms: Sequence[Alarm]) -> tuple[str, str]:
    """Return subject and text of one message for all alarms."""
    pages = [a for a in alarms if a.severity == "page"]
    first = (pages or list(alarms))[0]
    more = f" and {len(alarms) - 1} more" if len(alarms) > 1 else ""
    subject = f"Cartcast {first.severity} {first.code}: {first.message}{more}"
    lines = []
    for a in alarms:
        money = f"{a.money:,.0f} {a.currency or ''}".strip() if a.money is not None else "not known"
        lines += [
            f"[{a.number}] {a.severity} {a.code} of run {a.run}",
            f"  what:   {a.message}",
            f"  since:  {a.since}",
            f"  money:  {money}",
            *(f"  look at: {look}" for look in a.look),
            f"  cartcast monitor acknowledge {a.number}",
            "",
        ]
    return " ".join(subject.split())[:180], "\n".join(lines)


def send_email(settings: Mapping[str, Any], alarms: Sequence[Alarm]) -> None:
    """Send one e-mail for all alarms.

    Raises:
        UsageError: a setting is missing.
        SendError: the server refused, or is not there.
    """
    missing = [k for k in ("host", "sender", "to") if not settings.get(k)]
    if missing:
        raise UsageError(f"monitoring: email needs {', '.join(missing)}.")
    to = settings["to"]
    message = EmailMessage()
    message["Subject"], text = text_of(alarms)
    message["From"] = str(settings["sender"])
    message["To"] = to if isinstance(to, str) else ", ".join(to)
    message["Message-ID"] = f"<{uuid.uuid4().hex}@cartcast>"
    message.set_content(text)
    host, how = str(settings["host"]), str(settings.get("tls", "starttls"))
    if how not in ("starttls", "implicit", "none"):
        raise UsageError(f"monitoring: tls must be starttls, implicit or none, got {how!r}.")
    port = int(settings.get("port") or {"starttls": 587, "implicit": 465, "none": 25}[how])
    try:
        context = ssl.create_default_context()
        server: smtplib.SMTP = (
            smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
            if how == "implicit"
            else smtplib.SMTP(host, port, timeout=_TIMEOUT)
        )
        with server:
            if how == "starttls":
                server.starttls(context=context)
            if settings.get("user"):
                password = str(settings.get("password", ""))
                if password.startswith("$"):
                    password = os.environ.get(password[1:], "")
                server.login(str(settings["user"]), password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise SendError(
            f"{host}: the alarm could not be mailed ({type(error).__name__})."
        ) from error


def send(
    plan: Plan, alarms: Sequence[Alarm], sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Send alarms that no silence holds back, by every way of the plan; return the ways used.

    Raises:
        SendError: no way delivered; with several ways, one that works is enough.
    """
    due = [a for a in alarms if a.silenced is None]
    ways: list[str] = []
    failed: list[SendError] = []
    if not due:
        return ways
    if plan.webhook:
        payload = {"type": "cartcast.alarms", "alarms": [a.as_dict() for a in due]}
        try:
            send_webhook(plan.webhook, payload, sleep=sleep)
            ways.append("webhook")
        except SendError as error:
            failed.append(error)
    if plan.email:
        try:
            send_email(plan.email, due)
            ways.append("email")
        except SendError as error:
            failed.append(error)
    if failed and not ways:
        raise failed[0]
    return ways
