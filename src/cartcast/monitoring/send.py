"""Alarms are sent: one message for all that were opened together, by webhook and by e-mail.

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
from email.message import EmailMessage
from typing import Any

from cartcast.errors import UsageError
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.plan import Plan
from cartcast.webhook import SendError, send_webhook

__all__ = ["send", "send_email", "text_of"]

_TIMEOUT = 10.0


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
