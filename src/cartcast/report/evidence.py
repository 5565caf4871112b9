"""The tables of a report, computed once from a run: what sentences and charts are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cartcast.evaluate import curves
from cartcast.evaluate import revenue as money
from cartcast.evaluate.intervals import Interval, compare
from cartcast.evaluate.once import once
from cartcast.runs.run import Run

__all__ = ["Evidence"]

DRAWS = 200
MAIN = {"classifier": "log_loss", "regressor": "rmse"}
SHOWN = {"classifier": "roc_auc", "regressor": "spearman"}
"""The metric that is compared, and the one that readers know, by kind of model."""
BETTER = {"log_loss": "lower", "rmse": "lower", "roc_auc": "higher", "spearman": "higher"}


@dataclass(frozen=True)
class Evidence:
    """Tables of a run, each computed when first asked for."""

    run: Run

    @property
    def letter(self) -> str:
        """First letter of the prediction columns of this kind of model."""
        return "p" if self.run.kind == "classifier" else "r"

    @cached_property
    def test(self) -> pd.DataFrame:
        """Test rows with a label."""
        return self.run.test

    @cached_property
    def weight(self) -> Any:
        """Weight of each test row: 1, or more for a visitor seen in several parts."""
        return self.test["weight"].to_numpy(float)

    @cached_property
    def groups(self) -> Any:
        """Visitor of each test row."""
        return groups_of(self.test)

    @cached_property
    def label(self) -> Any:
        """Label of each test row: 0/1 or money."""
        return self.test["label"].to_numpy(float)

    def said(self, model: str) -> Any:
        """Return what a model says of the test rows, or None."""
        column = f"{self.letter}__{model}"
        return self.test[column].to_numpy(float) if column in self.test else None

    @cached_property
    def prevalence(self) -> float | None:
        """Weighted share of test rows with the outcome."""
        if not len(self.test) or self.weight.sum() <= 0:
            return None
        return float(np.average(self.label > 0, weights=self.weight))

    @cached_property
    def best_baseline(self) -> str | None:
        """The baseline with the best main metric on test."""
        metric = MAIN[self.run.kind]
        known = {b: self.run.figure(b, metric)[0] for b in self.run.baselines}
        known = {b: v for b, v in known.items() if v is not None}
        return min(known, key=lambda b: known[b]) if known else None

    @cached_property
    def gains(self) -> dict[str, Interval]:
        """Champion minus best baseline, paired: the main and the well-known metric."""
        base, champion = self.best_baseline, self.run.champion
        if base is None or base == champion or self.said(base) is None:
            return {}
        preds = {base: self.said(base), champion: self.said(champion)}
        return {
            metric: compare(
                self.label, preds, self.weight, self.groups,
                against=base, score=metric, task=self.run.kind, draws=DRAWS,
            )[champion]
            for metric in (MAIN[self.run.kind], SHOWN[self.run.kind])
        }  # fmt: skip

    @cached_property
    def beats(self) -> bool | None:
        """Whether the champion is better than the best baseline beyond chance."""
        found = self.gains.get(MAIN[self.run.kind])
        if found is None or found.high is None:
            return None
        return bool(found.high < 0.0)

    @cached_property
    def models(self) -> pd.DataFrame:
        """Every model and figure on test: model, metric, value, low, high."""
        rows = [
            (model, metric, *self.run.figure(model, metric))
            for model, found in self.run.data["metrics"].items()
            for metric in found
        ]
        table = pd.DataFrame(rows, columns=["model", "metric", "value", "low", "high"])
        return table.astype({"value": float, "low": float, "high": float})

    def sliced(self, by: str | None, metric: str) -> pd.DataFrame:
        """Return rows of `metrics.parquet` for one metric: by click, or by the other slices."""
        table = self.run.metric_table
        table = table[(table["metric"] == metric) & table["slice_by"].notna()]
        is_click = table["slice_by"] == "click"
        return table[is_click if by == "click" else ~is_click].reset_index(drop=True)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """Reliability of the champion on test."""
        return curves.reliability(
            self.label, self.said(self.run.champion), self.weight, self.groups
        )

    @cached_property
    def outside(self) -> int:
        """Number of reliability bins whose interval leaves out what was predicted."""
        t = self.reliability
        return int(((t["predicted"] < t["low"]) | (t["predicted"] > t["high"])).sum())

    @cached_property
    def gain(self) -> pd.DataFrame:
        """Gain and lift of the champion, with intervals, and of the best baseline.

        Of a run on clicks a session counts once, where it is scored highest.
        """
        tables = []
        for model in (self.run.champion, self.best_baseline):
            said = None if model is None else self.said(model)
            if said is None:
                continue
            at = self._once(said, self.test)
            made = curves.gain(
                self.label[at], said[at], self.weight[at],
                None if self.groups is None else self.groups[at],
                draws=DRAWS if model == self.run.champion else 0,
            )  # fmt: skip
            tables.append(made.assign(model=model))
        return pd.concat(tables, ignore_index=True)

    def _once(self, said: Any, table: pd.DataFrame) -> Any:
        """Return the places of the rows that are decided on: one a session, of a run on clicks."""
        if self.run.data.get("anchors"):
            return once(said, table["session_id"])
        return np.arange(len(table))

    def reached(self, share: float) -> tuple[Any, Any, Any]:
        """Return (value, low, high): share of outcomes among the champion's best share."""
        t = self.gain[self.gain["model"] == self.run.champion]
        row = t.iloc[int((t["contacted"] - share).abs().argmin())]
        return row["reached"], row.get("reached_low"), row.get("reached_high")

    @cached_property
    def revenue_model(self) -> str | None:
        """Name of the model of expected revenue whose predictions the run holds."""
        if "amount" not in self.test or not self.test["amount"].notna().any():
            return None
        names = [str(c)[3:] for c in self.test.columns if str(c).startswith("r__")]
        if self.run.kind == "regressor":
            return self.run.champion if self.run.champion in names else None
        named = str(self.run.data.get("revenue", {}).get("model", ""))
        if named in names:
            return named
        good = [n for n in names if n not in ("mean", "prevalence")]
        return next(iter(good or names), None)

    @cached_property
    def _sold(self) -> pd.DataFrame:
        column = f"r__{self.revenue_model}"
        known = self.test["amount"].notna() & self.test[column].notna()
        return self.test[known].reset_index(drop=True)

    @cached_property
    def revenue_deciles(self) -> pd.DataFrame:
        """Predicted and observed money per session by decile."""
        t = self._sold
        return money.deciles(
            t["amount"], t[f"r__{self.revenue_model}"], t["weight"], groups_of(t), draws=DRAWS
        )

    @cached_property
    def revenue_scores(self) -> pd.DataFrame:
        """Figures of expected revenue, per part."""
        t = self._sold
        return money.scores_by_part(
            t["amount"], t[f"r__{self.revenue_model}"], t["weight"], groups_of(t), draws=DRAWS
        )

    @cached_property
    def coverage(self) -> pd.DataFrame | None:
        """Whether the intervals of revenue hold, per part; None without intervals."""
        t = self._sold
        if "r_low" not in t or not t["r_low"].notna().any():
            return None
        facts = self.run.data.get("revenue", {})
        level = facts.get("level", facts.get("nominal", 0.9))
        return money.coverage(
            t["amount"], t["r_low"], t["r_high"], t[f"r__{self.revenue_model}"], t["weight"],
            groups_of(t), nominal=float(level),
        )  # fmt: skip

    @cached_property
    def importance(self) -> pd.DataFrame:
        """What shuffling each feature costs."""
        columns = ["feature", "mean_drop", "low", "high", "direction"]
        table = pd.DataFrame(self.run.data.get("importance", []))
        for name in columns:
            if name not in table:
                table[name] = None
        table = table[columns]
        return table.astype({"mean_drop": float, "low": float, "high": float})

    @cached_property
    def importance_by_click(self) -> pd.DataFrame:
        """What shuffling a feature costs at each click: click, feature, mean_drop, low, high."""
        columns = ["click", "feature", "mean_drop", "low", "high"]
        table = pd.DataFrame(self.run.data.get("importance_by_click", []), columns=columns)
        return table.astype({"mean_drop": float, "low": float, "high": float})

    @cached_property
    def revenue_gain(self) -> pd.DataFrame:
        """Share of the money reached by expected revenue, and by probability alone."""
        t = self._sold
        column = f"p__{self.run.champion}"
        if self.run.kind != "classifier" or column not in t or not (t["amount"] > 0).any():
            return pd.DataFrame()
        ranks = {"expected revenue": f"r__{self.revenue_model}", "probability alone": column}
        tables = []
        for name, said in ranks.items():
            rows = t.iloc[self._once(t[said], t)]
            draws = DRAWS if said != column else 0
            found = curves.gain(
                rows["amount"], rows[said], rows["weight"], groups_of(rows), draws=draws
            )
            tables.append(found.assign(model=name))
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Name, sentence, size, share, conversion (low, high), revenue per session by segment."""
        rows = self.run.data.get("segments", [])
        table = pd.DataFrame(rows)
        for name in ("name", "sentence", "size", "share", "conversion", "revenue_per_session"):
            if name not in table:
                table[name] = None
        ends = [row.get("conversion_interval") or (None, None) for row in rows]
        table["low"], table["high"] = (pd.Series([e[k] for e in ends], dtype=float) for k in (0, 1))
        return table.drop(columns="conversion_interval", errors="ignore")


def groups_of(table: pd.DataFrame) -> pd.Series | None:
    """Return the visitor of each row, its session where unknown; None without both."""
    if "visitor_id" not in table or not table["session_id"].notna().any():
        return None
    visitor = table["visitor_id"].astype("object")
    session = "session:" + table["session_id"].astype("string").astype("object")
    return visitor.where(visitor.notna(), session)
