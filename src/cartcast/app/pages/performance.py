"""Model performance: how good the models are, where, and how far to trust it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, headlines, ui
from cartcast.app.state import RunFiles
from cartcast.charts import by_click, importance, lift, reliability, revenue, scores, slices
from cartcast.charts.theme import number, words
from cartcast.evaluate import curves

METRICS = {
    "roc_auc": ("ROC AUC (1 is perfect, 0.5 is chance)", "higher"),
    "average_precision": ("average precision", "higher"),
    "log_loss": ("log loss (lower is better)", "lower"),
    "brier": ("Brier score (lower is better)", "lower"),
    "ece": ("calibration error ECE (lower is better)", "lower"),
    "f1": ("F1 at the threshold chosen on validation", "higher"),
    "accuracy": ("accuracy at that threshold", "higher"),
    "precision": ("precision at that threshold", "higher"),
    "recall": ("recall at that threshold", "higher"),
    "mae": ("mean absolute error (money; lower is better)", "lower"),
    "rmse": ("root mean squared error (money; lower is better)", "lower"),
    "r2": ("R2", "higher"),
    "spearman": ("Spearman rank correlation", "higher"),
    "gini": ("normalised Gini", "higher"),
    "bias": ("bias (money)", "zero"),
}
PARTS = ("Models", "By click", "Calibration", "Lift and profit", "Slices", "Drivers", "Revenue",
         "Findings", "Card", "All runs")  # fmt: skip


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet: here would be how good it is, after which click, and for whom.",
            "This project has no run. Every figure here is measured, so one must be trained first.",
            "Train",
        )
        return
    run = view.run
    facts = run.facts
    ui.headline(headlines.performance(facts), about(facts))
    blocking = [f for f in run.findings if f.severity == "block"]
    ui.findings(blocking)
    part = st.segmented_control(
        "Part", PARTS, default=PARTS[0], required=True, key="view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        {
            "Models": show_models,
            "By click": show_clicks,
            "Calibration": show_calibration,
            "Lift and profit": show_lift,
            "Slices": show_slices,
            "Drivers": show_drivers,
            "Revenue": show_revenue,
            "Findings": show_findings,
            "Card": show_card,
            "All runs": show_runs,
        }[part or PARTS[0]](view, run)


def about(facts: dict[str, Any]) -> str:
    """Return what was predicted, on what it was measured."""
    test = facts["split"]["parts"].get("test", {})
    return (
        f"Target: {facts['target']['describe']}. Measured on {number(test.get('sessions'))} test "
        f"sessions with {number(test.get('positives'))} positives that no model saw. "
        f"Split {facts['split']['describe'].split(':')[0]}."
    )


def metric_table(facts: dict[str, Any], metric: str) -> pd.DataFrame:
    """Return model, value, low, high of one metric."""
    rows = []
    for model, figures in facts["metrics"].items():
        ends = (facts.get("intervals", {}).get(model) or {}).get(metric) or (None, None)
        rows.append((model, figures.get(metric), ends[0], ends[1]))
    table = pd.DataFrame(rows, columns=["model", "value", "low", "high"])
    return table.astype({"value": float, "low": float, "high": float})


def choose_metric(facts: dict[str, Any], key: str) -> str:
    """Draw the choice of a metric; only those that the run measured."""
    known = {
        m for figures in facts["metrics"].values() for m, v in figures.items() if v is not None
    }
    names = [m for m in METRICS if m in known]
    a, _ = st.columns([1, 2])
    chosen: str = a.selectbox(
        "Metric", names, format_func=lambda m: METRICS[m][0], key=key, bind="query-params"
    )
    return chosen


def show_models(view: ui.View, run: RunFiles) -> None:
    """All models of the run side by side, with intervals."""
    facts = run.facts
    metric = choose_metric(facts, "metric")
    label, better = METRICS[metric]
    table = metric_table(facts, metric)
    drawn = scores.scores(
        table, label=label, subject=facts["champion"], better=better, theme=view.theme
    )
    ui.chart(drawn, "scores", f"{label} of each model with its interval")
    every = pd.DataFrame(facts["metrics"]).T.rename_axis("model").reset_index()
    every["seconds"] = [(facts["models"].get(m) or {}).get("seconds") for m in every["model"]]
    ui.table(every, view, "models")
    ui.findings(run.findings, title="What you should know before you trust this")


def show_clicks(view: ui.View, run: RunFiles) -> None:
    """How good the models are after each click."""
    rows = pd.DataFrame(run.facts.get("by_click") or [])
    if rows.empty:
        ui.note("This run was trained on a ready table: it has no clicks.")
        return
    metrics = [m for m in METRICS if m in rows.columns]
    a, _ = st.columns([1, 2])
    metric = a.selectbox(
        "Metric", metrics, format_func=lambda m: METRICS[m][0], key="click_metric",
        bind="query-params",
    )  # fmt: skip
    champion = run.facts["champion"]
    keep = [champion, *run.facts["baselines"]]
    told = rows[rows["model"].isin(keep)].rename(columns={metric: "value"})
    ends = told.get(f"{metric}_interval")
    if ends is not None:
        told["low"] = [e[0] if isinstance(e, list) else None for e in ends]
        told["high"] = [e[1] if isinstance(e, list) else None for e in ends]
        told = told.astype({"low": float, "high": float})
    told = told.dropna(subset=["value"])
    drawn = by_click.by_click(told, label=METRICS[metric][0], subject=champion, theme=view.theme)
    ui.chart(drawn, "clicks", f"{metric} after each click")
    ui.note("A session with few clicks says little: what counts is the distance to the baselines.")
    shown = rows.drop(columns=[c for c in rows.columns if c.endswith("_interval")])
    ui.table(shown, view, "by_click", shares=("prevalence",))


def test_rows(run: RunFiles) -> pd.DataFrame:
    """Return the test rows with the champion's prediction as `p`; empty for amounts."""
    table: pd.DataFrame = run.predictions()
    column = f"p__{run.facts['champion']}"
    if column not in table:
        return pd.DataFrame()
    test = table[(table["part"] == "test") & table[column].notna() & table["label"].notna()].copy()
    test["p"] = test[column]
    fallback = test["session_id"]
    if fallback.isna().all():
        fallback = pd.Series(range(len(test)), index=test.index).astype(str)
    test["who"] = test["visitor_id"].fillna(fallback)
    return test


