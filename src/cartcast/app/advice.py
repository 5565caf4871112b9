"""What to do about a finding on a page: where the catalogue names a verb or a flag, the place here.

The catalogue's advice is for the command line; somebody at a browser has pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cartcast.findings import Finding

__all__ = ["HERE", "advice"]

_COLUMNS = "look at them under Data and training, Columns"
HERE: Final[Mapping[str, str]] = {
    "AC102": "Name the file under `without:` in the plan.",
    "AC104": "Mend the receiver; what waits is sent by the next delivery.",
    "AC105": "Correct the url in the plan.",
    "EV101": f"To be sure of the columns, {_COLUMNS}.",
    "EV102": f"Correct the columns and keep them as a layout: {_COLUMNS}.",
    "EV109": "Write the pause as `session_gap:` in cartcast.yaml and read the log again; export "
    "the shop's own session ids if it has them.",
    "EV144": "Export the other kinds of event too, or name the table of outcomes as `orders:` in "
    "cartcast.yaml.",
    "EV145": "If one is the order's total, the login or similar, choose it under Data and "
    "training, Columns.",
    "EV148": "Choose the column of event types under Data and training, Columns, or say there "
    "what every row is. A table with one row a session or visitor is trained on as a ready table.",
    "MD101": "Nothing to do: whole visitors were sampled, and the figures are of them.",
    "MD104": "If it is the other one, write the outcome as 0 and 1 in the table.",
    "MD105": "Derive month, weekday, hour or days since then if they matter.",
    "MD122": "Leave it out, or choose it as the visitor's column if it tells visitors apart.",
    "MD124": "Derive month, day of week or hour if they matter.",
    "MD131": "Give the training more time.",
    "MD132": "Bring a log that ends where its outcomes do, or a newer table of outcomes.",
    "SC102": "Choose what the words mean under Data and training, Columns, or train again.",
    "SC106": "Name the table of outcomes as `orders:` in cartcast.yaml, as in training.",
    "TL105": "Filter them at the tracker; a visitor of your own who is taken for one has a score "
    "where every moment is scored.",
    "XP130": "Choose another record of who saw what, where that is the right one.",
}  # fmt: skip
"""Advice by finding code; a code that is not here is advised as everywhere."""


def advice(finding: Finding) -> str:
    """Return what somebody at a page can do about a finding."""
    return HERE.get(finding.code, finding.advice)
