"""The page: one self-contained HTML file with the figures of a run; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
:root { --ink:#1c2430; --soft:#5b6675; --line:#dfe4ea; --accent:#0b6e75; --bad:#b3261e;
        --paper:#ffffff; --pale:#f5f7f9; }
* { box-sizing:border-box } body { margin:0; background:var(--pale); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif }
main { max-width:920px; margin:0 auto; padding:32px 20px 64px; background:var(--paper) }
h1 { font-size:30px; line-height:1.2; margin:0 0 8px } h2 { font-size:21px; margin:40px 0 8px;
  padding-top:16px; border-top:1px solid var(--line) } h3 { font-size:16px; margin:24px 0 6px }
p { margin:8px 0 } .lead { color:var(--soft); font-size:17px }
table { border-collapse:collapse; width:100%; margin:12px 0; font-size:14px;
  font-variant-numeric:tabular-nums } th { text-align:left; color:var(--soft); font-weight:600 }
th,td { padding:5px 10px 5px 0; border-bottom:1px solid var(--line); vertical-align:top }
td.n,th.n { text-align:right; padding-right:24px; white-space:nowrap } .wide { overflow-x:auto }
.code { font:13px ui-monospace,Menlo,Consolas,monospace }
.block { color:var(--bad); font-weight:600 } sup { line-height:0 }
.same { color:var(--accent) } .facts { display:flex; flex-wrap:wrap; gap:12px; margin:16px 0 }
.fact { flex:1 1 170px; border:1px solid var(--line); border-radius:8px; padding:12px }
.fact b { display:block; font-size:24px; line-height:1.2 } .fact span { color:var(--soft);
  font-size:13px } svg { max-width:100%; height:auto; display:block; margin:8px 0 }
svg text { font:12px system-ui,sans-serif; fill:var(--soft) } .note { color:var(--soft);
  font-size:14px } footer { margin-top:40px; color:var(--soft); font-size:13px }
"""


