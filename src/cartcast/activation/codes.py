"""AC1xx: what a reader must know of an activation."""

from __future__ import annotations

from cartcast.findings import declare

__all__ = ["ENDPOINT_OFF", "NOBODY", "NO_AGE", "NO_CONSENT", "NO_OPT_OUTS", "UNDELIVERED"]

NO_CONSENT = declare(
    "AC101", "note", "Nobody was asked for consent",
    "The plan says that none is needed; whether that is so is not for a program to tell.",
    "Keep the reason in the plan true, or name the column of who agreed.",
)  # fmt: skip
NO_OPT_OUTS = declare(
    "AC102", "warn", "No list of opt-outs was given",
    "Who asked not to be contacted is contacted unless the consent already says so.",
    "Name the file under without: in the plan, or with --without.",
)  # fmt: skip
NOBODY = declare(
    "AC103", "warn", "Nobody is contacted",
    "The rule, consent, caps or the age of the scores leave nobody, or all are held out.",
    "Look at the reasons; a table beside the scores may be written with other ids.",
)  # fmt: skip
UNDELIVERED = declare(
    "AC104", "warn", "Messages were not delivered",
    "Their visitors count as contacted, and are analysed so; the effect is diluted.",
    "Mend the receiver; what waits is sent by the next call, dead letters with --again.",
)  # fmt: skip
ENDPOINT_OFF = declare(
    "AC105", "warn", "The receiver wants no more messages",
    "It answered 410 Gone, which switches an endpoint off until somebody switches it on.",
    "Correct the url in the plan, or call with --again if the receiver is back.",
)  # fmt: skip
NO_AGE = declare(
    "AC106", "warn", "The scores do not tell their age",
    "Without as_of an old list looks like a new one: it may name those who have bought since.",
    "Keep the column as_of that `cartcast predict` writes.",
)  # fmt: skip
