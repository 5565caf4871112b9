"""Do the intervals of experiments hold what they promise, and how fast is it all?

    python benchmarks/experiments.py [--runs 2000] [--units 1e6] [--only PART] [--tea-tasting PYTHON] [--json]

Coverage of nominal 95 % intervals (90 % for policy values) over simulated experiments with a known
truth; false alarms with 30 daily looks; sample-ratio faults of 1 % found and false alarms on clean
tests; units assigned in a second. `--tea-tasting` names a Python (3.12 or newer) that has
tea-tasting 2.0 and pyarrow: it then analyses the same table of units, and values are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import ndtri

from cartcast.experiments import Allocation, Mean, Moments, Proportion, Ratio, analyze, plan_from
from cartcast.experiments.allocation import Holdout, Layer
from cartcast.experiments.difference import Difference, Estimate, Linear, Mix, compare
from cartcast.experiments.exact import Yes, exact_share
from cartcast.experiments.exact import few_events as few
from cartcast.experiments.group_sequential import looks
from cartcast.experiments.policy import policy_value, unit_scores
from cartcast.experiments.quantiles import quantile
from cartcast.experiments.sample_ratio import ALARM, chi_squared, sequential
from cartcast.experiments.sequence import width_factor
from cartcast.experiments.strata import stratified

Rng = np.random.Generator
Made = tuple[Linear, Linear, float, float] | tuple[Linear, Linear, float, float, Mix]


def proportion(rng: Rng) -> Made:
    arms = [
        Moments.from_sums(4000, {"y": k}, {("y", "y"): k}) for k in rng.binomial(4000, [0.05, 0.06])
    ]
    return *Proportion("y").pair(*arms), 0.01, 0.2


def skewed(rng: Rng) -> Made:
    a, b = (
        Moments.of({"y": (rng.random(4000) < 0.1) * rng.gamma(2, 20 * f, size=4000)})
        for f in (1, 1.1)
    )
    return *Mean("y").pair(a, b), 0.4, 0.1


def capped(rng: Rng) -> Made:
    # Lognormal orders capped at 100; the truth is that of capped values, by the closed form.
    from scipy.stats import norm

    def truth(mu: float) -> float:
        z = np.log(100) - mu
        return float(np.exp(mu + 0.5) * norm.cdf(z - 1) + 100 * norm.sf(z)) * 0.2

    arms = [
        Moments.of({"y": (rng.random(3000) < 0.2) * np.minimum(rng.lognormal(mu, 1, 3000), 100)})
        for mu in (3.0, 3.1)
    ]
    gap = truth(3.1) - truth(3.0)
    return *Mean("y").pair(*arms), gap, gap / truth(3.0)


def cuped(rho: float, lift: float) -> Callable[[Rng], Made]:
    def make(rng: Rng) -> Made:
        arms = []
        for f in (1, 1 + lift):
            x = rng.gamma(4, size=300)
            y = f * (rho * (x - 4) + np.sqrt(1 - rho**2) * (rng.gamma(4, size=300) - 4) + 4)
            arms.append(Moments.of({"y": y, "x": x}))
        return *Mean("y", "x").pair(*arms), 4 * lift, lift

    return make


def ratio(rng: Rng) -> Made:
    arms = []
    for p in (0.2, 0.22):
        s = 1 + rng.poisson(rng.gamma(2, size=800))
        arms.append(Moments.of({"o": rng.binomial(s, p), "s": s}))
    return *Ratio("o", "s").pair(*arms), 0.02, 0.1


def houses(rng: Rng, n: int, f: float) -> tuple[np.ndarray, np.ndarray]:
    of = np.repeat(np.arange(n), 1 + rng.poisson(2, size=n))
    return of, f * (rng.gamma(1, size=n)[of] + rng.gamma(1, size=len(of)))


def clusters(rng: Rng) -> Made:
    arms = [
        Moments.of({"y": np.bincount(of, weights=y), "units": np.bincount(of)})
        for of, y in (houses(rng, 400, 1), houses(rng, 400, 1.1))
    ]
    return *Mean("y").clustered().pair(*arms), 0.2, 0.1


def quantiles(q: float, truth: float, clustered: bool) -> Callable[[Rng], Made]:
    def make(rng: Rng) -> Made:
        made = [quantile(y, q, of if clustered else None) for of, y in
                (houses(rng, 400, 1) if clustered else (None, rng.gamma(2, f, size=1000)) for f in (1, 1.1))]  # fmt: skip
        if clustered:
            of, y = houses(rng, 400, 1.1)
            made[1] = quantile(y, q, of)
        return made[0], made[1], 0.1 * truth, 0.1

    return make


def strata(rng: Rng) -> Made:
    """Three strata far apart in level, whose effects are 0, 1 and 3."""
    arms = []
    for treated in (0, 1):
        k = rng.choice(3, size=600, p=[0.5, 0.3, 0.2])
        y = np.array([2.0, 10.0, 20.0])[k] + treated * np.array([0.0, 1.0, 3.0])[k]
        y += rng.gamma(4, size=600)
        arms.append({v: Moments.of({"y": y[k == v]}) for v in range(3)})
    a, b, mix = stratified(Mean("y"), *arms)
    return a, b, 0.9, 0.9 / 12, mix


def few_events() -> dict[str, dict[str, float]]:
    """False alarms, and coverage of the exact interval, over all outcomes: no run, no chance."""
    from scipy.stats import binom

    out = {}
    for n, rate in (((1000, 1000), (2, 2)), ((1000, 1000), (5, 5)), ((1000, 1000), (9, 9)),
                    ((500, 4500), (1, 9)), ((500, 4500), (3, 27)), ((1000, 1000), (3, 14))):  # fmt: skip
        found = dict.fromkeys(("normal", "exact", "covered"), 0.0)
        truth = rate[1] / n[1] - rate[0] / n[0]
        chances = [binom.pmf(np.arange(80), m, r / m) for m, r in zip(n, rate, strict=True)]
        for x, y in np.argwhere(np.outer(*chances) > 1e-9):
            arms = Yes(int(x), n[0]), Yes(int(y), n[1])
            chance = chances[0][x] * chances[1][y]
            plain = compare(*(Linear.plain(a.of, a.value, a.value * (1 - a.value)) for a in arms))
            test = exact_share(*arms) if few(*arms) else plain.absolute
            found["covered"] += chance * (x + y == 0 or inside(test, truth))
            if x + y:
                found["normal"] += chance * plain.absolute.excludes_null
                found["exact"] += chance * test.excludes_null
        out[f"{rate[0]} of {n[0]} and {rate[1]} of {n[1]}"] = found
    return out


def inside(estimate: Estimate | None, truth: float) -> bool:
    return estimate is not None and estimate.low <= truth <= estimate.high


def coverage(runs: int) -> dict[str, dict[str, float]]:
    from scipy.stats import gamma

    whole = np.sort(houses(np.random.default_rng(9), 400_000, 1)[1])
    kinds: dict[str, Callable[[Rng], Made]] = {
        "proportion": proportion, "mean, skewed": skewed, "mean, capped": capped, "ratio": ratio,
        "clusters": clusters, "strata": strata,
        **{f"covariate, correlation {r}, lift {k}": cuped(r, k)
           for r, k in ((0.9, 0.5), (0.7, 0.3), (0.3, 0.1), (0.9, 0.0))},
        "median": quantiles(0.5, gamma.ppf(0.5, 2), False),
        "90 % quantile": quantiles(0.9, gamma.ppf(0.9, 2), False),
        "median, clusters": quantiles(0.5, float(whole[len(whole) // 2]), True),
    }  # fmt: skip
    out = {}
    for name, make in kinds.items():
        rng = np.random.default_rng(0)
        hits = []
        for _ in range(runs):
            a, b, absolute, relative, *mix = make(rng)
            d: Difference = compare(a, b, *mix)
            log = compare(a, b, *mix, scale="log").relative
            hits.append(
                (inside(d.absolute, absolute), inside(d.relative, relative), inside(log, relative))
            )
        out[name] = dict(
            zip(
                ("absolute", "relative", "relative_log"),
                np.mean(hits, axis=0).tolist(),
                strict=True,
            )
        )
    return out


def peeking(runs: int) -> dict[str, float]:
    days = np.arange(1, 31)
    z = np.abs(np.random.default_rng(1).normal(size=(runs, 30)).cumsum(axis=1)) / np.sqrt(days)
    out = {"fixed": float((z > 1.96).any(axis=1).mean())}
    for tuned in (5_000, 15_000, 30_000):
        bound = np.array([width_factor(int(n), tuned_for=tuned) for n in days * 1000])
        out[f"always valid, {tuned}"] = float((z > bound).any(axis=1).mean())
        out[f"width, {tuned}"] = float(bound[-1] / 1.96)
    bound = np.array([k.bound for k in looks(days / 30)])
    out |= {"group sequential": float((z > bound).any(axis=1).mean()),
            "width, group sequential": float(bound[-1] / 1.96)}  # fmt: skip
    return out


def sample_ratios(runs: int, day: int = 40_000) -> dict[str, float]:
    rng = np.random.default_rng(2)

    def alarms(share: float) -> tuple[float, float]:
        """Share of tests with an alarm: looked at daily, and once at the end."""
        halves = [0.5, 0.5]
        tests = [rng.multinomial(day, [1 - share, share], size=30) for _ in range(runs)]
        return (float(np.mean([sequential(d, halves)[-1] < ALARM for d in tests])),
                float(np.mean([chi_squared(d.sum(axis=0), halves) < ALARM for d in tests])))  # fmt: skip

    clean, lost = alarms(0.5), alarms(0.99 / 1.99)
    return {"clean": clean[0], "1 % of one arm lost": lost[0],
            "1 % of one arm lost, one look at the end": lost[1], "units a day": day}  # fmt: skip


def policies(runs: int) -> dict[str, float]:
    """Value of a policy learnt on half of the units, judged on the other half, at 90 %."""
    rng = np.random.default_rng(3)
    hits, regret = [], []
    grid = ndtri((np.arange(20_000) + 0.5) / 20_000)  # of the population
    for _ in range(runs):
        n = 1000
        x = rng.normal(size=n)
        t = (rng.random(n) < 0.5).astype(int)
        mean = np.column_stack([np.exp(x / 2), np.exp(x / 2) + 0.2 + 0.5 * x])
        y = mean[np.arange(n), t] + rng.normal(size=n)
        first = np.arange(n) < n // 2
        fits = [np.polyfit(x[first & (t == k)], y[first & (t == k)], 2) for k in (0, 1)]
        predicted = np.column_stack([np.polyval(f, x) for f in fits])[~first]
        rule = (predicted[:, 1] > predicted[:, 0]).astype(int)
        v = policy_value(unit_scores(y[~first], t[~first], [0.5, 0.5], predicted), rule, level=0.9)
        # The truth, for the rule's own thresholds.
        wants = np.polyval(fits[1], grid) > np.polyval(fits[0], grid)
        value = float((np.exp(grid / 2) + wants * (0.2 + 0.5 * grid)).mean())
        best = float((np.exp(grid / 2) + np.maximum(0.2 + 0.5 * grid, 0)).mean())
        hits.append(v.low <= value <= v.high)
        regret.append(best - value)
    # What the best rule gains over treating nobody.
    most = float(np.maximum(0.2 + 0.5 * grid, 0).mean())
    return {"coverage_90": float(np.mean(hits)), "regret": float(np.mean(regret)),
            "regret, share of the best rule's gain": float(np.mean(regret)) / most}  # fmt: skip


def assignment(units: int) -> dict[str, float]:
    """Units a second in bulk, and microseconds of one live, with a layer and a holdout."""
    door = {"layer": Layer("page", 0, 0.9), "holdout": Holdout("all", 0.05)}
    a = Allocation("speed", ("control", "treatment"), **door)
    names = [f"{i:032x}" for i in range(units)]
    ids = pa.array(names)
    plain = Allocation("speed", ("control", "treatment"))
    out = {}

    def timed(name: str, count: int, run: Callable[[], object]) -> None:
        # Of one live the processor's time counts: who else uses the machine is not the point.
        live = name.startswith("microseconds")
        clock = time.process_time if live else time.perf_counter
        began = clock()
        run()
        seconds = clock() - began
        out[name] = seconds / count * 1e6 if live else count / seconds

    plain.assign_many(ids[:10])
    timed("units_a_second", units, lambda: plain.assign_many(ids))
    timed("units_a_second, layer and holdout", units, lambda: a.assign_many(ids))
    few = 20_000
    with duckdb.connect() as con:
        con.register("ids", pa.table({"unit": ids}))
        con.create_function("arm_of", a.arms_of, ["VARCHAR"], "VARCHAR", type="arrow",
                            null_handling="special")  # fmt: skip
        for name, arm, count in (("function of DuckDB", "arm_of(unit)", units),
                                 ("expression of DuckDB", a.assign_sql("unit"), few)):  # fmt: skip
            sql = f"SELECT {arm} AS arm, count(*) FROM (FROM ids LIMIT {count}) GROUP BY 1"
            timed(f"units_a_second, {name}", count, lambda sql=sql: con.execute(sql).fetchall())
    timed("microseconds_live", few, lambda: [a.assign(i) for i in names[:few]])
    with tempfile.TemporaryDirectory() as folder:
        served(Path(folder), names[:few], timed)
    return out


def served(folder: Path, names: list[str], timed: Callable[..., None]) -> None:
    """Time what the service does of a request, but for HTTP: new units, then known ones."""
    from cartcast.experiments.exposures import ExposureFile
    from cartcast.live.arms import Assign
    from cartcast.live.experiments import Experiments

    plan = folder / "plan.yaml"
    plan.write_text(
        "{key: speed, unit: visitor_id, arms: [control, treatment], metrics: {m: {mean: x}}, "
        "layer: {name: page, start: 0, end: 0.9}, holdout: {name: all, share: 0.05}}"
    )

    async def ask(expose: bool) -> None:
        for name in names:
            await running.assign(Assign(visitor_id=name, expose=expose))

    async def together() -> None:
        # As of clients at once: exposures of one moment share a sync.
        asked = [running.assign(Assign(visitor_id=name)) for name in names]
        await asyncio.gather(*asked)

    running = Experiments([plan], ExposureFile(folder / "exposures.db"))
    count = len(names)
    timed("microseconds_service, looking ahead", count, lambda: asyncio.run(ask(False)))
    running = Experiments([plan], running.record)
    timed("microseconds_service, first exposures", count, lambda: asyncio.run(together()))
    running = Experiments([plan], running.record)
    timed("microseconds_service, known units", count, lambda: asyncio.run(ask(True)))


THEIRS = """
import json, sys, time, pyarrow.parquet as pq, tea_tasting as tt
began = time.perf_counter()
table = pq.read_table(sys.argv[1])
r = tt.Experiment(money=tt.Mean("money", "money0"), orders=tt.Mean("orders"),
    rate=tt.RatioOfMeans("orders", "visits"), variant="arm").analyze(table)
