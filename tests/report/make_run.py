"""A small run folder with known truth, as `cartcast train` writes it, made without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cartcast.evaluate import revenue as money
from cartcast.evaluate import slices, thresholds

ANCHORS = (1, 2, 3, 5, 8, 13, 21)
FINDINGS = (
    ("LK401", "block", "feature 'page_values' alone tells the label: AUC 0.998 on test",
     "Drop it, or say when it is known.", "kept for the comparison with last year's report"),
    ("LK503", "warn", "only 214 buyers in test; intervals are wide", "Give a longer log.", None),
    ("EV107", "note", "19 prices at or below zero", "Check the export.", None),
)  # fmt: skip


def predictions(n_sessions: int, seed: int, ready: bool) -> pd.DataFrame:
    """Rows of test and validation with label, amount, and what four models say."""
    rng = np.random.default_rng(seed)
    length = np.minimum(rng.geometric(0.22, n_sessions), 30)
    intent = rng.normal(size=n_sessions)
    rows = []
    for s in range(n_sessions):
        anchors = (None,) if ready else [a for a in ANCHORS if a <= length[s]]
        rows += [(s, a, 1.0 / len(anchors)) for a in anchors]
    table = pd.DataFrame(rows, columns=["s", "click", "weight"])
    click = table["click"].astype(float).fillna(4.0).to_numpy()
    q = -4.2 + 0.9 * intent[table["s"]] + 0.55 * np.log(click)
    truth = 1 / (1 + np.exp(-q))
    buys = 1 / (1 + np.exp(-(-4.2 + 0.9 * intent + 0.55 * np.log(length))))
    bought = rng.uniform(size=n_sessions) < buys
    label = bought[table["s"]].astype(float)
    amount = label * np.round(rng.lognormal(3.8, 0.8, n_sessions), 2)[table["s"]]
    seen = q + rng.normal(0, 0.8, len(q)) / np.sqrt(click)
    out = pd.DataFrame(
        {
            "part": np.where(table["s"] % 4 == 0, "validation", "test"),
            "session_id": "s" + table["s"].astype(str),
            "visitor_id": "v" + (table["s"] // 2).astype(str),
            "event_order": table["click"],
            "click": table["click"],
            "anchor_time": pd.Timestamp("2026-05-01") + pd.to_timedelta(table["s"], unit="min"),
            "weight": table["weight"],
            "label": label,
            "amount": amount,
        }
    )
    if ready:
        out[["event_order", "click", "anchor_time", "session_id", "visitor_id"]] = None
    rate = float(label.mean())
    out["p__prevalence"] = rate
    out["p__click_count"] = np.clip(rate * (0.5 + 0.5 * np.log1p(click)), 0.001, 0.9)
    out["p__logistic_regression"] = 1 / (1 + np.exp(-(0.8 * seen - 0.7)))
    out["p__lightgbm"] = 1 / (1 + np.exp(-seen))
    mean = float(amount[amount > 0].mean()) if amount.any() else 0.0
    out["r__mean"] = rate * mean
    out["r__hurdle"] = truth * mean
    out["r_low"], out["r_high"] = 12.0, 170.0
    return out


def make_run(
    folder: Path,
    *,
    kind: str = "classifier",
    proxy: bool = False,
    ready: bool = False,
    revenue: bool = True,
    segments: bool = True,
    findings=FINDINGS,
    n_sessions: int = 4000,
    seed: int = 0,
    evil: str = "",
) -> Path:
    """Write the run folder and return it; `evil` is put wherever text of the data goes."""
    folder.mkdir(parents=True, exist_ok=True)
    table = predictions(n_sessions, seed, ready)
    test = table[table["part"] == "test"].reset_index(drop=True)
    letter = "p" if kind == "classifier" else "r"
    models = [c[3:] for c in table if c.startswith(f"{letter}__")]
    y = test["label"] if kind == "classifier" else test["amount"]
    preds = {m: test[f"{letter}__{m}"] for m in models}
    group = None if ready else test["visitor_id"]
    weight = test["weight"]
    measured = [slices.measure(y, preds, weight, group, task=kind, draws=50)]
    if not ready:
        measured.append(slices.by_click(y, preds, test["click"], None, group, task=kind, draws=50))
        device = pd.Series(np.where(np.arange(len(test)) % 3 == 0, "phone" + evil, "desktop"))
        measured.append(
            slices.by_slice(
                y, preds, device, weight, group, name="device", task=kind, draws=50
            )
        )  # fmt: skip
    metrics = pd.concat(measured, ignore_index=True)
    if revenue and kind == "classifier":
        parts = money.scores_by_part(test["amount"], test["r__hurdle"], weight, group, draws=50)
        parts = parts.assign(model="hurdle", part="test: " + parts["part"], slice_by=None)
        metrics = pd.concat([metrics, parts], ignore_index=True)
    if not revenue:
        table = table.drop(columns=["r__mean", "r__hurdle", "r_low", "r_high"])
    if kind == "regressor":
        table = table.drop(columns=[c for c in table if c.startswith("p__")])
    whole, ends, clicks = {}, {}, {}
    for row in metrics.astype(object).where(metrics.notna(), None).itertuples():
        if row.slice_by is None and row.part == "test":
            whole.setdefault(row.model, {})[row.metric] = row.value
            ends.setdefault(row.model, {})[row.metric] = [row.low, row.high]
        if row.slice_by == "click":
            entry = clicks.setdefault(
                (row.click, row.model), {"click": row.click, "rows": row.n, "model": row.model}
            )
            entry[row.metric] = row.value
    champion = models[-1]
    best = thresholds.best_f1(test["label"], test[f"p__{champion}"]) if letter == "p" else None
    run = {
        "schema": 1,
        "run_id": "20260501-120000-purchase-abcd",
        "created": "2026-05-01T12:00:00+00:00",
        "cartcast": "0.1.0",
        "seed": 42,
        "seconds": {"read": 1.2, "features": 3.4, "model lightgbm": 2.5, "total": 9.0},
        "source": {
            "files": ["shop.parquet" + evil], "layout": "rees46", "clock": "time",
            "currency": "EUR", "licence": None, "fingerprint": "f00dfeed",
        },
        "data": {
            "events": 60_000, "sessions": n_sessions, "visitors": n_sessions // 2, "purchases": 120,
            "purchase_sessions": 118, "revenue": 8123.5, "start": "2026-04-01T00:00:00",
            "end": "2026-05-01T00:00:00",
        },
        "target": {
            "name": "browsing" if proxy else "purchase", "kind": "proxy" if proxy else "observed",
            "asked": "purchase",
            "describe": ("PROXY browsing: at least 5 more events in the session" if proxy
                         else "a later purchase before the session ends") + evil,
            "horizon": "session",
        },
        "anchors": [] if ready else list(ANCHORS),
        "split": {
            "method": "time and visitor",
            "describe": "train before validation before test in time; a visitor in one part only",
            "parts": {
                part: {"rows": int((table["part"] == part).sum()) or 9000,
                       "sessions": 2000, "visitors": 1500, "positives": 80,
                       "start": None if ready else "2026-04-01T00:00:00",
                       "end": None if ready else "2026-05-01T00:00:00"}
                for part in ("train", "validation", "test")
            },
        },
        "dropped": {"after_purchase": 31, "censored": 4, "gap": 10, "visitor_overlap": 77},
        "features": {
            "set": "default", "fingerprint": "abc123" * 8,
            "names": ["carts", "clicks", "price_mean"],
            "units": {"carts": "event", "clicks": "event", "price_mean": "currency"},
        },
        "models": {m: {"kind": kind, "params": {}, "seconds": 0.5 + k, "calibration": "isotonic",
                       **({"tuning": {"trials": 12, "params": {"a": 1}, "loss": 0.1,
                                      "default_loss": 0.11}} if m == champion else {})}
                   for k, m in enumerate(models)},
        "champion": champion,
        "choice": {
            "reason": f"{champion} has the lowest loss (0.1021).",
            "candidates": [
                {"name": m, "loss": 0.1021 + 0.01 * k, "behind": 0.01 * k, "error": 0.002,
                 "simplicity": 3 - k} for k, m in enumerate(models[::-1])
            ],
        },
        "baselines": [m for m in models if m in ("prevalence", "click_count", "mean")],
        "metrics": whole,
        "intervals": ends,
        "by_click": list(clicks.values()),
        "thresholds": {} if best is None else {"f1": best.as_dict()},
        "importance": [
            {"feature": "carts" + evil, "mean_drop": 0.021, "low": 0.015, "high": 0.026,
             "direction": "raises"},
            {"feature": "clicks", "mean_drop": 0.008, "low": 0.004, "high": 0.012,
             "direction": "raises"},
            {"feature": "price_mean", "mean_drop": 0.0004, "low": -0.001, "high": 0.002,
             "direction": "mixed"},
        ],
        "importance_by_click": [] if ready else [
            {"click": c, "feature": f, "mean_drop": v, "low": v - 0.002, "high": v + 0.002}
            for c, values in ((1, (0.001, 0.009)), (3, (0.010, 0.008)), (8, (0.024, 0.003)))
            for f, v in zip(("carts" + evil, "clicks"), values, strict=True)
        ],
        "effects": [
            {"feature": "carts" + evil, "points": [
                {"value": float(v), "prediction": 0.02 + 0.03 * v, "low": 0.01 + 0.03 * v,
                 "high": 0.03 + 0.03 * v, "share": s}
                for v, s in ((0, 0.7), (1, 0.2), (2, 0.08), (4, 0.02))]},
            {"feature": "device", "points": [
                {"value": v + evil, "prediction": p, "low": p - 0.01, "high": p + 0.01,
                 "share": 0.5} for v, p in (("phone", 0.03), ("desktop", 0.05))]},
        ],
        "revenue": {"model": "hurdle", "nominal": 0.9, "given": "purchase"} if revenue else {},
        "segments": [
            {"name": "Early leavers" + evil, "sentence": "They look at one item and leave.",
             "size": 2900, "share": 0.725, "conversion": 0.004,
             "conversion_interval": [0.002, 0.007], "revenue_per_session": 0.3},
            {"name": "Comparers", "sentence": "They look at many items of few categories.",
             "size": 800, "share": 0.2, "conversion": 0.06, "revenue_per_session": 3.1},
            {"name": "Cart fillers", "sentence": "They fill carts.", "size": 300, "share": 0.075,
             "conversion": 0.31, "revenue_per_session": 21.4},
        ] if segments else [],
        "versions": {"cartcast": "0.1.0", "lightgbm": "4.7.0"},
    }  # fmt: skip
    found = [
        {"code": c, "severity": s, "message": m + evil, "count": 1, "evidence": {}, "advice": a,
         "waived": w}
        for c, s, m, a, w in findings
    ]  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "findings.json").write_text(json.dumps(found), encoding="utf-8")
    metrics.to_parquet(folder / "metrics.parquet", index=False)
    table.to_parquet(folder / "predictions.parquet", index=False)
    return folder
