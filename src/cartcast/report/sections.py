"""The sections of a model card, as words and tables, before any format."""

from __future__ import annotations

from typing import Any

from cartcast.charts.theme import number
from cartcast.evaluate.scores import SCORES
from cartcast.features.words import in_words
from cartcast.report import answers
from cartcast.report.document import Section
from cartcast.report.evidence import SHOWN, Evidence

__all__ = ["sections"]


def sections(e: Evidence) -> list[Section]:
    """Return the sections in the order of a card."""
    made = [
        Section("What it predicts", heads=("", ""), rows=answers.asked(e)),
        _use(e),
        _findings(e),
        _figures(e),
        _choice(e),
        _scorer(e),
        _by_click(e),
        _calibration(e),
        _slices(e),
        _revenue(e),
        _data(e),
        _origin(e),
    ]
    return [s for s in made if s.paragraphs or s.items or s.rows]


def _use(e: Evidence) -> Section:
    items = []
    if e.run.blocking:
        codes = ", ".join(sorted({f.code for f in e.run.blocking}))
        items.append(f"Not to be used: {codes} blocks it.")
    if e.run.proxy:
        items.append(
            "The label is a proxy. A high figure says that the rule is foreseen, not that "
            "anybody buys; do not report it as conversion."
        )
    if e.beats is False:
        items.append("Not shown to be better than its best baseline; use the baseline.")
    if e.run.reading.clock not in (None, "time"):
        items.append("The source has no time of day: nothing is known about hours or pauses.")
    items += [
        "It was judged on one shop and one period; measure drift before use in another.",
        "A score says who has the outcome, not whom an offer changes: use an experiment for that.",
        "Not for decisions about single persons such as credit, prices or employment.",
    ]
    return Section("Use and limits", items=items)


def _findings(e: Evidence) -> Section:
    rows = [
        (f.code, "waived" if f.waived else f.severity, f.message, f.waived or f.advice)
        for f in e.run.findings
    ]
    heads = ("code", "severity", "finding", "waiver or advice")
    return Section("Findings and waivers", (answers.trust(e),), heads=heads, rows=rows)


def unit_of(metric: str) -> str:
    """Return the unit in which a metric is shown."""
    unit = SCORES[metric].unit if metric in SCORES else "points"
    return unit if unit in ("money", "share", "factor") else "points"


def _figures(e: Evidence) -> Section:
    rows = []
    metrics = [m for m in SCORES if m in e.run.data["metrics"].get(e.run.champion, {})]
    shown = [e.run.champion, *[b for b in e.run.baselines if b != e.run.champion]]
    for metric in metrics:
        cells = [
            answers.scored(metric, *e.run.figure(m, metric), unit_of(metric), e.run.currency)
            for m in shown
        ]
        rows.append((SCORES[metric].title, *cells))
    heads = ("test, 90 % interval over visitors", *[in_words(m) for m in shown])
    return Section("Figures", (answers.good(e),), heads=heads, rows=rows)


def _choice(e: Evidence) -> Section:
    """How the champion was chosen among the models, and what tuning did to each."""
    choice, models = e.run.data.get("choice", {}), e.run.data["models"]
    texts = []
    if choice.get("reason"):
        texts.append(f"Chosen on held-out rows: {choice['reason']}")
    refit = e.run.data.get("refit") or {}
    if refit.get("refitted"):
        texts.append(
            f"Once judged, the champion was fitted again to all {number(refit['rows'])} rows: the "
            "figures are those of the model before that, and the model in use has seen newer rows."
        )
    if e.run.data.get("backtest"):
        texts.append(f"Backtest: {e.run.data['backtest']['words']}")
    if any("tuning" in facts for facts in models.values()):
        texts.append("Tuned on train rows; the loss is that of the inner folds.")
    rows = []
    for c in choice.get("candidates", []):
        tuning = models.get(c["name"], {}).get("tuning")
        rows.append(
            (
                in_words(c["name"]),
                number(c["loss"], "points"),
                f"{number(c['behind'], 'points')} ± {number(c['error'], 'points')}",
                str(c["simplicity"]),
                _tuned(tuning),
            )
        )
    heads = ("model", "validation loss", "behind the best", "simplicity", "tuning")
    return Section("How it was chosen", texts, heads=heads, rows=rows)


def _scorer(e: Evidence) -> Section:
    own = e.run.data.get("scorer") or {}
    rows = [
        (in_words(model), answers.span(s["value"], s["low"], s["high"], "points"))
        for model, s in own.get("test", {}).items()
        if s["value"] is not None
    ]
    role = "It chose the champion." if own.get("chooses") else "It chose nothing."
    return Section(
        "By the user's scorer", (role,) if own else (),
        heads=("test, 90 % interval over visitors", str(own.get("name"))), rows=rows,
    )  # fmt: skip


def _tuned(tuning: Any) -> str:
    if not tuning:
        return "none"
    if not tuning.get("params"):
        return f"{tuning['trials']} trials; the default stayed best"
    found = f"{number(tuning['default_loss'], 'points')} to {number(tuning['loss'], 'points')}"
    kept = "" if tuning.get("kept", True) else "; on other rows not surely better: default kept"
    return f"{tuning['trials']} trials, {found}{kept}"


