"""Messages go by webhook and by e-mail; alarms that were opened together are one message.

Webhooks are signed and tried again (`cartcast.webhook`). E-mail goes by SMTP, with TLS unless
`tls: none`.
"""

from __future__ import annotations

import os
import smtplib
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from cartcast.errors import UsageError
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.plan import Plan
from cartcast.webhook import TRIES, SendError, send_webhook

__all__ = ["Message", "message_of", "post", "send", "send_email"]

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Message:
    """What is sent: subject and text by e-mail, `payload` by webhook, both under one id."""

    subject: str
    text: str
    payload: Mapping[str, Any]
    identity: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")


def message_of(alarms: Sequence[Alarm]) -> Message:
    """Return one message for all alarms."""
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
    text = "\n".join(lines)
    payload = {"type": "cartcast.alarms", "text": text, "alarms": [a.as_dict() for a in alarms]}
    return Message(subject, text, payload)


def send_email(settings: Mapping[str, Any], told: Message) -> None:
    """Send a message as an e-mail.

    Raises:
        UsageError: a setting is missing.
        SendError: the server refused, or is not there.
    """
    missing = [k for k in ("host", "sender", "to") if not settings.get(k)]
    if missing:
        raise UsageError(f"monitoring: email needs {', '.join(missing)}.")
    to = settings["to"]
    message = EmailMessage()
    message["Subject"] = " ".join(told.subject.split())[:180]
    message["From"] = str(settings["sender"])
    message["To"] = to if isinstance(to, str) else ", ".join(to)
    message["Message-ID"] = f"<{told.identity}@cartcast>"
    message.set_content(told.text)
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
            f"{host}: the message could not be mailed ({type(error).__name__})."
        ) from error


def post(
    plan: Plan, message: Message, *, tries: int = TRIES, sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Send a message by every way of the plan; return the ways used.

    Raises:
        SendError: no way delivered; with several ways, one that works is enough.
    """
    ways: list[str] = []
    failed: list[SendError] = []
    if plan.webhook:
        try:
            send_webhook(
                plan.webhook, message.payload, identity=message.identity, tries=tries, sleep=sleep
            )
            ways.append("webhook")
        except SendError as error:
            failed.append(error)
    if plan.email:
        try:
            send_email(plan.email, message)
            ways.append("email")
        except SendError as error:
            failed.append(error)
    if failed and not ways:
        raise failed[0]
    return ways


def send(
    plan: Plan, alarms: Sequence[Alarm], sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Send alarms that no silence holds back, all in one message; as `post`."""
    due = [a for a in alarms if a.silenced is None]
    return post(plan, message_of(due), sleep=sleep) if due else []
