"""The audit as a report: what was asked, what was found, the evidence, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cartcast.findings import CATALOGUE, Finding, by_severity
from cartcast.leakage.run import Examination

__all__ = ["as_dict", "in_words", "markdown", "verdict"]

_WORDS = {
    "block": "Stops the work",
    "warn": "Must be explained",
    "note": "Good to know",
}


def verdict(findings: tuple[Finding, ...] | list[Finding]) -> str:
    """Return the outcome in one line."""
    count = {s: sum(f.severity == s and f.waived is None for f in findings) for s in _WORDS}
    waived = sum(f.waived is not None for f in findings)
    text = f"{count['block']} block, {count['warn']} warn, {count['note']} note, {waived} waived"
    if count["block"]:
        return f"blocked: no figure measured on these rows can be believed ({text})"
    return f"not blocked ({text})"


def as_dict(examination: Examination, findings: list[Finding]) -> dict[str, Any]:
    """Return the examination as plain data; `findings` are its findings after waivers."""
    return {
        "verdict": verdict(findings),
        "blocked": any(f.severity == "block" and f.waived is None for f in findings),
        "rows": {"train": examination.rows[0], "test": examination.rows[1] or None},
        "prevalence": {"train": examination.prevalence[0], "test": examination.prevalence[1]},
        "features": list(examination.features),
        "findings": [f.as_dict() for f in by_severity(findings)],
        "asked": [
            {
                "check": a.name,
                "family": a.family,
                "question": a.question,
                "skipped": a.skipped,
                "findings": a.findings,
            }
            for a in examination.asked
        ],
    }


def in_words(examination: Examination, findings: list[Finding]) -> str:
    """Return the report for a terminal; `findings` are the findings after waivers."""
    train, test = examination.rows
    rate, rate_test = examination.prevalence
    lines = [
        verdict(findings),
        f"train {train:,} rows, mean label {rate:.4f}"
        + (f"; test {test:,} rows, {rate_test:.4f}" if rate_test is not None else "; no test rows")
        + f"; {len(examination.features)} features",
    ]
    for f in by_severity(findings):
        waived = f" [waived: {f.waived}]" if f.waived is not None else ""
        lines += ["", f"{f.code} {f.severity}{waived}: {f.message}"]
        if f.code in CATALOGUE:
            lines.append(f"  why: {CATALOGUE[f.code].why}")
        lines.append(f"  do:  {f.advice}")
    quiet = [a for a in examination.asked if not a.skipped and not a.findings]
    lines += ["", f"asked {len(examination.asked)} questions; nothing found for {len(quiet)}:"]
    lines += [f"  {a.family:<9} {a.question}" for a in quiet]
    skipped: dict[str, int] = {}
    for a in examination.asked:
        if a.skipped:
            skipped[a.skipped] = skipped.get(a.skipped, 0) + 1
    if skipped:
        lines.append("could not ask:")
        lines += [f"  {count} because {why}" for why, count in skipped.items()]
    return "\n".join(lines)


def markdown(examination: Examination, findings: list[Finding], title: str = "Audit") -> str:
    """Return the report as Markdown; `findings` are the examination's findings after waivers."""
    train, test = examination.rows
    rate, rate_test = examination.prevalence
    lines = [
        f"# {title}",
        "",
        f"**{verdict(findings)}**",
        "",
        f"Train: {train:,} rows, mean label {rate:.4f}."
        + (
            f" Test: {test:,} rows, mean label {rate_test:.4f}."
            if rate_test is not None
            else " No test rows."
        ),
        f"Features: {len(examination.features)} ({', '.join(examination.features[:30])}"
        + (" ...)." if len(examination.features) > 30 else ")."),
        "",
    ]
    for severity, words in _WORDS.items():
        mine = [f for f in by_severity(findings) if f.severity == severity]
        if mine:
            lines += [f"## {words} ({severity})", ""]
            for f in mine:
                lines += _finding(f)
    lines += ["## What was asked", "", "| family | question | answer |", "|---|---|---|"]
    for a in examination.asked:
        answer = (
            f"not asked: {a.skipped}"
            if a.skipped
            else (f"{a.findings} found" if a.findings else "nothing found")
        )
        lines.append(f"| {a.family} | {a.question} | {answer} |")
    return "\n".join([*lines, ""])


def _finding(f: Finding) -> list[str]:
    code = CATALOGUE.get(f.code)
    lines = [f"### {f.code}: {code.title if code else ''}", "", f.message, ""]
    if f.waived is not None:
        lines += [f"Waived: {f.waived}", ""]
    if code:
        lines += [f"Why it matters: {code.why}", ""]
    lines += [f"What to do: {f.advice}", ""]
    evidence = _plain(f.evidence)
    if evidence:
        lines += ["Evidence: " + "; ".join(f"{k} = {v}" for k, v in evidence.items()) + ".", ""]
    return lines


def _plain(evidence: Mapping[str, Any]) -> dict[str, str]:
    return {k: str(v)[:300] for k, v in evidence.items() if v is not None}