def show_calibration(view: ui.View, run: RunFiles) -> None:
    """Do sessions with a score of 10 % buy in 10 % of cases?"""
    test = test_rows(run)
    if test.empty:
        ui.note("This run predicts an amount; see Revenue.")
        return
    table = curves.reliability(test["label"], test["p"], test["weight"], test["who"])
    ui.chart(
        reliability.reliability(table, theme=view.theme), "reliability", "observed over predicted"
    )
    outside = table[(table["predicted"] < table["low"]) | (table["predicted"] > table["high"])]
    ui.note(
        "On the line, scores mean what they say. "
        f"{len(outside)} of {len(table)} groups lie off it by more than chance (95 % intervals)."
    )
    ui.table(table, view, "reliability", shares=("predicted", "observed", "low", "high", "share"))


def show_lift(view: ui.View, run: RunFiles) -> None:
    """What contacting the best sessions reaches, and at which share it pays most."""
    test = test_rows(run)
    if test.empty:
        ui.note("This run predicts an amount; see Revenue.")
        return
    if test["label"].sum() == 0:
        ui.note("Nobody buys in the test part: nothing can be reached.")
        return
    table = curves.gain(test["label"], test["p"], test["weight"], test["who"], draws=100)
    best = table.iloc[int((table["contacted"] - 0.1).abs().argmin())]
    ui.note(
        f"The best tenth of the sessions holds {number(best['reached'], 'share')} of the buyers "
        f"({number(best['reached_low'], 'share')} to {number(best['reached_high'], 'share')}), "
        f"{number(best['lift'], 'factor')} as many as at random."
    )
    left, right = st.columns(2, gap="large")
    told = table.rename(columns={"reached_low": "low", "reached_high": "high"})
    with left:
        ui.chart(lift.gain(told, theme=view.theme), "gain", "buyers reached over contacted")
    costs = view.project.settings.costs
    currency = view.run_currency
    with right:
        a, b = st.columns(2)
        unit = f" ({currency})" if currency else ""
        cost = a.number_input(
            f"Cost of a contact{unit}", 0.0, value=float(costs.get("contact", 0.5)), key="cost",
            bind="query-params",
        )  # fmt: skip
        value = b.number_input(
            f"Value of a buyer reached{unit}", 0.0, value=float(costs.get("value", 20.0)),
            key="value", bind="query-params",
        )  # fmt: skip
        money = curves.profit(
            test["label"], test["p"], test["weight"], test["who"], cost=cost, value=value, draws=100
        )
        ui.chart(
            lift.profit(money, currency=currency, theme=view.theme), "profit", "profit by share"
        )
        top = money.iloc[int(money["profit"].argmax())]
        if top["profit"] > 0:
            ui.note(
                f"Best: contact {number(top['contacted'], 'share')} of the sessions, for "
                f"{number(top['profit'] * 1000, 'money', currency)} per 1,000 sessions."
            )
        else:
            ui.note("At these costs no contact pays.")
    ui.table(table, view, "gain", shares=("contacted", "reached", "precision"))


