"""Findings: coded facts that a reader must know before trusting a figure.

A finding has a stable code, a severity, a message with the measured evidence, and advice.
Codes are declared once, by the module that raises them, with `declare`; the docs page of all
codes is generated from that catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal

from cartcast.errors import BlockedError, UsageError, did_you_mean

__all__ = [
    "CATALOGUE",
    "Code",
    "Finding",
    "Severity",
    "by_severity",
    "declare",
    "finding",
    "parse_waivers",
    "require_unblocked",
    "waive",
]

Severity = Literal["block", "warn", "note"]
"""`block` stops the work, `warn` must be explained, `note` is good to know."""
_RANK: dict[str, int] = {"block": 0, "warn": 1, "note": 2}


@dataclass(frozen=True)
class Code:
    """What a finding code means: its title, usual severity, why it matters and what to do."""

    code: str
    severity: Severity
    title: str
    why: str
    advice: str


CATALOGUE: dict[str, Code] = {}
"""Every code that has been declared, by itself; a module declares its own when it is imported."""


def declare(code: str, severity: Severity, title: str, why: str, advice: str) -> Code:
    """Register a finding code; a code is declared once.

    Raises:
        UsageError: the code is taken.
    """
    if code in CATALOGUE:
        raise UsageError(f"finding code {code} is declared twice; choose another number.")
    CATALOGUE[code] = Code(code, severity, title, why, advice)
    return CATALOGUE[code]


@dataclass(frozen=True)
class Finding:
    """One coded fact about data, a split, a target or a model.

    `count` is the number of rows, columns or sessions concerned (1 when it is about the whole);
    `evidence` holds the measured numbers; `waived` is the reason given when it was waived.
    """

    code: str
    severity: Severity
    message: str
    count: int = 1
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    waived: str | None = None

    def __repr__(self) -> str:
        waived = ", waived" if self.waived is not None else ""
        return f"<{self.code} {self.severity}{waived}: {self.message}>"

    def _repr_html_(self) -> str:
        colour = {"block": "#b3261e", "warn": "#8a5a00", "note": "#44546a"}[self.severity]
        waived = f" (waived: {escape(self.waived)})" if self.waived is not None else ""
        return (
            f'<p><b style="color:{colour}">{self.code} {self.severity}</b>{waived} '
            f"{escape(self.message)}<br><small>{escape(self.advice)}</small></p>"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "count": self.count,
            "evidence": dict(self.evidence),
            "advice": self.advice,
            "waived": self.waived,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Read back what `as_dict` wrote."""
        return cls(
            code=data["code"],
            severity=data["severity"],
            message=data["message"],
            count=data.get("count", 1),
            evidence=data.get("evidence", {}),
            advice=data.get("advice", ""),
            waived=data.get("waived"),
        )


def finding(
    code: Code, message: str, *, count: int = 1, severity: Severity | None = None, **evidence: Any
) -> Finding:
    """Return a finding of a declared code with its usual severity and advice.

    >>> code = Code("XX999", "note", "an example", "why", "do this")
    >>> finding(code, "3 rows are odd", count=3).advice
    'do this'
    """
    return Finding(code.code, severity or code.severity, message, count, evidence, code.advice)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with `block` first, then by code."""
    return sorted(findings, key=lambda f: (f.waived is not None, _RANK[f.severity], f.code))


def waive(findings: Iterable[Finding], waivers: Mapping[str, str]) -> list[Finding]:
    """Mark findings as waived by code; each waiver needs a reason, which stays on the card.

    Raises:
        UsageError: a reason is empty, or a code does not exist.
    """
    for code, reason in waivers.items():
        if not reason.strip():
            raise UsageError(f"a waiver of {code} needs a reason: --waive {code}='why'.")
        if CATALOGUE and code not in CATALOGUE:
            raise UsageError(f"unknown finding code {code!r}.{did_you_mean(code, CATALOGUE)}")
    return [replace(f, waived=waivers.get(f.code, f.waived)) for f in findings]


def parse_waivers(texts: Iterable[str]) -> dict[str, str]:
    """Return code to reason from words such as `LK301=test kept by accident, known`.

    Raises:
        UsageError: a word is not CODE=reason.

    >>> parse_waivers(["LK406='seasonal, known'"])
    {'LK406': 'seasonal, known'}
    """
    out: dict[str, str] = {}
    for text in texts:
        code, equals, reason = text.partition("=")
        reason = reason.strip().strip("'\"").strip()
        if not equals or not code.strip() or not reason:
            raise UsageError(f"--waive takes CODE=reason, got {text!r}.")
        out[code.strip().upper()] = reason
    return out


def require_unblocked(findings: Sequence[Finding]) -> None:
    """Stop when an unwaived `block` finding is left.

    Raises:
        BlockedError: with the findings, when one blocks.
    """
    blocking = [f for f in findings if f.severity == "block" and f.waived is None]
    if blocking:
        codes = ", ".join(sorted({f.code for f in blocking}))
        raise BlockedError(
            f"blocked by the audit ({codes}): {blocking[0].message} {blocking[0].advice} "
            f"To continue anyway: --waive {blocking[0].code}='reason'; it stays on the card.",
            findings,
        )