out = {k: [r[k].effect_size, r[k].effect_size_ci_lower, r[k].effect_size_ci_upper, r[k].pvalue] for k in r}
print(json.dumps({"values": out, "seconds": time.perf_counter() - began}))
"""


def tea_tasting(python: str, units: int) -> dict[str, float]:
    rng = np.random.default_rng(5)
    love = rng.gamma(2, size=units)
    visits = 1 + rng.poisson(love)
    orders = rng.binomial(visits, 0.1)
    table = pa.table({"arm": np.where(rng.random(units) < 0.5, "a", "b"), "visits": visits,
                      "orders": orders, "money": orders * rng.gamma(2, 20, size=units),
                      "money0": love * rng.gamma(2, 2, size=units)})  # fmt: skip
    plan = plan_from({"key": "k", "arms": ["a", "b"], "metrics": {
        "money": {"mean": "money", "covariate": "money0"}, "orders": {"mean": "orders"},
        "rate": {"ratio": "orders", "by": "visits"}}})  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "units.parquet"
        pq.write_table(table, path)
        theirs = json.loads(
            subprocess.run(
                [python, "-c", THEIRS, str(path)], capture_output=True, text=True, check=True
            ).stdout
        )
        began = time.perf_counter()
        ours = analyze(path, plan)
        seconds = time.perf_counter() - began
    worst = 0.0
    for name, (value, low, high, p) in theirs["values"].items():
        e = ours.get(name, "b").difference.absolute
        assert e is not None
        worst = max(
            worst, *np.abs(np.array([e.value, e.low, e.high, e.p_value]) - (value, low, high, p))
        )
    return {"units": units, "largest_difference": float(worst), "seconds": seconds,
            "tea_tasting_seconds": theirs["seconds"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--units", type=float, default=1e6)
    parser.add_argument("--tea-tasting")
    parser.add_argument("--only", help="one part, such as assignment")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    parts: dict[str, Callable[[], dict]] = {
        "coverage": lambda: coverage(given.runs),
        "few events": few_events,
        "thirty looks": lambda: peeking(max(given.runs * 2, 4000)),
        "sample ratio": lambda: sample_ratios(max(given.runs // 2, 1000)),
        "policy value": lambda: policies(given.runs),
        "assignment": lambda: assignment(int(given.units)),
    }
    found = {name: run() for name, run in parts.items() if given.only in (None, name)}
    if given.tea_tasting:
        found["tea-tasting"] = tea_tasting(given.tea_tasting, int(given.units))
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, rows in found.items():
        print(name)
        for key, value in rows.items():
            told = (
                ", ".join(f"{k} {v:.3f}" for k, v in value.items())
                if isinstance(value, dict)
                else f"{value:,.6g}"
            )
            print(f"  {key:<40} {told}")


if __name__ == "__main__":
    main()
