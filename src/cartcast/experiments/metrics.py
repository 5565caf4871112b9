"""Metrics: what is compared, which columns it needs, and how an arm's value comes from moments.

A metric is a declaration over columns of the table of units (one row a unit). Its needs are
merged with those of the others, so that the units are read once. `linear` takes the moments of
one arm and those of both arms together, from which the covariate's weight comes (CUPED, Deng et
al. 2013, doi:10.1145/2433396.2433413; ratios by the delta method, Deng et al. 2018,
doi:10.1145/3219819.3219919).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DefinitionError
from cartcast.experiments.difference import Linear
from cartcast.experiments.moments import Moments

__all__ = ["Better", "Mean", "Metric", "Proportion", "Quantile", "Ratio"]

Floats = NDArray[np.float64]
Better = Literal["higher", "lower"]
UNITS = "units"
"""Column with the number of units in a cluster, where units are not what was randomised."""


class _Part(NamedTuple):
    """A value with its gradient over the columns of the moments."""

    value: float
    gradient: Floats


def _mean(m: Moments, column: str) -> _Part:
    return _Part(m.mean_of(column), m.unit(column))


def _ratio(m: Moments, numerator: str, denominator: str) -> _Part:
    top, bottom = m.mean_of(numerator), m.mean_of(denominator)
    if bottom == 0:
        return _Part(float("nan"), np.full(len(m.columns), np.nan))
    gradient = m.unit(numerator) / bottom - m.unit(denominator) * top / bottom**2
    return _Part(top / bottom, gradient)


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """What every metric declares besides its columns.

    Attributes:
        better: whether a higher or a lower value is good for the shop.
        margin: for a guardrail, the relative loss that is still tolerated, such as 0.02: the test
            then asks whether the arm is not worse than that. None: not a guardrail.
    """

    better: Better = "higher"
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise DefinitionError(f"better must be higher or lower, got {self.better!r}.")
        if self.margin is not None and not 0 < self.margin < 1:
            raise DefinitionError(f"margin must fulfil 0 < margin < 1, got {self.margin}.")


@dataclass(frozen=True, kw_only=True)
class _Averaged(_Declared):
    """Shared by the metrics that moments suffice for.

    Attributes:
        strata: column known before the exposure, such as the country; its groups are compared
            each with itself and weighted by their units (post-stratification). None: no strata.
    """

    strata: str | None = None

    def _value(self, m: Moments) -> _Part:
        raise NotImplementedError

    def _covariate(self, m: Moments) -> _Part | None:
        return None

    def _spread(self, m: Moments) -> Floats:
        return m.cov

    def theta(self, pooled: Moments) -> float:
        """Return the weight of the covariate; 0 without one, or where it does not vary."""
        covariate = self._covariate(pooled)
        if covariate is None or not np.isfinite(covariate.value):
            return 0.0
        spread = float(covariate.gradient @ pooled.cov @ covariate.gradient)
        if spread <= 0:
            return 0.0
        return float(self._value(pooled).gradient @ pooled.cov @ covariate.gradient) / spread

    def linear(self, arm: Moments, pooled: Moments) -> Linear:
        """Return the arm's value; `pooled` are the moments of both compared arms together."""
        raw, adjusted = self.parts(arm, pooled)
        cov = self._spread(arm)
        return Linear(
            n=arm.n,
            value=adjusted.value,
            variance=float(adjusted.gradient @ cov @ adjusted.gradient),
            raw=raw.value,
            raw_variance=float(raw.gradient @ cov @ raw.gradient),
            covariance=float(adjusted.gradient @ cov @ raw.gradient),
        )

    def pair(self, control: Moments, treatment: Moments) -> tuple[Linear, Linear]:
        """Return the values of two arms that are compared."""
        both = control + treatment
        return self.linear(control, both), self.linear(treatment, both)

    def parts(self, arm: Moments, pooled: Moments) -> tuple[_Part, _Part]:
        """Return the arm's value before and after the adjustment, with their gradients."""
        raw, theta = self._value(arm), self.theta(pooled)
        covariate, centre = self._covariate(arm), self._covariate(pooled)
        if theta == 0 or covariate is None or centre is None:
            return raw, raw
        moved = raw.value - theta * (covariate.value - centre.value)
        return raw, _Part(moved, raw.gradient - theta * covariate.gradient)


@dataclass(frozen=True)
class Mean(_Averaged):
    """The mean of a column over units: revenue per visitor, orders per visitor.

    Attributes:
        value: column of the unit table.
        covariate: column known before the exposure that foretells the value, or None.
    """

    value: str
    covariate: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the value itself."""
        return (self.value,)

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that the metric reads."""
        return (self.value,) if self.covariate is None else (self.value, self.covariate)

    def _value(self, m: Moments) -> _Part:
        return _mean(m, self.value)

    def _covariate(self, m: Moments) -> _Part | None:
        return None if self.covariate is None else _mean(m, self.covariate)

    def clustered(self) -> Ratio:
        """Return the same mean over units that come in clusters, from sums by cluster."""
        return Ratio(
            self.value,
            UNITS,
            self.covariate,
            None if self.covariate is None else UNITS,
            better=self.better,
            margin=self.margin,
        )


@dataclass(frozen=True)
class Proportion(Mean):
    """The share of units with a yes (1) in a column of yes and no (0): conversion, retention.

    The variance is p (1 - p), with n units and not n - 1.
    """

    def _spread(self, m: Moments) -> Floats:
        return m.cov * ((m.n - 1) / m.n) if m.n else m.cov


@dataclass(frozen=True)
class Ratio(_Averaged):
    """A ratio of sums over units: orders per session, value per order.

    Attributes:
        numerator: column of the unit table.
        denominator: column of the unit table.
        numerator_covariate: the numerator before the exposure, or None.
        denominator_covariate: the denominator before the exposure, or None.
    """

    numerator: str
    denominator: str
    numerator_covariate: str | None = None
    denominator_covariate: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.numerator_covariate is None) != (self.denominator_covariate is None):
            raise DefinitionError("a ratio takes both covariates or none.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the value itself."""
        return (self.numerator, self.denominator)

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that the metric reads."""
        named = (
            self.numerator,
            self.denominator,
            self.numerator_covariate,
            self.denominator_covariate,
        )
        return tuple(dict.fromkeys(n for n in named if n is not None))

    def _value(self, m: Moments) -> _Part:
        return _ratio(m, self.numerator, self.denominator)

    def _covariate(self, m: Moments) -> _Part | None:
        if self.numerator_covariate is None or self.denominator_covariate is None:
            return None
        return _ratio(m, self.numerator_covariate, self.denominator_covariate)

    def clustered(self) -> Ratio:
        """Return itself: sums by cluster have the same ratio."""
        return self


@dataclass(frozen=True)
class Quantile(_Declared):
    """A quantile of a column over units, such as the median load time.

    Attributes:
        value: column of the unit table; units without a value (null) are left out.
        q: the quantile, from 0 to 1 exclusive.
    """

    value: str
    q: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.q < 1:
            raise DefinitionError(f"q must fulfil 0 < q < 1, got {self.q}.")

    @property
    def needs(self) -> tuple[str, ...]:
        """No moments: a quantile reads the values themselves."""
        return ()


Metric = Mean | Proportion | Ratio | Quantile
