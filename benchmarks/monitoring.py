"""Does the watch keep its budget of false pages, and does it find what is planted?

    python benchmarks/monitoring.py [--years 1000] [--planted-years 200] [--visitors 2000] [--moments 1e7]

Years are drawn as daily sums (`cartcast.monitoring.simulate`): clean ones with weekdays, holidays,
campaigns, weather, a Christmas that the model has not seen and visitors with several moments; and
the same with a fault from day 200 on. Every fifty years have a run, and so a level, of their own.
`--moments N` also times one day of N scored moments, from the table to the day's sums.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from cartcast.monitoring import risk
from cartcast.monitoring.days import days_of
from cartcast.monitoring.detector import detect, threshold
from cartcast.monitoring.estimate import estimate_loss
from cartcast.monitoring.feed import SIGNALS, unusual
from cartcast.monitoring.holes import holes
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.risk import levels, watch
from cartcast.monitoring.simulate import FAULTS, QUIET, Years, simulate_years

BATCH = 50
PLAN = Plan()


def pages(years: Years) -> dict[str, np.ndarray]:
    """Days with a page by process, shape (days, years)."""
    found = watch(years.table, levels(years.test), PLAN)
    return {name: c.alarm for name, c in found.items()}


def tickets(years: Years) -> dict[str, np.ndarray]:
    """Days with a ticket by signal; an episode counts on its first day."""
    feed = {**years.feed, "events": years.feed["sessions"] * 7}
    have = [s for s in SIGNALS if s.name in feed]
    return {s.name: unusual(feed, s, PLAN.tickets / (len(SIGNALS) + 1)).alarm for s in have}


def episodes(alarm: np.ndarray) -> float:
    """Episodes a year: days in alarm with none in the seven days before."""
    total = 0
    for t in range(len(alarm)):
        total += int((alarm[t] & ~alarm[max(0, t - 7) : t].any(axis=0)).sum())
    return total / alarm.shape[1] / (len(alarm) / 365.25)


def batches(years: int, **how):
    for k in range(max(1, years // BATCH)):
        yield simulate_years(min(BATCH, years), seed=10_000 + k, **how)


def clean(years: int, visitors: float) -> None:
    counts, told, any_page, total = Counter(), Counter(), 0, 0
    for drawn in batches(years, visitors=visitors):
        found = pages(drawn)
        for name, alarm in found.items():
            counts[name] += int(alarm.sum())
        any_page += int(np.any(list(found.values()), axis=0).any(axis=0).sum())
        total += drawn.visitors.shape[1]
        for name, alarm in tickets(drawn).items():
            told[name] += episodes(alarm) * drawn.visitors.shape[1]
    print(
        f"\n## {total:,} clean years, budget {PLAN.budget:g} page and {PLAN.tickets:g} tickets a year\n"
    )
    print(
        f"false pages a year: {sum(counts.values()) / total:.3f}; years with one: {any_page / total:.2%}"
    )
    print(
        "  by process: " + ", ".join(f"{n} {c / total:.3f}" for n, c in sorted(counts.items()))
        or "none"
    )
    print(f"false tickets a year: {sum(told.values()) / total:.2f}")
    print("  by signal: " + ", ".join(f"{n} {c / total:.2f}" for n, c in sorted(told.items())))


def first(alarm: np.ndarray, planted: int) -> np.ndarray:
    """Days from the fault to the first alarm, NaN where there is none."""
    after = alarm[planted:]
    return np.where(after.any(axis=0), after.argmax(axis=0).astype(float), np.nan)


def faults(years: int, visitors: float) -> None:
    print("\n## planted on day 200; delay 0 is the evening of that day\n")
    print(
        "| fault | paged | median delay | visitors until then | ticket | median delay | first by |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, says in FAULTS.items():
        delay, until, ticket, by = [], [], [], Counter()
        for drawn in batches(years, fault=name, visitors=visitors):
            assert drawn.planted is not None
            found, told = pages(drawn), tickets(drawn)
            both = np.any(list(found.values()), axis=0)
            days = first(both, drawn.planted)
            delay += days.tolist()
            came = np.cumsum(drawn.visitors[drawn.planted :], axis=0)
            until += [came[int(d), k] for k, d in enumerate(days) if d == d]
            # A ticket counts when its signal was silent in the week before the fault.
            new = {
                n: a & ~a[drawn.planted - 7 : drawn.planted].any(axis=0) for n, a in told.items()
            }
            ticket += first(np.any(list(new.values()), axis=0), drawn.planted).tolist()
            for source in (found, new):
                for n, a in source.items():
                    d = first(a, drawn.planted)
                    by[n] += int((d <= 14).sum())
        d, t = np.array(delay), np.array(ticket)
        paged, asked = np.isfinite(d).mean(), (t <= 7).mean()
        median = f"{np.nanmedian(d):.0f} d" if paged else "-"
        seen = f"{np.median(until):,.0f}" if until else "-"
        soon = f"{np.nanmedian(t[t <= 7]):.0f} d" if asked else "-"
        most = ", ".join(n for n, c in by.most_common(2) if c > len(d) / 4) or "-"
        print(
            f"| {says} | {paged:.0%} | {median} | {seen} | {asked:.0%} within a week | {soon} | {most} |"
        )


def quiet(years: int, visitors: float) -> None:
    print("\n## what must stay silent\n")
    for name, says in QUIET.items():
        n_pages = n_tickets = total = 0.0
        for drawn in batches(years, only=name, visitors=visitors):
            n_pages += sum(int(a.sum()) for a in pages(drawn).values())
            n_tickets += sum(episodes(a) for a in tickets(drawn).values()) * drawn.visitors.shape[1]
            total += drawn.visitors.shape[1]
        print(f"{says}: {n_pages / total:.3f} pages and {n_tickets / total:.2f} tickets a year")


def raw_loss(years: int, visitors: float) -> None:
    """What a watch of the realised loss as it is would do, with the same detector and margin."""
    print("\n## the realised log loss as it is, tested the same way (margin 10 %)\n")
    process = replace(risk.PROCESSES[2], top="log_loss", bottom="moments", var="excess_var",
                      scale="excess_scale", center=1.0, doubt=1.0)  # fmt: skip
    for name in ("christmas", "conversion"):
        how = {"only": name} if name in QUIET else {"fault": name}
        hit = total = 0
        for drawn in batches(min(years, 200), visitors=visitors, **how):
            t = drawn.test
            value = t["log_loss"].sum() / t["moments"].sum()
            level = risk.Level(value, 0.0, value, t["excess_var"].sum() / t["excess_scale"].sum())
            x = risk.standardised(drawn.table, process, level, 0.10)
            alarm = detect(x, threshold(PLAN.budget, 1)).alarm[drawn.planted or 0 :]
            hit += int(alarm.any(axis=0).sum())
            total += alarm.shape[1]
        print(f"{name}: pages in {hit / total:.0%} of years")


def coverage(years: int, visitors: float) -> None:
    hits = []
    for drawn in batches(min(years, 200), only="none", visitors=visitors):
        for s in range(drawn.visitors.shape[1]):
            for week in range(6, 50, 4):
                past = {k: v[: week * 7, s] for k, v in drawn.table.items()}
                now = {k: v[week * 7 : week * 7 + 7, s] for k, v in drawn.table.items()}
                e = estimate_loss(past, now)
                hits.append(e.low <= now["log_loss"].sum() / now["moments"].sum() <= e.high)
    print(
        f"\n## estimated against realised log loss: 90 % interval holds in {np.mean(hits):.1%} of {len(hits):,} stable weeks"
    )


def hours(years: int) -> None:
    """False holes a year on clumped hours, and the share of planted holes found in their hour."""
    rng = np.random.default_rng(1)
    n = min(years, 20)
    false = hit = 0
    for _ in range(n):
        index = pd.date_range("2026-01-05", periods=24 * 7 * 20, freq="h")
        shape = 0.15 + np.exp(-0.5 * ((index.hour.to_numpy() - 14.5) / 4.5) ** 2)
        day = np.repeat(np.exp(0.1 * rng.normal(size=7 * 20)), 24)
        day[24 * 80 : 24 * 81] *= 0.6
        sessions = rng.poisson(40 * shape * day)
        events = np.array([rng.geometric(1 / 7, k).sum() for k in sessions], dtype=float)
        at = 24 * 100 + int(rng.integers(8, 20))
        events[at] = 0
        found = set(holes(pd.DataFrame({"hour": index, "events": events}), PLAN)["hour"])
        hit += index[at] in found
        false += len(found - {index[at]})
    print(
        f"\n## holes: {false / (n * 17 / 52):.2f} false hours a year; {hit / n:.0%} of planted hours found at their end"
    )


def speed(moments: int) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "visitor_id": rng.integers(0, moments // 4, moments),
        "time": np.datetime64("2026-03-02") + rng.integers(0, 86_400, moments).astype("timedelta64[s]"),
        "probability": rng.beta(0.5, 15, moments), "label": (rng.random(moments) < 0.03).astype(float),
    })  # fmt: skip
    begin, cpu = time.perf_counter(), time.process_time()
    days_of(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"\n## a day of {moments:,} moments: {time.perf_counter() - begin:.1f} s, {time.process_time() - cpu:.1f} CPU s, peak of the process {peak:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--planted-years", type=int, default=200)
    parser.add_argument("--visitors", type=float, default=2000)
    parser.add_argument("--moments", type=float, default=0)
    asked = parser.parse_args()
    begin = time.perf_counter()
    if asked.moments:
        speed(int(asked.moments))
    clean(asked.years, asked.visitors)
    faults(asked.planted_years, asked.visitors)
    quiet(asked.planted_years, asked.visitors)
    raw_loss(asked.planted_years, asked.visitors)
    coverage(asked.planted_years, asked.visitors)
    hours(asked.years)
    print(f"\n{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
