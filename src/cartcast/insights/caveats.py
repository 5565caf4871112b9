"""Caveats: the findings of a log's reading that make a rate, or an order of steps, mean little.

Every insight carries them as `findings`, so that no figure travels without what voids it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cartcast.findings import Finding, by_severity

__all__ = ["caveats"]

RATES: Final = {
    "EV117": "orders that met no session",
    "EV122": "a gap in the feed",
    "EV137": "purchases that stand alone",
    "EV142": "sampled by event",
    "EV143": "cut by a row limit",
    "EV144": "one kind of event only",
}
"""Codes of findings by which no rate of sessions holds, nor any count that is compared."""

ORDER: Final = {"EV131": "the order of events is unknown"}
"""Codes of findings by which it is not known which of two events came first."""


def caveats(findings: Iterable[Finding], *, ordered: bool = False) -> tuple[Finding, ...]:
    """Return the findings that void a rate, and with `ordered` those that void an order too.

    >>> found = [Finding("EV131", "warn", "ties"), Finding("EV142", "warn", "sampled"),
    ...          Finding("EV101", "note", "layout")]
    >>> [f.code for f in caveats(found)], [f.code for f in caveats(found, ordered=True)]
    (['EV142'], ['EV131', 'EV142'])
    """
    codes = RATES.keys() | (ORDER.keys() if ordered else set())
    return tuple(by_severity(f for f in findings if f.code in codes))
