"""Delivery: what waits in the outbox is posted, tried again, or laid aside as a dead letter."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cartcast.activation.outbox import Letter, Outbox
from cartcast.activation.plan import Activation
from cartcast.errors import UsageError
from cartcast.webhook import Answer, Endpoint, pause

__all__ = ["MOST_TRIES", "Delivered", "deliver"]

MOST_TRIES = 16
"""Tries of a message, over all calls, before it is a dead letter: over five hours of pauses."""
_UNANSWERED = 5
"""Messages without an answer in a row, after which the receiver is taken to be away."""


@dataclass(frozen=True)
class Delivered:
    """What came of what waited.

    Attributes:
        sent: messages that were taken now.
        waiting: messages that are tried again by the next call.
        dead: dead letters, those of earlier calls among them.
        withdrawn: messages taken back now, since their units have opted out.
        off: whether the receiver has said that it wants no more (410).
        said: the last thing that went wrong; empty if nothing did.
    """

    sent: int = 0
    waiting: int = 0
    dead: int = 0
    withdrawn: int = 0
    off: bool = False
    said: str = ""


def deliver(
    activation: Activation,
    outbox: Outbox,
    *,
    opt_outs: Collection[str] = (),
    patience: float = 60.0,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> Delivered:
    """Send the messages of an activation that wait; one process at a time.

    Pauses between tries double from a second on, a part of them by chance, and are never shorter
    than the receiver's `Retry-After`, which holds for all messages. What is not due within
    `patience` seconds waits for the next call, and so does all once `stopped` says so. A refusal
    (4xx, or a redirect, which is not followed) makes a dead letter at once, sixteen failures do;
    410 switches the endpoint off.

    Raises:
        UsageError: there is no webhook, or its address lies inside the network.
        StorageError: another process is sending.
    """
    if activation.webhook is None:
        raise UsageError(f"{activation.key} has no webhook.")
    with outbox.only_sender(), outbox.held():
        withdrawn = outbox.withdraw(activation.key, opt_outs)
        sent, said = 0, ""
        if outbox.off_since(activation.webhook.url) is None:
            sent, said = _send(activation.key, activation.webhook, outbox, patience, stopped, sleep,
                               clock)  # fmt: skip
        states = outbox.states(activation.key)
        off = outbox.off_since(activation.webhook.url) is not None
    return Delivered(sent, states.get("due", 0), states.get("dead", 0), withdrawn, off, said)


def _send(
    key: str, endpoint: Endpoint, outbox: Outbox, patience: float,
    stopped: Callable[[], bool], sleep: Callable[[float], None], clock: Callable[[], float],
) -> tuple[int, str]:  # fmt: skip
    end, sent, said, unanswered = clock() + patience, 0, "", 0
    while unanswered < _UNANSWERED and (letter := outbox.next_letter(key)) is not None:
        if letter.due > end or stopped():
            break
        if (rest := letter.due - clock()) > 0:
            sleep(rest)
        answer = endpoint.post(letter.identity, letter.body.encode(), clock)
        if answer.taken:
            outbox.settle(letter, "sent", answer.said)
            sent, unanswered = sent + 1, 0
            continue
        said = answer.said
        unanswered = unanswered + 1 if answer.status == 0 else 0
        if answer.gone:
            outbox.switch(endpoint.url, clock())
            break
        _failed(key, letter, answer, outbox, clock())
    return sent, said


def _failed(key: str, letter: Letter, answer: Answer, outbox: Outbox, now: float) -> None:
    if not answer.again or letter.tries + 1 >= MOST_TRIES:
        outbox.settle(letter, "dead", answer.said)
        return
    outbox.settle(letter, "due", answer.said, now + pause(letter.tries + 1, answer.wait))
    if answer.wait:
        outbox.hold(key, now + answer.wait)
