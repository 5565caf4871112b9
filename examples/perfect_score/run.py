"""A perfect score, taken apart: one command.

    python examples/perfect_score/run.py [--data FILE] [--out DIR] [--quick]

FILE is UCI's own zip of data set 553 (clickstream data for online shopping). Without --data it is
taken from ../shared/data, the folder of CARTCAST_DATA, or fetched from UCI by checksum.
Writes perfect_score.html and perfect_score.json to DIR (default: perfect_score). `--quick` leaves
out the models that take longer than seconds, grows 20 trees a forest, not 100, and asks one honest
model, not three, for each target, with one session in three audited.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import honest
import page
import usual
import void

from cartcast.atomic import write_text
from cartcast.cli.shell import plain
from cartcast.datasets.public import fetch
from cartcast.errors import CartcastError, NotFoundError
from cartcast.leakage import Examination

FILE = Path("eshop_clothing_2008") / "clickstream_data_for_online_shopping.zip"
_TREES = ("decision tree", "random forest", "gradient boosting", "XGBoost")


def find_data(given: Path | None) -> Path:
    """Return the path of the data file; it is fetched, and its checksum held, when it is not here.

    Raises:
        NotFoundError: it is not there and cannot be fetched.
    """
    if given is not None:
        if not given.is_file():
            raise NotFoundError(f"{given}: no such file; leave --data out to fetch it.")
        return given
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / FILE
    return beside if beside.is_file() else fetch("eshop-2008")


def compare(figures: dict[str, float]) -> list[dict[str, Any]]:
    """Return the published figures beside ours, and why one differs."""
    import sklearn

    rows = []
    for name, published in usual.PUBLISHED.items():
        if name not in figures:
            continue
        same = page.shown(name, figures[name]) == page.shown(name, published)
        why = None
        if not same:
            why = "differs"
            if any(t in name for t in _TREES) and sklearn.__version__ != usual.PUBLISHED_SKLEARN:
                why = (
                    f"exact with scikit-learn {usual.PUBLISHED_SKLEARN}; {sklearn.__version__} "
                    "grows other trees (equal columns tie)"
                )
        rows.append(
            {
                "figure": name,
                "published": published,
                "ours": figures[name],
                "same": same,
                "why": why,
            }
        )
    return rows


def audit_of(title: str, examination: Examination) -> dict[str, Any]:
    """Return an examination as plain data with a title."""
    return {"title": title, "findings": [f.as_dict() for f in examination.findings]}


def measure(path: Path, *, slow: bool = True, say: Any = print) -> dict[str, Any]:
    """Run everything; return the figures of the page."""
    import sklearn

    began = time.perf_counter()
    trees = 100 if slow else 20
    say("the usual pipeline ...")
    made = usual.run_usual(path, slow=slow)
    say("why it is void ...")
    both = void.both_sides(made)
    figures: dict[str, Any] = {
        "usual": {
            "table": compare(made.figures),
            "sklearn": sklearn.__version__,
            "published_sklearn": usual.PUBLISHED_SKLEARN,
        },
        "void": {
            "rule": void.rule_is_length(made),
            "both_sides": both,
            "rates": {
                "train": float(made.train["conversion"].mean()),
                "test": float(made.test["conversion"].mean()),
            },
            "without_leaks": void.without_leaks(made, trees),
            "smote": void.smote_on_nothing(made, trees),
            "revenue_formula_r2": void.revenue_formula_r2(made),
        },
    }
    say("the audit ...")
    figures["audits"] = [
        audit_of("The session tables of both sides, “conversion”", void.audit_usual(made)),
        audit_of(
            "The table that the classifiers were judged on, after SMOTE", void.audit_balanced(made)
        ),
        audit_of("The same sessions, “revenue”", void.audit_revenue(made)),
    ]
    say("the honest page ...")
    figures["honest"] = [
        {
            "title": h.target.title,
            "rows": h.target.rows,
            "figures": h.figures,
            "by_click": h.by_click.to_dict("records"),
            "features": h.columns,
            "findings": [f.as_dict() for f in h.examination.findings],
        }
        for h in honest.run_honest(
            made.clicks, honest.SEEDS[: None if slow else 1], one_in=1 if slow else 3
        )
    ]
    figures["seconds"] = time.perf_counter() - began
    names = ("cartcast", "scikit-learn", "imbalanced-learn", "lightgbm", "xgboost-cpu", "pandas")
    figures["versions"] = {name: version(name) for name in names}
    return figures


def main(words: list[str] | None = None) -> int:
    """Run, write the page and its figures, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("perfect_score"))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(words)
    try:
        figures = measure(find_data(given.data), slow=not given.quick)
        data = plain(figures)
        write_text(given.out / "perfect_score.json", json.dumps(data, indent=1, ensure_ascii=False))
        write_text(given.out / "perfect_score.html", page.page(data))
    except CartcastError as error:
        print(f"perfect_score: error: {error}", file=sys.stderr)
        return error.exit_status
    for row in figures["usual"]["table"]:
        name = row["figure"]
        ours, published = (page.shown(name, row[k]) for k in ("ours", "published"))
        line = f"{name:<28} published {published:>10}   here {ours:>10}"
        print(line if row["same"] else f"{line}   {row['why']}")
    for step in figures["void"]["without_leaks"]:
        print(f"F1 without {step['without']:<36} {step['f1']:.3f}")
    for h in figures["honest"]:
        for name, v in h["figures"].items():
            print(f"{h['title'][:40]:<42} {name:<20} ROC AUC {v['roc_auc']:.4f}")
    print(f"wrote {given.out / 'perfect_score.html'} ({figures['seconds']:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
