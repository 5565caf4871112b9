"""The value of a policy: what the shop would have got, had it treated by a rule.

From a randomised test with known propensities. With outcome predictions the estimate is doubly
robust (Dudik et al. 2014, doi:10.1214/14-STS500); without them it weighs the units that happened
to get what the rule wants (IPS), or normalises those weights (SNIPS, Swaminathan and Joachims
2015). Values are in the outcome's unit per unit of randomisation, so in currency for revenue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.experiments import codes
from cartcast.experiments.difference import Estimate, interval, mean_estimate
from cartcast.findings import Finding, finding

__all__ = ["Policies", "compare_policies", "policy_value", "snips", "unit_scores"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def _checked(y: Any, arm: Any, propensity: Any) -> tuple[Floats, Codes, Floats]:
    outcome = np.asarray(y, dtype=np.float64)
    given = np.asarray(arm)
    chance = np.asarray(propensity, dtype=np.float64)
    if chance.ndim == 1:
        chance = np.broadcast_to(chance, (len(outcome), len(chance)))
    if len(outcome) != len(given) or len(outcome) != len(chance) or not len(outcome):
        raise DataError(f"{len(outcome)} outcomes, {len(given)} arms, {len(chance)} propensities.")
    if not np.isfinite(outcome).all():
        raise DataError(f"{int((~np.isfinite(outcome)).sum())} outcomes are not finite numbers.")
    if given.min() < 0 or given.max() >= chance.shape[1]:
        raise DataError(f"arms must be codes from 0 to {chance.shape[1] - 1}.")
    if not (chance > 0).all() or not np.allclose(chance.sum(axis=1), 1):
        raise UsageError("propensities must be positive and add up to 1 over the arms.")
    return outcome, given.astype(np.int64), chance


def unit_scores(y: Any, arm: Any, propensity: Any, predicted: Any = None) -> Floats:
    """Return each unit's estimated outcome under each arm, shape (n, arms); unbiased, but noisy.

    Args:
        y: outcomes, shape (n,).
        arm: code of the arm that each unit got, shape (n,).
        propensity: chance of each arm, shape (arms,) or (n, arms); of a randomised test, known.
        predicted: outcome predicted under each arm by models that did not see the unit, shape
            (n, arms); None gives the scores of IPS.

    Raises:
        DataError: shapes differ, or an outcome is no number.
        UsageError: the propensities are no chances.

    >>> unit_scores([1.0, 4.0], [0, 1], [0.5, 0.5]).tolist()
    [[2.0, 0.0], [0.0, 8.0]]
    """
    outcome, given, chance = _checked(y, arm, propensity)
    rows = np.arange(len(outcome))
    out = np.zeros(chance.shape) if predicted is None else np.array(predicted, dtype=np.float64)
    if out.shape != chance.shape:
        raise DataError(f"predictions must have shape {chance.shape}, got {out.shape}.")
    out[rows, given] += (outcome - out[rows, given]) / chance[rows, given]
    return out


def _followed(scores: Floats, policy: Any) -> Floats:
    """Return each unit's score under a policy: codes (n,), or chances of the arms (n, arms)."""
    rule = np.asarray(policy)
    if rule.ndim == 2:
        if rule.shape != scores.shape or not np.allclose(rule.sum(axis=1), 1) or (rule < 0).any():
            raise UsageError("a policy's chances must be 0 or more and add up to 1 for each unit.")
        return np.asarray((scores * rule).sum(axis=1), dtype=np.float64)
    if rule.shape != (len(scores),) or rule.min() < 0 or rule.max() >= scores.shape[1]:
        raise UsageError(f"a policy must give each of {len(scores)} units one of the arms' codes.")
    return np.asarray(scores[np.arange(len(scores)), rule.astype(np.int64)], dtype=np.float64)


def policy_value(
    scores: Floats, policy: Any, *, groups: Any = None, level: float = 0.95
) -> Estimate:
    """Return the mean outcome per unit under a policy.

    Args:
        scores: from `unit_scores`.
        policy: code of the arm for each unit, shape (n,), or the chance of each arm, (n, arms).
        groups: visitor of each unit, where one has several; None: all differ.
        level: confidence of the interval.

    Raises:
        UsageError: the policy does not fit the scores.
    """
    return mean_estimate(_followed(scores, policy), groups=groups, level=level)


def snips(y: Any, arm: Any, propensity: Any, policy: Any, *, level: float = 0.95) -> Estimate:
    """Return the value of a policy from the outcomes of those who got what it wants, weighted.

    Raises:
        DataError: nobody got what the policy wants, or as `unit_scores`.
    """
    outcome, given, chance = _checked(y, arm, propensity)
    ones = unit_scores(np.ones(len(outcome)), given, chance)
    weight = _followed(ones, policy)
    if not weight.sum() > 0:
        raise DataError("nobody got the arm that the policy chooses.")
    mean = float(weight @ outcome / weight.sum())
    deviation = weight * (outcome - mean)
    error = math.sqrt(float(deviation @ deviation)) / float(weight.sum())
    return interval(mean, error, level=level)


@dataclass(frozen=True)
class Policies:
    """Policies side by side.

    Attributes:
        values: mean outcome per unit under each policy.
        gains: each policy less the reference, from the same units.
        treated: share of the units that each policy treats (any arm but the control).
        reference: the policy that the others are compared with.
        findings: whether the best can be told apart from the reference.
    """

    values: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    treated: Mapping[str, float]
    reference: str
    findings: tuple[Finding, ...]


def compare_policies(
    scores: Floats,
    policies: Mapping[str, Any],
    *,
    reference: str,
    cost: Any = 0.0,
    groups: Any = None,
    level: float = 0.95,
) -> Policies:
    """Return the value of each policy and its gain over the reference.

    Args:
        scores: from `unit_scores`.
        policies: codes (n,) or chances (n, arms) by name.
        reference: name of the simplest good policy, such as treating everybody.
        cost: money per unit of each arm, shape (arms,), or one figure for every arm but the first.
        groups: visitor of each unit, where one has several.
        level: confidence of the intervals.

    Raises:
        UsageError: the reference is not among the policies, or a policy does not fit.
    """
    if reference not in policies:
        raise UsageError(f"unknown reference {reference!r}; known: {', '.join(policies)}.")
    arms = scores.shape[1]
    price = np.asarray(cost, dtype=np.float64)
    if price.ndim == 0:
        price = np.array([0.0] + [float(price)] * (arms - 1))
    net = scores - price
    base = _followed(net, policies[reference])
    values, gains, treated = {}, {}, {}
    for name, policy in policies.items():
        mine = _followed(net, policy)
        values[name] = mean_estimate(mine, groups=groups, level=level)
        ones = np.broadcast_to((np.arange(arms) > 0).astype(float), net.shape)
        treated[name] = float(_followed(np.asarray(ones), policy).mean())
        if name != reference:
            gains[name] = mean_estimate(mine - base, groups=groups, level=level)
    found = []
    if gains:
        best = max(gains, key=lambda name: gains[name].value)
        gain = gains[best]
        if gain.low <= 0 <= gain.high:
            text = (
                f"{best!r} is {gain.value:+.4g} a unit against {reference!r}, with an interval "
                f"from {gain.low:+.4g} to {gain.high:+.4g}: not better as far as these data tell."
            )
            found.append(finding(codes.CANNOT_TELL_APART, text))
    return Policies(values, gains, treated, reference, tuple(found))
