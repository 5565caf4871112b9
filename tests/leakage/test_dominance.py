from __future__ import annotations

import numpy as np
import pandas as pd

from cartcast.leakage import AuditInput, audit

FAMILIES = ("evidence",)


def checkout(n: int, seed: int, *, end: bool) -> pd.DataFrame:
    """Sessions whose column `step` is the step of the checkout reached: at the end, or so far."""
    rng = np.random.default_rng(seed)
    skill, pages = rng.normal(size=n), rng.poisson(6, n)
    odds = np.exp(-2.6 + 0.9 * skill + 0.05 * pages)
    y = rng.random(n) < odds / (1 + odds)
    before = rng.choice([0, 1, 2, 3], n, p=[0.5, 0.25, 0.15, 0.1])
    step = np.where(y & (rng.random(n) < 0.8), 3, before) if end else before
    table = pd.DataFrame({"step": step, "skill": skill, "pages": pages, "label": y.astype(int)})
    return table.assign(month=rng.integers(1, 5, n))


def test_a_step_known_at_the_end_is_named_with_the_score_without_it() -> None:
    table = checkout(4000, 0, end=True)
    found = audit(AuditInput(train=table, target="label", time="month"), FAMILIES)
    (finding,) = [f for f in found if f.code == "LK409"]
    assert finding.severity == "warn"
    assert finding.evidence["column"] == "step"
    assert finding.evidence["roc_auc"] > finding.evidence["roc_auc_without"] + 0.05
    assert finding.evidence["share_low"] <= finding.evidence["share"]
    assert "When is its value known?" in finding.message


def test_the_step_so_far_is_not() -> None:
    table = checkout(4000, 0, end=False)
    found = audit(AuditInput(train=table, target="label"), FAMILIES)
    assert [f for f in found if f.code != "LK503"] == []


def test_page_values_of_the_shoppers(shoppers_file) -> None:
    rows = pd.read_csv(shoppers_file).sample(5000, random_state=0)
    found = audit(AuditInput(train=rows, target="Revenue", time="Month"), FAMILIES)
    (finding,) = [f for f in found if f.code == "LK409"]
    assert finding.evidence["column"] == "PageValues"
    assert finding.evidence["roc_auc_without"] < 0.85
