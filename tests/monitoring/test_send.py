"""Sending: signatures a receiver accepts, tries with growing pauses, a real SMTP conversation."""

from __future__ import annotations

import base64
import json
from email import message_from_string
from email.policy import default

import pytest

from cartcast.errors import UsageError
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.send import message_of, send, send_email
from cartcast.webhook import SendError, send_webhook, sign, verify

SECRET = "whsec_" + base64.b64encode(b"a secret of tests only, thirty-two bytes or more").decode()
ALARM = Alarm(
    1, "run-1", "MO101", "purchases_down", "page", "open", "2026-03-09T08:00:00+00:00", "2026-03-05T00:00:00",
    "2026-03-08T00:00:00", 1, -1234.5, "EUR", "purchases were 80% of those expected.", ("compare with the orders",),
)  # fmt: skip


def test_a_message_is_signed_and_a_receiver_can_check_it(receiver) -> None:
    settings, handler = receiver
    assert send_webhook(settings, {"alarms": [ALARM.as_dict()]}) == 1
    headers, body = handler.seen[0]
    secret = settings["secret"]
    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify(secret, {**headers, "webhook-id": "msg_other"}, body)
    assert not verify(secret, headers, body, now=float(headers["webhook-timestamp"]) + 301)
    assert not verify("whsec_" + "A" * 32, headers, body)
    told = json.loads(body)["alarms"][0]
    assert {"code", "since", "money", "look", "message", "advice", "state"} <= set(told)


def test_tries_again_with_growing_pauses_and_one_identity(receiver) -> None:
    settings, handler = receiver
    handler.answers[:] = [500, 429]
    pauses: list[float] = []
    moments = [1000.0, 1001.0, 1003.0]
    clock = lambda: moments[len(pauses)]  # noqa: E731
    assert send_webhook(settings, {}, sleep=pauses.append, clock=clock) == 3
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0
    assert len({h["webhook-id"] for h, _ in handler.seen}) == 1
    assert [h["webhook-timestamp"] for h, _ in handler.seen] == ["1000", "1001", "1003"]
    assert all(
        h["webhook-signature"]
        == sign(settings["secret"], h["webhook-id"], int(h["webhook-timestamp"]), b)
        for h, b in handler.seen
    )


def test_a_refusal_is_final_and_four_failures_are_enough(receiver) -> None:
    settings, handler = receiver
    handler.answers[:] = [410]
    with pytest.raises(SendError, match="status 410"):
        send_webhook(settings, {}, sleep=lambda s: None)
    assert len(handler.seen) == 1
    handler.answers[:] = [503] * 9
    with pytest.raises(SendError, match="4 tries"):
        send_webhook(settings, {}, sleep=lambda s: None)
    assert len(handler.seen) == 5


def test_nobody_listens() -> None:
    settings = {"url": "http://127.0.0.1:9/", "secret": SECRET, "allow_private": True}
    with pytest.raises(SendError, match="ConnectionRefusedError"):
        send_webhook(settings, {}, sleep=lambda s: None)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "[::1]",
        "169.254.169.254",
        "192.168.0.9",
        "0.0.0.0",
        "[::ffff:10.0.0.1]",
        "localhost",
    ],
)
def test_private_addresses_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="inside the network"):
        send_webhook({"url": f"https://{host}/x", "secret": SECRET}, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "http://example.com/"}, "must be https"),
        ({"url": "ftp://example.com/"}, "https://host/path"),
        ({"url": "https://u:p@example.com/"}, "https://host/path"),
        ({"secret": "whsec_short"}, "24 bytes"),
        ({"secret": "plain" * 10}, "24 bytes"),
        ({"secret": "$CARTCAST_NO_SUCH"}, "CARTCAST_NO_SUCH"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        send_webhook({"url": "https://example.com/", "secret": SECRET, **change}, {})


def test_a_mail_says_what_since_when_how_much_and_where(smtp) -> None:
    settings, handler = smtp
    send_email(settings, message_of([ALARM, ALARM]))
    ((sender, to, text),) = handler.mails
    assert "cartcast@shop.example" in sender
    assert len(to) == 2
    mail = message_from_string(text, policy=default)
    assert mail["subject"].startswith("Cartcast page MO101: purchases were 80%")
    assert mail["subject"].endswith("and 1 more")
    content = mail.get_content()
    for part in ("since:  2026-03-05", "-1,234 EUR", "compare with the orders", "acknowledge 1"):
        assert part in content


def test_a_mail_that_is_refused(smtp) -> None:
    settings, handler = smtp
    handler.refuse.append(True)
    with pytest.raises(SendError, match="could not be mailed"):
        send_email(settings, message_of([ALARM]))
    with pytest.raises(UsageError, match="needs to"):
        send_email({k: v for k, v in settings.items() if k != "to"}, message_of([ALARM]))
    with pytest.raises(UsageError, match="starttls, implicit or none"):
        send_email({**settings, "tls": "maybe"}, message_of([ALARM]))


def test_a_subject_cannot_break_out_of_its_line(smtp) -> None:
    settings, handler = smtp
    evil = Alarm(**{**ALARM.__dict__, "message": "x\r\nBcc: evil@x.example"})
    send_email(settings, message_of([evil]))
    mail = message_from_string(handler.mails[0][2], policy=default)
    assert "Bcc: evil@x.example" in mail["subject"]
    assert mail["bcc"] is None


def test_all_alarms_go_in_one_message_and_one_way_is_enough(receiver, smtp) -> None:
    webhook, hook = receiver
    email, mail = smtp
    silenced = Alarm(**{**ALARM.__dict__, "number": 3, "silenced": 1})
    assert send(Plan(webhook=webhook, email=email), [ALARM, ALARM, silenced]) == [
        "webhook",
        "email",
    ]
    assert [a["number"] for a in json.loads(hook.seen[0][1])["alarms"]] == [1, 1]
    hook.answers[:] = [410]
    assert send(Plan(webhook=webhook, email=email), [ALARM]) == ["email"]
    assert len(mail.mails) == 2
    hook.answers[:] = [410]
    with pytest.raises(SendError):
        send(Plan(webhook=webhook), [ALARM])
    assert send(Plan(), [ALARM]) == []
