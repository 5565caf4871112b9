"""The page of a decision: what was tested, whether to trust it, what it is worth, what to do.

Guardrails come before the goal; how often it was looked at stands in the first paragraph; what
became of earlier decisions is told with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cartcast.experiments import words
from cartcast.experiments.decision import Decision, relative_of, since
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Analysis, Comparison
from cartcast.features.words import in_words
from cartcast.numbers import number
from cartcast.report.document import Document, Section

__all__ = ["page"]

_WIDE, _ROW = 460, 46


def page(
    decision: Decision,
    analysis: Analysis,
    plan: Plan,
    *,
    currency: str | None = None,
    record: Iterable[Mapping[str, Any]] = (),
) -> Document:
    """Return the page.

    Args:
        decision: what to do.
        analysis: the look that it was made on.
        plan: the experiment's plan.
        currency: code of the log's money.
        record: earlier decisions of the journal.
    """
    trusted = analysis.trusted
    sections = [
        Section("What was tested", [words.asked(decision, analysis, plan)]),
        _trust(analysis),
        _guardrails(decision, analysis, plan),
        *([_effect(decision, analysis, currency)] if trusted else []),
        Section(
            "What to do", [decision.reason, f"What would change this: {decision.would_change}"]
        ),
        _record(record, analysis),
        _figures(analysis, "Every metric" if trusted else "The figures, which cannot be trusted"),
        _findings(analysis),
    ]
    shown = [s for s in sections if s.paragraphs or s.items or s.rows]
    answer = words.of_decision(decision, analysis.control)
    return Document(f"Decision on {analysis.experiment}", answer, shown)


def _trust(analysis: Analysis) -> Section:
    title = "Can the data be trusted?"
    if analysis.trusted:
        return Section(title, [words.ratio(analysis)])
    blocking = [f for f in analysis.findings if f.severity == "block" and not f.waived]
    return Section(title, ["No."], [f"{f.code}: {f.message} {f.advice}" for f in blocking])


def _guardrails(decision: Decision, analysis: Analysis, plan: Plan) -> Section:
    told = [
        words.guardrail(c, margin, plan.metrics[c.metric].better)
        for c in analysis.comparisons
        if c.segment is None and c.arm == decision.arm
        if (margin := plan.metrics[c.metric].margin) is not None
    ]
    return Section("Guardrails", () if told else ["The plan declares none."], told)


def _effect(decision: Decision, analysis: Analysis, currency: str | None) -> Section:
    e, c = decision.effect, analysis.get(decision.metric, decision.arm)
    ends = None if e is None else (e.value, e.low, e.high)
    rows = [(f"Change in {in_words(decision.metric)}", *_ends(ends))]
    told = [words.holds_when(analysis)]
    if decision.money is not None:
        value, low, high = (number(x, "money", currency) for x in decision.money)
        rows.append(("In money a month", value, f"{low} to {high}"))
        told.append(words.MONTH)
    better = c.posterior.chance_better if c.posterior else None
    rows.append(("Chance to be better", words.chance(better), "by the prior"))
    return Section("The effect", told, heads=("", "", "interval"), rows=rows,
                   picture=_picture(analysis))  # fmt: skip


def _record(record: Iterable[Mapping[str, Any]], analysis: Analysis) -> Section:
    told = [words.became(e, since(e, analysis), analysis.control) for e in record]
    return Section("What became of earlier decisions", items=told)


def _figures(analysis: Analysis, title: str) -> Section:
    heads = ("metric", "arm", "control's", "arm's", "change", "interval", "p, corrected")
    return Section(title, heads=heads, rows=[_row(analysis, c) for c in _whole(analysis)])


def _row(analysis: Analysis, c: Comparison) -> Sequence[str]:
    p = "" if c.adjusted is None else "< 0.001" if c.adjusted < 0.001 else f"{c.adjusted:.3f}"
    values = (number(c.difference.control), number(c.difference.treatment))
    return in_words(c.metric), c.arm, *values, *_ends(_relative(analysis, c)), p


def _findings(analysis: Analysis) -> Section:
    told = [f"{f.code}: {f.message}" for f in analysis.findings if f.severity != "block"]
    return Section("What to know before you trust this", items=told)


def _whole(analysis: Analysis) -> list[Comparison]:
    return [c for c in analysis.comparisons if c.segment is None]


def _relative(analysis: Analysis, c: Comparison) -> tuple[float, float, float] | None:
    r = relative_of(analysis, c)
    return None if r is None else (r.value, r.low, r.high)


def _ends(effect: Sequence[float] | None) -> tuple[str, str]:
    if effect is None:
        return "–", "no interval"
    value, low, high = map(words.signed, effect)
    return value, f"{low} to {high}"


def _picture(analysis: Analysis) -> str:
    """Return the relative change of every metric and arm with its interval, as SVG."""
    drawn = [(c, r) for c in _whole(analysis) if (r := _relative(analysis, c)) is not None]
    if not drawn:
        return ""
    least = min(0.0, *(r[1] for _, r in drawn))
    most = max(0.0, *(r[2] for _, r in drawn))
    margin = 8

    def x(value: float) -> str:
        return f"{margin + (value - least) / (most - least) * (_WIDE - 2 * margin):.1f}"

    several = len({c.arm for c, _ in drawn}) > 1
    height = _ROW * len(drawn) + 22
    parts = [f'<line class="null" x1="{x(0)}" x2="{x(0)}" y1="4" y2="{height - 18}"/>']
    for k, (c, (value, low, high)) in enumerate(drawn):
        y = k * _ROW
        name = f"{in_words(c.metric)}, {c.arm}" if several else in_words(c.metric)
        parts += [
            f'<text x="0" y="{y + 16}">{escape(name)}</text>',
            f'<text x="{_WIDE}" y="{y + 16}" class="end">{words.span((value, low, high))}</text>',
            f'<line x1="{x(low)}" x2="{x(high)}" y1="{y + 32}" y2="{y + 32}"/>',
            f'<circle cx="{x(value)}" cy="{y + 32}" r="5"/>',
        ]
    parts.append(f'<text x="{x(0)}" y="{height - 4}" class="middle">no difference</text>')
    return (
        f'<svg class="intervals" viewBox="0 0 {_WIDE} {height}" role="img" '
        f'aria-label="change of every metric with its interval">{"".join(parts)}</svg>'
    )