def show_slices(view: ui.View, run: RunFiles) -> None:
    """For whom the champion is good and for whom not."""
    table = run.metrics()
    if "slice_by" not in table or table["slice_by"].dropna().empty:
        ui.note("This run has no slices: the log has no columns to slice by.")
        return
    champion = run.facts["champion"]
    mine = table[(table["model"] == champion) & (table["part"] == "test")]
    sliced = mine[mine["slice_by"].notna() & (mine["slice_by"].astype(str) != "")]
    metrics = [m for m in METRICS if m in set(sliced["metric"])]
    if not metrics:
        ui.note("No slice is large enough to be measured.")
        return
    a, _ = st.columns([1, 2])
    metric = a.selectbox(
        "Metric", metrics, format_func=lambda m: METRICS[m][0], key="slice_metric",
        bind="query-params",
    )  # fmt: skip
    rows = sliced[sliced["metric"] == metric].dropna(subset=["value"])
    overall = (run.facts["metrics"].get(champion) or {}).get(metric)
    ui.chart(
        slices.slices(
            rows, label=METRICS[metric][0], unit="points", overall=overall, theme=view.theme
        ),
        "slices",
        f"{metric} by slice",
    )
    ui.table(rows[["slice_by", "slice", "value", "low", "high", "n"]], view, "slices")


def show_drivers(view: ui.View, run: RunFiles) -> None:
    """Which features the champion needs."""
    rows = pd.DataFrame(run.facts.get("importance") or [])
    if rows.empty:
        ui.note("This run measured no importance.")
        return
    drawn = importance.importance(
        rows, label="loss of quality when the feature is shuffled", theme=view.theme
    )
    ui.chart(drawn, "importance", "importance by shuffling")
    ui.note("Shuffling a feature shows what the model needs, not what causes a purchase.")
    ui.table(rows, view, "importance")


def show_revenue(view: ui.View, run: RunFiles) -> None:
    """Expected against observed money."""
    table = run.predictions()
    column = next((c for c in table.columns if c.startswith("r__")), None)
    champion_column = f"r__{run.facts['champion']}"
    column = champion_column if champion_column in table else column
    if column is None:
        ui.note("This run says nothing of money: no purchase of its log has a price.")
        return
    test = table[(table["part"] == "test") & table[column].notna() & table["amount"].notna()].copy()
    if len(test) < 50:
        ui.note("Too few test rows with money to compare.")
        return
    ranks = test[column].rank(method="first", pct=True)
    test["decile"] = (ranks * 10).apply(lambda x: min(int(x) + 1, 10))
    grouped = test.groupby("decile")
    told = pd.DataFrame(
        {
            "decile": list(grouped.groups),
            "predicted": [mean_of(g, column) for _, g in grouped],
            "observed": [mean_of(g, "amount") for _, g in grouped],
            "n": [len(g) for _, g in grouped],
        }
    )
    spread = [1.96 * g["amount"].std() / max(len(g), 1) ** 0.5 for _, g in grouped]
    told["low"] = [max(0.0, o - s) for o, s in zip(told["observed"], spread, strict=True)]
    told["high"] = [o + s for o, s in zip(told["observed"], spread, strict=True)]
    currency = view.run_currency
    drawn = revenue.deciles(told, currency=currency, theme=view.theme)
    ui.chart(drawn, "deciles", "observed and predicted revenue by tenth")
    facts = run.facts.get("revenue") or {}
    cover = pd.DataFrame(facts.get("coverage") or [])
    if not cover.empty and {"part", "nominal", "coverage", "low", "high", "n"} <= set(
        cover.columns
    ):
        ui.chart(revenue.coverage(cover, theme=view.theme), "coverage", "coverage of intervals")
    ui.table(told, view, "revenue_deciles")


