"""Which further kinds of feature bring something, beside what `features: auto` proposes.

    python benchmarks/candidates.py [--logs second:pages,first:codes,eshop,ga360]
                                    [--kinds none,pairs,history,day,strict]
                                    [--sessions 10000] [--seeds 1,2,3]
    python benchmarks/candidates.py --august

A log is `SHOP:FORM` (`first` or `second`, forms of `shops.py`), or `eshop` (5 more clicks), or `ga360`
in `$CARTCAST_DATA`. Kinds: `none` proposes no history of a shop's own words; `history` does; `pairs`
adds counts of frequent successions of two words; `day` and `strict` add, for the item (or the class
of page) last seen, how popular it was and how many of those who saw it bought, as known at the last
midnight or just before the event. LightGBM, mean of three seeds; differences of the log loss of later
sessions to the first kind, with standard errors over sessions. `--august` says how the proposed set
does on the e-shop log: at least 5 more clicks, after clicks 1 to 30 pooled; trained until July,
judged on August, 95 % interval over sessions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from shops import SHOPS, forms
from sklearn.metrics import roc_auc_score

from cartcast import events
from cartcast.datasets import simulate
from cartcast.features import And, Count, DecayedCount, Eq, FeatureSet, Previous, candidates
from cartcast.features.candidates import Candidates
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.screen import JUDGES
from cartcast.models.selection import log_losses
from cartcast.models.stack import logit
from cartcast.moments import from_log
from cartcast.splits import split_by_time
from cartcast.targets import Proxy, Purchase
from cartcast.train import proposals
from cartcast.train.task import parts_of

ANCHORS = (1, 2, 3, 5, 8, 10, 13, 21)
PAIRS = """
SELECT before, after FROM (SELECT {c} AS after, lag({c}) OVER (PARTITION BY session_id
    ORDER BY event_order) AS before FROM log WHERE event_type <> 'purchase')
WHERE before IS NOT NULL AND after IS NOT NULL GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 12
"""
KNOWN = """
WITH bought AS (SELECT session_id, min(event_time) AS t FROM log
    WHERE event_type = 'purchase' GROUP BY 1),
seen AS (SELECT session_id, {c} AS c, min(event_time) AS t FROM log
    WHERE {c} IS NOT NULL AND event_type <> 'purchase' GROUP BY 1, 2),
marks AS (SELECT c, t, 1 AS saw, 0 AS buy FROM seen UNION ALL
    SELECT c, bought.t, 0, 1 FROM seen JOIN bought USING (session_id) WHERE bought.t >= seen.t),
steps AS (SELECT c, {t} AS t, sum(saw) AS saw, sum(buy) AS buy FROM marks GROUP BY 1, 2),
own AS (SELECT c, t, sum(saw) OVER w AS saw, sum(buy) OVER w AS buy FROM steps
    WINDOW w AS (PARTITION BY c ORDER BY t)),
whole AS (SELECT DISTINCT t, sum(saw) OVER w AS saw, sum(buy) OVER w AS buy FROM steps
    WINDOW w AS (ORDER BY t)),
x AS (SELECT session_id, event_order, {c} AS c, {now} AS t FROM log WHERE {c} IS NOT NULL)
SELECT session_id, event_order, coalesce(own.saw, 0) / whole.saw AS popularity,
    (coalesce(own.buy, 0) + 20 * whole.buy / whole.saw) / (coalesce(own.saw, 0) + 20) AS conversion
