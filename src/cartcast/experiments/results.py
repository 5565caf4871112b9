"""What an analysis returns: comparisons of arms, and the experiment as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cartcast.errors import DataError
from cartcast.experiments.bayes import Posterior
from cartcast.experiments.difference import Difference, Estimate
from cartcast.experiments.group_sequential import Look
from cartcast.experiments.sample_ratio import SampleRatio
from cartcast.findings import Finding

__all__ = ["Analysis", "Comparison", "Segment"]

Segment = tuple[str, Any]
"""A column, and the value that units have there."""


@dataclass(frozen=True)
class Comparison:
    """One arm against the control in one metric.

    Attributes:
        metric: name of the metric.
        arm: the arm.
        segment: column and value it is limited to; None: all units.
        units_control: randomised units of the control.
        units: randomised units of the arm.
        difference: the fixed test: valid once, at the planned end.
        always_valid: the absolute difference with an interval that holds at every look.
        always_valid_relative: the same for the relative difference.
        posterior: of the relative difference under the plan's prior.
        guardrail: for a guardrail, the one-sided test that the arm is not worse than the margin.
        adjusted: p-value corrected for the other comparisons (of all units, or of the segments);
            None for guardrails and where there is no p-value.
        explained: share of the variance that the covariate takes away; None without one.
        exact: whether a share has so few events that its test is exact, see `exact`.
        shrunk: for a segment, the effect drawn towards that of all segments together.
    """

    metric: str
    arm: str
    segment: Segment | None
    units_control: int
    units: int
    difference: Difference
    always_valid: Estimate | None = None
    always_valid_relative: Estimate | None = None
    posterior: Posterior | None = None
    guardrail: Estimate | None = None
    adjusted: float | None = None
    explained: float | None = None
    exact: bool = False
    shrunk: Estimate | None = None


@dataclass(frozen=True)
class Analysis:
    """What an experiment says so far.

    Attributes:
        experiment: its key.
        control: the arm that the others are compared with.
        sample_ratio: units by arm against the intended shares.
        comparisons: every metric, arm and segment.
        look: the bound that |z| must pass at this look, where looks were planned; else None.
        progress: share of the expected units that is there; None where none were planned.
        level: confidence of the intervals.
        correction: how p-values were corrected, and `scope` within what.
        scope: see `Plan.scope`.
        findings: what a reader must know, the gravest first.
    """

    experiment: str
    control: str
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    look: Look | None
    progress: float | None
    level: float
    correction: str
    scope: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def trusted(self) -> bool:
        """Whether no finding blocks."""
        return all(f.severity != "block" or f.waived for f in self.findings)

    def get(self, metric: str, arm: str, segment: Segment | None = None) -> Comparison:
        """Return one comparison.

        Raises:
            DataError: there is none.
        """
        for c in self.comparisons:
            if (c.metric, c.arm, c.segment) == (metric, arm, segment):
                return c
        raise DataError(f"no comparison of {metric!r} for arm {arm!r} in segment {segment}.")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "trusted": self.trusted,
                "findings": [f.as_dict() for f in self.findings]}  # fmt: skip