def mean_of(rows: pd.DataFrame, column: str) -> float:
    """Return the weighted mean of a column, in money per session."""
    return float((rows[column] * rows["weight"]).sum() / rows["weight"].sum())


def show_findings(view: ui.View, run: RunFiles) -> None:
    """All findings with their codes, evidence and waivers."""
    if not run.findings:
        ui.note("No finding.")
        return
    ui.findings(run.findings, most=20)
    rows = pd.DataFrame(
        [(f.code, f.severity, f.message, f.count, f.waived or "") for f in run.findings],
        columns=["code", "severity", "message", "count", "waived because"],
    )
    ui.table(rows, view, "findings")


def show_card(view: ui.View, run: RunFiles) -> None:
    """The model card and the report, as written with the run."""
    card = run.entry.path / "card.md"
    report = run.entry.path / "report.html"
    if view.may("export"):
        with st.container(horizontal=True):
            for path, mime in ((card, "text/markdown"), (report, "text/html")):
                if path.is_file():
                    st.download_button(
                        path.name, path.read_bytes(), file_name=path.name, mime=mime,
                        key=f"get_{path.name}", icon=":material/download:", on_click="ignore",
                    )  # fmt: skip
    if card.is_file():
        # As text: a card quotes names from data, and those must not become links or images.
        st.code(card.read_text(encoding="utf-8"), language="markdown", wrap_lines=True)
    else:
        ui.note("This run has no card.")


def show_runs(view: ui.View, run: RunFiles) -> None:
    """All runs of the registry; promote and roll back."""
    aliases = view.project.registry.aliases()
    held: dict[str, list[str]] = {}
    for (_, alias), run_id in aliases.items():
        held.setdefault(run_id, []).append(alias)
    entries = view.project.runs()
    rows = []
    for e in entries:
        figures = e.metrics.get(e.champion) or {}
        rows.append(
            {
                "run": e.run_id,
                "alias": ", ".join(held.get(e.run_id, [])),
                "target": e.target + (" (PROXY)" if e.target_kind == "proxy" else ""),
                "created": e.created[:16].replace("T", " "),
                "model": words(e.champion),
                **{
                    m: figures.get(m)
                    for m in (
                        "roc_auc",
                        "average_precision",
                        "log_loss",
                        "brier",
                        "ece",
                        "mae",
                        "spearman",
                    )
                    if m in figures
                },
            }
        )
    ui.table(pd.DataFrame(rows), view, "runs")
    ui.note("Runs on different data or targets cannot be ranked by these figures alone.")
    if not view.may("promote"):
        ui.note("Promoting and rolling back need the role admin.")
        return
    st.subheader("Promote", anchor=False)
    with st.form("promote", border=True):
        a, b, c = st.columns([2, 1, 2])
        name = a.selectbox("Run", [e.run_id for e in entries], key="promote_run")
        alias = b.selectbox("Alias", ["champion", "challenger"], key="promote_alias")
        reason = c.text_input("Reason", key="promote_reason")
        if st.form_submit_button("Promote", type="primary"):
            actions.promote(view.project, view.person, name, alias, reason)
            st.success(ui.plain(f"{name} is now {alias}."))
    if st.button("Roll back the champion of this target"):
        entry = actions.rollback(view.project, view.person, "champion", run.entry.target)
        st.success(ui.plain(f"{entry.run_id} is champion again."))
    with st.expander("History of aliases"):
        history = view.project.registry.promotions()
        told = pd.DataFrame(
            [(p.at, p.target, p.alias, p.run_id, p.who, p.reason) for p in history],
            columns=["at", "target", "alias", "run", "who", "reason"],
        )
        ui.table(told, view, "promotions")


ui.serve(show)