def _by_click(e: Evidence) -> Section:
    metric = SHOWN[e.run.kind]
    table = e.sliced("click", metric)
    rows = []
    for click in sorted(int(c) for c in table["click"].dropna().unique()):
        by = {str(r["model"]): r for r in table[table["click"] == click].to_dict("records")}
        mine = by.get(e.run.champion)
        if mine is None:
            continue
        cells = [answers.scored(metric, mine["value"], mine["low"], mine["high"], "points")]
        cells += [
            number(by[b]["value"] if b in by else None, "points")
            for b in e.run.baselines
            if b != e.run.champion
        ]
        rows.append((str(click), number(int(mine["n"])), *cells))
    heads = ("click", "rows", in_words(e.run.champion))
    bases = tuple(in_words(b) for b in e.run.baselines if b != e.run.champion)
    return Section(f"By click number: {SCORES[metric].title}", heads=heads + bases, rows=rows)


def _calibration(e: Evidence) -> Section:
    if e.run.kind != "classifier" or not len(e.reliability):
        return Section("Calibration")
    rows = [
        (
            number(r["predicted"], "share"),
            answers.span(r["observed"], r["low"], r["high"], "share"),
            number(int(r["n"])),
        )
        for r in e.reliability.to_dict("records")
    ]
    method = e.run.data["models"].get(e.run.champion, {}).get("calibration")
    text = answers.calibrated(e) + (f" Calibrated on held-out rows: {method}." if method else "")
    return Section("Calibration", (text,), heads=("predicted", "observed", "rows"), rows=rows)


def _slices(e: Evidence) -> Section:
    metric = SHOWN[e.run.kind]
    table = e.sliced(None, metric)
    table = table[table["model"] == e.run.champion]
    rows = [
        (
            str(r["slice_by"]),
            str(r["slice"]),
            answers.scored(metric, r["value"], r["low"], r["high"], "points"),
            number(int(r["n"])),
        )
        for r in table.to_dict("records")
    ]
    heads = ("by", "slice", SCORES[metric].title, "rows")
    return Section("Slices", heads=heads, rows=rows)


def _revenue(e: Evidence) -> Section:
    if e.revenue_model is None:
        return Section("Revenue")
    rows: list[tuple[str, ...]] = []
    for r in e.revenue_scores.to_dict("records"):
        metric = str(r["metric"])
        if metric == "lift_top_decile":
            continue
        unit = unit_of(metric)
        shown = answers.span(r["value"], r["low"], r["high"], unit, e.run.currency)
        rows.append((str(r["part"]), SCORES[metric].title, shown, number(int(r["n"]))))
    given = e.run.data.get("revenue", {}).get("given")
    of = f" given {given}" if given else ""
    if e.coverage is not None:
        rows += [
            (
                str(r["part"]),
                f"inside the {number(r['nominal'], 'share')} interval{of}",
                answers.span(r["coverage"], r["low"], r["high"], "share"),
                number(int(r["n"])),
            )
            for r in e.coverage.to_dict("records")
        ]
    heads = ("part", "figure", "value", "rows")
    return Section("Revenue", (answers.revenue(e),), heads=heads, rows=rows)


def _data(e: Evidence) -> Section:
    d = e.run.data
    source = d.get("source", {})
    parts = d["split"].get("parts", {})
    rows = [
        (name, number(p.get("rows")), number(p.get("sessions")), number(p.get("visitors")),
         number(p.get("positives")), str(p.get("start") or "–")[:16], str(p.get("end") or "–")[:16])
        for name, p in parts.items()
    ]  # fmt: skip
    licence = source.get("licence") or "not stated; check it before the model leaves the house"
    texts = (
        f"Source: {', '.join(map(str, source.get('files') or ['a table']))}; layout "
        f"{source.get('layout') or '–'}; clock {e.run.reading.clock or '–'}; currency "
        f"{e.run.currency or 'unknown'}.",
        f"Licence of the data: {licence}.",
    )
    heads = ("part", "rows", "sessions", "visitors", "positive", "from", "to")
    return Section("Data and split", texts, heads=heads, rows=rows)


def _origin(e: Evidence) -> Section:
    d = e.run.data
    features = d.get("features", {})
    rows: list[tuple[str, Any]] = [
        ("run", d["run_id"]),
        ("made", d.get("created")),
        ("seed", d.get("seed")),
        ("data fingerprint", d.get("source", {}).get("fingerprint")),
        ("feature set", f"{features.get('set')} ({len(features.get('names', []))} features)"),
        ("feature fingerprint", features.get("fingerprint")),
        ("model fingerprint", _hash(d.get("model_manifest"))),
        ("parameters", ", ".join(_params(d["models"].get(e.run.champion, {}).get("params")))),
        ("training time", number(d.get("seconds", {}).get("total"), "seconds")),
        *[(k, v) for k, v in d.get("versions", {}).items()],
    ]
    kept = [(k, str(v)) for k, v in rows if v not in (None, "")]
    return Section("Where it comes from", heads=("", ""), rows=kept)


def _hash(manifest: Any) -> str | None:
    if isinstance(manifest, dict):
        return str(manifest.get("sha256") or manifest.get("hash") or "") or None
    return str(manifest) if manifest else None


def _params(params: Any) -> list[str]:
    return [f"{k}={v}" for k, v in (params or {}).items()]
