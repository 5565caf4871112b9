"""XP1xx: what a reader must know before trusting an experiment's figures."""

from __future__ import annotations

from cartcast.findings import declare

__all__ = [
    "ARM_WITHOUT_UNITS",
    "BEFORE_START",
    "CANNOT_TELL_APART",
    "CAPPED",
    "DIFFERENT_BEFORE",
    "FEW_EVENTS",
    "FEW_UNITS",
    "GUARDRAIL",
    "IN_TWO_ARMS",
    "LOGGED",
    "NOT_WORTH_IT",
    "NO_EVENTS",
    "NO_PRE_PERIOD",
    "NO_RELATIVE",
    "NO_VARIANCE",
    "PEEKED",
    "SAMPLE_RATIO",
    "STILL_RUNNING",
    "STRANGERS",
    "UNKNOWN_ARM",
]

SAMPLE_RATIO = declare(
    "XP101",
    "block",
    "the arms do not hold the shares they were meant to",
    "Units were lost or doubled in one arm, and those are seldom units like the others: every "
    "difference may come from that.",
    "Find the cause (redirects, bots, late logging, a unit that changes at login) and start again; "
    "no correction repairs it.",
)
IN_TWO_ARMS = declare(
    "XP102",
    "warn",
    "units were exposed to more than one arm",
    "They are kept in the arm they saw first (intention to treat), since leaving them out biases "
    "uneven splits; the effect is diluted.",
    "Hash the resolved visitor, not the device; above 1 % find the cause before trusting effects.",
)
ARM_WITHOUT_UNITS = declare(
    "XP103",
    "block",
    "an arm has no units",
    "Nothing can be compared with nothing.",
    "Check the allocation, the names of the arms, and that exposures are logged.",
)
BEFORE_START = declare(
    "XP104",
    "warn",
    "exposures before the start were left out",
    "What was logged while testing, or with another allocation, is not part of the experiment.",
    "Correct the declared start if the exposures are real.",
)
NO_PRE_PERIOD = declare(
    "XP105",
    "note",
    "no history to reduce the variance with",
    "The covariate is the same for all units, as when all are new; the plain difference is used.",
    "Use a covariate that varies, such as the conversion score at exposure, or a longer history.",
)
FEW_UNITS = declare(
    "XP106",
    "warn",
    "too few units for an interval",
    "With few units the normal approximation does not hold, and a p-value would mean nothing.",
    "Wait for more units; the design says how many.",
)
NO_EVENTS = declare(
    "XP107",
    "warn",
    "a metric has no events",
    "It is zero for all units: it is wrongly declared, not logged, or not yet due.",
    "Check the metric's event and window against the log.",
)
STILL_RUNNING = declare(
    "XP108",
    "warn",
    "the experiment has not reached its planned end",
    "A fixed test that is looked at daily for a month is wrong in about 28 of 100 cases where "
    "nothing differs.",
    "Until the end, read the always valid interval or the planned looks, not the fixed p-value.",
)
PEEKED = declare(
    "XP109",
    "note",
    "the experiment was looked at before its end",
    "Each look at a fixed test is another chance for a false alarm.",
    "Read the always valid interval; next time plan the looks.",
)
NO_RELATIVE = declare(
    "XP110",
    "note",
    "no relative effect",
    "The control's value is not clearly above zero, so a ratio to it has no meaning.",
    "Read the absolute difference.",
)
DIFFERENT_BEFORE = declare(
    "XP111",
    "block",
    "the arms differed before the experiment",
    "Arms drawn at random are alike in what they did before; these are not.",
    "Look for units that entered an arm because of what they did, or for a carried-over test.",
)
GUARDRAIL = declare(
    "XP112",
    "warn",
    "a guardrail may be harmed beyond its margin",
    "The data do not rule out a loss larger than the tolerated one.",
    "Do not roll out before it is ruled out: more units, or a change that spares the guardrail.",
)
FEW_EVENTS = declare(
    "XP113",
    "note",
    "few events: an exact test",
    "With fewer than ten units on one side of yes and no the normal approximation is wrong. "
    "Fisher's exact test and the score interval stand in its place, without covariate and strata; "
    "planned looks use the exact interval that holds at every look.",
    "Wait, or choose a more frequent metric.",
)
NO_VARIANCE = declare(
    "XP114",
    "warn",
    "no interval: a metric does not vary, or its variance is not known",
    "Without a variance there is neither an interval nor a test.",
    "Check the metric; ask the source of the statistics for the missing variance.",
)
UNKNOWN_ARM = declare(
    "XP115",
    "warn",
    "units of arms that are not declared were left out",
    "They belong to another experiment, or an arm was renamed.",
    "Declare the arm, or correct its name.",
)
CAPPED = declare(
    "XP116",
    "note",
    "values were capped",
    "A few very large values decide a mean; capping them trades a small bias for precision.",
    "Read it together with the uncapped metric.",
)
NOT_WORTH_IT = declare(
    "XP117",
    "warn",
    "the test is not worth running as designed",
    "In the time given it would miss effects of the size that matters more often than find them.",
    "Choose a more frequent metric, a covariate, a bolder change, or decide without a test.",
)
CANNOT_TELL_APART = declare(
    "XP118",
    "note",
    "policies cannot be told apart",
    "The interval of their difference holds zero: the data do not say that choosing whom to treat "
    "is worth more than the simpler policy.",
    "Take the simpler one, or collect more randomised data.",
)
STRANGERS = declare(
    "XP119",
    "warn",
    "exposed units are not in the log",
    "They count as units that did nothing. Either the log is not that of the test, or exposures "
    "and events name the unit by different ids.",
    "Log exposures with the id that the plan's unit names; check `unit` and the log.",
)
LOGGED = declare(
    "XP130",
    "note",
    "exposures were read from the log",
    "Events of the log name the experiment and the arm that was seen; units count from the first.",
    "Give --exposures where another record of who saw what is the right one.",
)