FROM x ASOF LEFT JOIN own ON x.c = own.c AND own.t < x.t ASOF LEFT JOIN whole ON whole.t < x.t
ORDER BY event_order
"""


def proposing(kind: str, propose):
    """Return `propose` with the features of a kind, or without those of the history."""

    def offered(log, most=candidates.MOST):
        found = propose(log, most)
        kept = dict(found.features.features)
        if kind != "history":
            kept = {n: f for n, f in kept.items() if "EarlierWords(" not in repr(f)}
        reasons = {n: found.reasons[n] for n in kept}
        if kind == "pairs":
            rows = log.table()  # noqa: F841 (read by name in the query)
            for column in sorted(
                {"source_event", "event_type", "category", "page"} & {*log.filled()}
            ):
                for a, b in duckdb.sql(
                    PAIRS.format(c=column).replace("FROM log", "FROM rows")
                ).fetchall():
                    where = And(Eq(column, b), Previous(Eq(column, a)))
                    name = f"pair_{len(kept)}"
                    kept |= {name: Count(where=where),
                             f"{name}_recent": DecayedCount(2, where=where, by="clicks")}  # fmt: skip
            reasons = {n: found.reasons.get(n, "a pair") for n in kept}
        return Candidates(FeatureSet.of(kept.items()), reasons, found.words, found.left_out)

    return offered


def known(log, column: str, kind: str) -> pd.DataFrame:
    """Return popularity and conversion at each event with an item, as known then."""
    rows = log.table()  # noqa: F841 (read by name in the query)
    at, now = ("t::DATE", "event_time::DATE") if kind == "day" else ("t", "event_time")
    sql = KNOWN.format(c=f'"{column}"', t=at, now=now).replace("FROM log", "FROM rows")
    return duckdb.sql(sql).df().astype({"event_order": "int64", "session_id": "object"})


def compare(log, target, name: str, kinds: list[str]) -> None:
    first = None
    propose = proposals.propose
    for kind in kinds:
        began = time.process_time()
        proposals.propose = proposing(kind, propose)
        try:
            made = proposals.propose_features(
                log, target, ANCHORS, train=0.8, session_gap=1800, seed=1
            ).features
        finally:
            proposals.propose = propose
        rows = from_log(log, target, made, ANCHORS)
        train, test = parts_of(rows, split_by_time(rows.table, (0.4, 0.4, 0.2), by_clock=True))
        X = [part.X for part in (train, test)]
        if kind in ("day", "strict"):
            column = "item_id" if "item_id" in log.filled() else made_of(log)
            found = known(log, column, kind)
            for k, part in enumerate((train, test)):
                keys = part.keys[["session_id", "event_order"]].astype(
                    {"event_order": "int64", "session_id": "object"}
                )
                keys = keys.assign(place=np.arange(len(keys))).sort_values("event_order")
                more = pd.merge_asof(keys, found, on="event_order", by="session_id")
                more = more.sort_values("place")[["popularity", "conversion"]]
                X[k] = X[k].assign(**{c: more[c].to_numpy(float) for c in more})
        y, p = (test.label > 0).astype(float), np.zeros(len(test.label))
        for seed in (1, 2, 3):
            model = CLASSIFIERS["lightgbm"].make(seed, len(X[0]), tuple(rows.categorical), 2)
            model.fit(X[0], (train.label > 0).astype(float))
            p += model.predict_proba(X[1])[:, 1] / 3
        loss = log_losses(y, p)
        first = loss if first is None else first
        away = pd.Series(loss - first).groupby(test.keys["session_id"].to_numpy()).sum()
        own = sum(
            "Previous(" in repr(f) and "SameAs" not in repr(f) for f in made.features.values()
        )
        own += sum("EarlierWords(" in repr(f) for f in made.features.values())
        print(
            f"{name:16} {kind:8} {X[0].shape[1]:3} columns, {own:2} of the kind: log loss "
            f"{loss.mean():.5f}, {away.sum() / len(y):+.5f} (standard error "
            f"{np.sqrt((away**2).sum()) / len(y):.5f}), {time.process_time() - began:.0f} CPU s",
            flush=True,
        )


def made_of(log) -> str:
    """Return the column that tells what an event of a log without items is."""
    return "source_event" if "source_event" in log.filled() else "event_type"


def logs(asked: str, sessions: int, seeds: list[int], folder: Path) -> Iterator[tuple]:
    data = Path(os.environ.get("CARTCAST_DATA", "../shared/data"))
    if asked == "eshop":
        path = data / "eshop_clothing_2008" / "clickstream_data_for_online_shopping.zip"
        yield events.load(path, folder=folder / "log"), Proxy("browsing", at_least=5), asked
        return
    if asked == "ga360":
        path = data / "ga360_one_day" / "ga_sample.parquet"
        yield events.load(path, folder=folder / "log"), Purchase(), asked
        return
    shop, form = asked.split(":")
    for seed in seeds:
        made = simulate(sessions, seed=seed, late=0, twice=0, truth=True, shop=SHOPS[shop])
        (folder / str(seed)).mkdir()
        for _, log, _ in forms(made, folder / str(seed), seed, [form]):
            yield log, Purchase(), f"{asked} {seed}"


def august(folder: Path) -> None:
    log, target, _ = next(logs("eshop", 0, [], folder))
    clicks = tuple(range(1, 31))
    with log.connect() as con:
        (share,) = con.execute(
            "SELECT avg((t < DATE '2008-08-01')::INT) FROM "
            "(SELECT min(event_time) AS t FROM events GROUP BY session_id)"
        ).fetchone()
    made = proposals.propose_features(log, target, clicks, train=share, session_gap=1800, seed=1)
    rows = from_log(log, target, made.features, clicks)
    when = rows.table["session_start"].dt.month
    fit, held = (when < 8).to_numpy(), (when == 8).to_numpy()
    y, odds = (rows.table["label"] > 0).to_numpy(float), 0.0
    for name in JUDGES:
        model = CLASSIFIERS[name].make(1, int(fit.sum()), tuple(rows.categorical), 2)
        model.fit(rows.X[fit], y[fit])
        said = logit(model.predict_proba(rows.X[held])[:, 1])
        print(f"{name}: {roc_auc_score(y[held], said):.4f}")
        odds = odds + said / len(JUDGES)
    p = 1 / (1 + np.exp(-odds))
    who, truth = pd.factorize(rows.table.loc[held, "session_id"])[0], y[held]
    draw, found = np.random.default_rng(1), []
    for _ in range(400):
        times = np.bincount(draw.integers(0, who.max() + 1, who.max() + 1), minlength=who.max() + 1)
        found.append(roc_auc_score(truth, p, sample_weight=times[who]))
    low, high = np.quantile(found, [0.025, 0.975])
    print(f"e-shop, August, {held.sum():,} rows, {len(made.features)} features: ROC AUC "
          f"{roc_auc_score(truth, p):.4f} ({low:.4f} to {high:.4f})")  # fmt: skip
    for click in (1, 3, 5, 10):
        at = (rows.table.loc[held, "click"] == click).to_numpy()
        print(f"after click {click}: {roc_auc_score(truth[at], p[at]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--logs", default="first:pages,first:codes,second:pages,second:codes,eshop,ga360"
    )
    parser.add_argument("--kinds", default="none,pairs,history,day,strict")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--august", action="store_true")
    given = parser.parse_args()
    if given.august:
        with tempfile.TemporaryDirectory() as folder:
            august(Path(folder))
        return
    for asked in given.logs.split(","):
        with tempfile.TemporaryDirectory() as folder:
            seeds = [int(s) for s in given.seeds.split(",")]
            for log, target, name in logs(asked, given.sessions, seeds, Path(folder)):
                compare(log, target, name, given.kinds.split(","))


if __name__ == "__main__":
    main()
