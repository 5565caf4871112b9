"""How often each interval that a reader sees holds the truth.

    python benchmarks/interval_coverage.py [--seeds 300] [--only CASE,...] [--done FOLDER]
        [--page docs/coverage.md]

Each case (`interval_insights.py`, `interval_models.py`) draws sample after sample, and counts how often the interval of each
figure holds its true value. What was drawn is kept in `--done`, a file a case: a run that was
stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import interval_insights
import interval_models
import numpy as np
from interval_samples import Case, Ends

from cartcast.atomic import write_text
from cartcast.evaluate.share import wilson

CASES = {**interval_insights.cases(), **interval_models.cases()}


class Held(NamedTuple):
    """How one interval of a case did.

    Attributes:
        reached: share of the intervals that hold the truth.
        told: share of the samples with an interval.
        short: whether it reaches less than was promised, by more than chance.
    """

    reached: float
    told: float
    short: bool


class Drawn(NamedTuple):
    """True value by interval, and for each sample its ends by interval; CPU seconds."""

    truth: dict[str, float]
    samples: list[dict[str, Ends]]
    seconds: float


def draw(name: str, seeds: int, done: Path, only_read: bool = False) -> Drawn:
    """Return the samples of a case, those in its file and what is missing there."""
    file = done / f"{name}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    if len(lines) <= seeds and not only_read:
        began = time.process_time()
        truth, one = CASES[name].make()
        with file.open("a", encoding="utf-8") as sink:
            for line in range(len(lines), seeds + 1):
                made = one(np.random.default_rng(line - 1)) if line else truth
                seconds, began = time.process_time() - began, time.process_time()
                lines.append(json.dumps([made, seconds], default=float))
                print(lines[-1], file=sink, flush=True)
    told = [json.loads(line) for line in lines[: seeds + 1]]
    return Drawn(told[0][0], [t[0] for t in told[1:]], sum(t[1] for t in told))


def held(found: list[Ends], truth: float | None, nominal: float) -> Held:
    """Return how the intervals of one figure did; `truth` None: values are shares reached."""
    if truth is None:
        shares = np.array([value for value, _, _ in found], float)
        most = shares.mean() + 3 * shares.std() / len(shares) ** 0.5
        return Held(float(shares.mean()), 1.0, bool(most < nominal))
    told = [(low, high) for _, low, high in found if low is not None and low == low]
    if not told:
        return Held(float("nan"), 0.0, False)
    reached = float(np.mean([low <= truth + 1e-12 and truth <= high + 1e-12 for low, high in told]))
    # Three standard errors, for about three hundred looks.
    most = float(wilson(reached, len(told), 0.997)[1])
    return Held(reached, len(told) / len(found), most < nominal)


def table(cases: dict[Case, Drawn], seeds: int) -> list[str]:
    """Return the lines of one part: a row for each interval, a column for each sample."""
    shown: dict[str, dict[Case, Held]] = defaultdict(dict)
    for case, drawn in cases.items():
        names = dict.fromkeys(name for sample in drawn.samples for name in sample)
        for name in names:
            # A sample drawn before a figure was tried says nothing of it.
            found = [sample[name] for sample in drawn.samples if name in sample]
            truth = drawn.truth.get(name) if drawn.truth else None
            shown[name][case] = held(found, truth, case.nominal)
    heads = [
        f"{c.shop}, {c.sample}" + (f" ({len(d.samples)} samples)" if len(d.samples) < seeds else "")
        for c, d in cases.items()
    ]
    lines = [f"| interval | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, by_case in shown.items():
        cells = [_cell(by_case.get(case)) for case in cases]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(h: Held | None) -> str:
    if h is None:
        return "not tried"
    if not h.told:
        return "none"
    text = f"{h.reached:.1%}" + (f" ({h.told:.0%})" if h.told < 0.995 else "")
    return f"**{text}**" if h.short else text


HEAD = """# Do the intervals hold what they promise?

Made by `python benchmarks/interval_coverage.py --seeds {seeds}` ({hours:.1f} hours of CPU); nothing here is
typed in. A large log is the truth, {seeds} samples of its visitors (fewer where a column says so) are what a
reader has: the share of samples whose interval holds the figure of the whole log. With {seeds} samples
chance moves that share by up to {ninety:.1f} points at 90 % and {more:.1f} at 95 % (two standard errors; with 100
samples 6.0 and 4.4); **bold** is short of the promise by more than three. In brackets: the share of samples with an interval, where some
have none. A figure that too few buyers carry is shown without one, or not at all (`too few buyers`). The two
shops are those of `cartcast simulate`; `loyal` visitors come more often and buy more; `made-up` uses nothing
of Cartcast. Paths and counts are shown without intervals; those of experiments are tried by
`benchmarks/experiments.py`.
"""
WORDS = {
    "How often visitors come": "600 loyal visitors; promised: 95 %.",
    "Insights": "Promised: 95 %.",
    "Models": "A logistic regression, judged on visitors that it has not seen; promised: 90 %.",
    "Amounts": "Intervals of the amount given a purchase, calibrated on that number of buying visitors: the "
    "mean share of fresh amounts inside of them; promised: 90 %. In `spreading`, dear baskets spread "
    "three times as far as others: intervals are fitted apart for every 40 buying visitors, so with "
    "100 of them the dearest tenth shares its ends with cheaper baskets.",
}


def page(drawn: dict[str, Drawn], seeds: int) -> str:
    """Return the Markdown page."""
    hours = sum(d.seconds for d in drawn.values()) / 3600
    error = {level: 200 * np.sqrt(level * (1 - level) / seeds) for level in (0.9, 0.95)}
    lines = [HEAD.format(seeds=seeds, hours=hours, ninety=error[0.9], more=error[0.95])]
    for part, words in WORDS.items():
        cases = {CASES[name]: d for name, d in drawn.items() if CASES[name].part == part}
        if cases:
            lines += [f"## {part}", "", words, "", *table(cases, seeds), ""]
    return "\n".join(lines)


def main() -> None:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--only", default=",".join(CASES), help="cases")
    parser.add_argument("--done", type=Path, help="folder of what was drawn, to go on later")
    parser.add_argument("--drawn", action="store_true", help="draw nothing, tell what is in --done")
    parser.add_argument("--page", type=Path)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = words.done or Path(work)
        done.mkdir(parents=True, exist_ok=True)
        drawn = {n: draw(n, words.seeds, done, words.drawn) for n in words.only.split(",")}
    text = page(drawn, words.seeds)
    print(text)
    if words.page is not None:
        write_text(words.page, text)


if __name__ == "__main__":
    main()