def page(figures: dict[str, Any]) -> str:
    """Return the page for the figures that `run.py` also writes as JSON."""
    body = "".join(
        [
            _head(figures),
            _published(figures["usual"]),
            _void(figures["void"]),
            _audits(figures["audits"]),
            _honest(figures["honest"]),
            _foot(figures),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>A perfect score, taken apart</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(figures: dict[str, Any]) -> str:
    void = figures["void"]
    first = figures["honest"][0]["figures"]
    facts = [
        ("1.0000", "F1 of five classifiers, as published and as reproduced here"),
        ("100%", "of sessions where “conversion” is just “six clicks or more”"),
        (
            f"{void['both_sides']['share_of_test']:.1%}",
            f"of the test's sessions ({void['both_sides']['sessions']:,}) are in training too",
        ),
        (
            f"{first['model']['roc_auc']:.3f}",
            f"ROC AUC of the honest question, against {first['click count']['roc_auc']:.3f} "
            "for the click count alone",
        ),
    ]
    boxes = "".join(f'<div class="fact"><b>{b}</b><span>{escape(t)}</span></div>' for b, t in facts)
    return (
        "<h1>A perfect score, taken apart</h1>"
        '<p class="lead">The usual project on the UCI e-shop clicks reports F1&nbsp;=&nbsp;1.0000 '
        "for “conversion” and R²&nbsp;=&nbsp;0.9856 for “revenue”. Here is the same table to the "
        "digit, five measurements of why it says nothing, and what can be said instead.</p>"
        f'<div class="facts">{boxes}</div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return an HTML table; cells are HTML, columns in `numbers` are set right."""

    def cell(tag: str, i: int, value: str) -> str:
        kind = ' class="n"' if i in numbers else ""
        return f"<{tag}{kind}>{value}</{tag}>"

    top = "".join(cell("th", i, h) for i, h in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", i, v) for i, v in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def shown(name: str, value: float) -> str:
    """Return a figure with the digits of the published table.

    >>> shown("R2 linear", 0.80113), shown("rows, train", 132379.0), shown("RMSE SVR", 2804.004)
    ('0.8011', '132,379', '2,804.00')
    """
    if name.startswith(("rows", "sessions", "DBSCAN labels")):
        return f"{value:,.0f}"
    if name.startswith(("RMSE", "mean revenue")):
        return f"{value:,.2f}"
    return f"{value:.3f}" if name == "DBSCAN noise share" else f"{value:.4f}"


def _published(usual: dict[str, Any]) -> str:
    rows = []
    reasons: list[str] = []
    for row in usual["table"]:
        name, why = row["figure"], row["why"] or "differs"
        if row["same"]:
            mark = '<span class="same">the same</span>'
        else:
            reasons += [why] if why not in reasons else []
            mark = f"differs<sup>{reasons.index(why) + 1}</sup>"
        rows.append((escape(name), shown(name, row["published"]), shown(name, row["ours"]), mark))
    text = (
        "Random split of rows, sums per session, a rule called conversion, SMOTE, a second random "
        f"split, defaults, seeds 42. Published with scikit-learn {usual['published_sklearn']}; "
        f"run here with {usual['sklearn']}."
    )
    notes = "".join(
        f'<p class="note"><sup>{k}</sup> {escape(why)}.</p>' for k, why in enumerate(reasons, 1)
    )
    head = ("figure", "published", "here", "")
    return f"<h2>1. The table, reproduced</h2><p>{text}</p>" + table(head, rows, (1, 2)) + notes


def _void(void: dict[str, Any]) -> str:
    rule, both, smote = void["rule"], void["both_sides"], void["smote"]
    steps = void["without_leaks"]
    rows = [
        (escape(s["without"]), str(s["columns"]), f"{s['f1']:.3f}", f"{s['roc_auc']:.3f}")
        for s in steps
    ]
    return (
        "<h2>2. Why every figure is void</h2>"
        "<h3>The label is a column</h3>"
        f"<p>“More than 5 clicks and a price sum over 50” equals <b>session_length ≥ 6</b> in "
        f"{rule['train']['same']:,} of {rule['train']['sessions']:,} training sessions and "
        f"{rule['test']['same']:,} of {rule['test']['sessions']:,} test sessions: six clicks cost "
        f"at least {rule['smallest_price_sum_of_six_clicks']:g}, so the second half of the rule "
        "never speaks. The file holds no purchase at all.</p>"
        "<h3>What remains as the leaky columns go</h3>"
        + _bars([(s["without"], s["f1"]) for s in steps])
        + table(("removed in turn", "columns left", "F1", "ROC AUC"), rows, (1, 2, 3))
        + '<p class="note">Random forest, defaults, no resampling, the usual inner split. The last '
        "row knows country, month and weekday.</p>"
        "<h3>The same session on both sides</h3>"
        f"<p>Splitting clicks, not sessions, cuts {both['sessions']:,} sessions in two: "
        f"{both['share_of_test']:.1%} of all test sessions. The two halves then get labels of "
        f"their own, and in {both['labels_differ']:.1%} of these sessions they <b>differ</b>. "
        f"{void['rates']['train']:.1%} of the training halves “convert”, "
        f"{void['rates']['test']:.1%} of the test halves.</p>"
        "<h3>SMOTE before the split makes skill out of nothing</h3>"
        f"<p>Labels drawn by lot ({smote['share']:.0%} of {smote['rows']:,} sessions): honestly "
        f"judged, a random forest has ROC AUC <b>{smote['honest']:.2f}</b>. With SMOTE before the "
        f"split it has <b>{smote['smote']:.2f}</b>.</p>"
        "<h3>Revenue is a formula of the features</h3>"
        "<p>It is computed as price sum × (1 + 0.1 clicks) × (1 + 0.05 categories) from three of "
        f"the nineteen columns; that formula, given those columns, has R² "
        f"<b>{void['revenue_formula_r2']:.4f}</b>. Scores below 1 measure how well trees "
        "approximate a product.</p>"
    )


def _audits(audits: list[dict[str, Any]]) -> str:
    parts = ["<h2>3. What the audit says of these very tables</h2>"]
    for audit in audits:
        rows = [
            (
                f'<span class="code {f["severity"]}">{f["code"]}</span>',
                f'<span class="{f["severity"]}">{f["severity"]}</span>',
                escape(f["message"]),
            )
            for f in audit["findings"]
            if f["severity"] != "note"
        ]
        parts.append(f"<h3>{escape(audit['title'])}</h3>")
        parts.append(table(("code", "severity", "finding"), rows))
    return "".join(parts)


def _honest(honest: list[dict[str, Any]]) -> str:
    parts = [
        "<h2>4. What can be offered instead</h2>"
        "<p>There is <b>no purchase in this file</b>. Two things can be foreseen, both proxies: "
        "each row is one click, with what was known at that click; trained on April to June, "
        "stopped by July, judged on August, clicks 1 to 30 pooled, sessions whole.</p>"
    ]
    for h in honest:
        rows = [
            (
                escape(name),
                f"{v['roc_auc']:.3f}",
                f"{v['roc_auc_low']:.3f} – {v['roc_auc_high']:.3f}",
                f"{v['average_precision']:.3f}",
                f"{v['brier']:.4f}",
                f"{v['log_loss']:.4f}",
            )
            for name, v in h["figures"].items()
        ]
        model = h["figures"]["model"]
        parts.append(
            f"<h3>PROXY: {escape(h['title'])}</h3><p>{model['rows']:,} rows of "
            f"{model['sessions']:,} sessions ({escape(h['rows'])}); {model['prevalence']:.1%} yes."
            "</p>"
        )
        head = ("", "ROC AUC", "95 % interval", "PR AUC", "Brier", "log loss")
        parts.append(table(head, rows, (1, 2, 3, 4, 5)))
        parts.append(_lines(h["by_click"]))
        blocks = [f for f in h["findings"] if f["severity"] == "block"]
        said = "; ".join(f"{f['code']} {f['message']}" for f in h["findings"])
        verdict = "The audit blocks it" if blocks else "The audit does not block it"
        parts.append(f'<p class="note">{verdict}. It says: {escape(said)}</p>')
    return "".join(parts)


def _bars(items: list[tuple[str, float]]) -> str:
    """Return a bar chart of shares, labelled directly."""
    height = 26 * len(items) + 10
    out = [f'<svg viewBox="0 0 880 {height}" role="img" aria-label="F1 as columns are removed">']
    for i, (label, value) in enumerate(items):
        y = 8 + 26 * i
        width = max(value * 480, 2)
        out.append(f'<text x="250" y="{y + 13}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect x="260" y="{y}" width="{width:.1f}" height="18" fill="#b3261e"/>')
        out.append(f'<text x="{268 + width:.1f}" y="{y + 13}">{value:.3f}</text>')
    return "".join([*out, "</svg>"])


def _lines(rows: list[dict[str, float]]) -> str:
    """Return ROC AUC by click with its band, and the baseline."""

    def x(click: float) -> float:
        return 60 + (click - 1) * 680 / 29

    def y(area: float) -> float:
        return 210 - (min(max(area, 0.4), 1.0) - 0.4) * 320

    def path(name: str) -> str:
        return " ".join(f"{x(r['click']):.1f},{y(r[name]):.1f}" for r in rows)

    band = path("high") + " " + " ".join(path("low").split()[::-1])
    out = ['<svg viewBox="0 0 880 250" role="img" aria-label="ROC AUC by click number">']
    out += [
        f'<line x1="60" x2="740" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#dfe4ea"/>'
        f'<text x="50" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:.1f}</text>'
        for mark in (0.5, 0.6, 0.7, 0.8, 0.9)
    ]
    out += [
        f'<text x="{x(click):.1f}" y="230" text-anchor="middle">{click}</text>'
        for click in (1, 5, 10, 15, 20, 25, 30)
    ]
    last = rows[-1]
    base = "click and category"
    out.append(
        f'<polygon points="{band}" fill="#0b6e75" opacity="0.15"/>'
        f'<polyline points="{path("model")}" fill="none" stroke="#0b6e75" stroke-width="2.5"/>'
        f'<polyline points="{path(base)}" fill="none" stroke="#8a94a0" stroke-width="1.5"/>'
        f'<text x="{x(last["click"]) + 8:.1f}" y="{y(last["model"]) + 4:.1f}">model</text>'
        f'<text x="{x(last["click"]) + 8:.1f}" y="{y(last[base]) + 4:.1f}">baseline</text>'
        '<text x="400" y="248" text-anchor="middle">click number (ROC AUC, 95 % band)</text>'
    )
    return "".join([*out, "</svg>"])


def _foot(figures: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in figures["versions"].items())
    return (
        "<footer><p>Run: <span class='code'>python examples/perfect_score/run.py</span> "
        f"({figures['seconds']:.0f} s). {escape(versions)}.</p><p>Data: Łapczyński and Białowąs, "
        "Clickstream data for online shopping, UCI Machine Learning Repository 553, "
        "doi:10.24432/C5QK7X, CC BY 4.0.</p></footer>"
    )
