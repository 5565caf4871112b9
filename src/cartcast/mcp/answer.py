"""An answer: lines with numbers that have ids, quotations, and the findings that go with them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from cartcast.findings import Finding
from cartcast.mcp.desk import Desk
from cartcast.mcp.ledger import UNKNOWN, Figure
from cartcast.mcp.tokens import numbers_in

__all__ = ["Answer"]

MOST_FINDINGS: Final = 8
MOST_TOLD: Final = 20
MOST_MESSAGE: Final = 300


class Answer:
    """One answer in the making."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lines: list[str] = []
        self.figures: dict[str, Figure] = {}
        self.found: list[Finding] = []
        self.problems: list[dict[str, Any]] | None = None

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def figure(self, value: Any, unit: str, what: str, **how: Any) -> str:
        """Hand out a number (see `Ledger.hand`) and return it as text; `not known` if undefined."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return UNKNOWN
        figure = self.desk.ledger.hand(value, unit, what, **how)
        self.figures[figure.id] = figure
        return figure.text

    def share(self, share: Any, of: str, what: str, about: str | None = None) -> str:
        """Hand out a `Share` of something with its interval."""
        if share is None:
            return UNKNOWN
        ends = {"low": share.low, "high": share.high}
        return self.figure(share.value, "share", what, **ends, of=of, about=about)

    def quote(self, text: Any, column: str | None = None) -> str:
        """Return a text as data, see `Desk.quote`."""
        return self.desk.quote(text, column)

    def sentence(self, text: str, what: str, **how: Any) -> str:
        """Hand out every number of a sentence of ours, and return it with their ids."""
        out, last = "", 0
        for end, kind, unit, values in numbers_in(text):
            if kind == "code":
                self.desk.ledger.quoted(text[end - 5 : end])
                continue
            value, low, high = [*values, None, None][:3]
            figure = self.desk.ledger.hand(value, unit, what, low=low, high=high, **how)
            self.figures[figure.id] = figure
            out += f"{text[last:end]} [{figure.id}]"
            last = end
        return out + text[last:]

    def findings(self, found: Iterable[Finding]) -> None:
        """Add findings; their messages may hold words of the log and are quoted."""
        self.found += found

    def text(self) -> str:
        """Return the answer for reading."""
        lines = list(self.lines)
        for f in self.found:
            self.desk.ledger.quoted(f.code)
        grave = [f for f in self.found if f.severity != "note"]
        for f in grave[:MOST_FINDINGS]:
            waived = " (waived)" if f.waived is not None else ""
            lines.append(f"Finding {f.code}, {f.severity}{waived}: {self._message(f)}")
        less = dict.fromkeys(f.code for f in [*grave[MOST_FINDINGS:], *self.found])
        rest = [c for c in less if c not in {f.code for f in grave[:MOST_FINDINGS]}]
        if rest:
            lines.append(f"Notes: {', '.join(rest)}.")
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """Return the numbers exactly, and the findings, for machines."""
        if self.problems is not None:
            return {"accepted": not self.problems, "problems": self.problems}
        return {
            "numbers": [f.as_dict() for f in self.figures.values()],
            "findings": [
                {"code": f.code, "severity": f.severity, "message": self._message(f)}
                | ({"advice": f.advice} if f.advice else {})
                for f in self.found[:MOST_TOLD]
            ],
        }

    def _message(self, f: Finding) -> str:
        return self.desk.quote(f.message, most=MOST_MESSAGE)
