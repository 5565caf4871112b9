"""Champion and challenger over a log: moments that neither was trained on, block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.monitoring.moments import local_times, moments_in, own_test, read_scored
from cartcast.monitoring.paired import Verdict, block_sums, judge, needed
from cartcast.monitoring.store import Store
from cartcast.runs.run import Run

__all__ = ["Comparison", "compare"]

_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Comparison:
    """What two runs said of the same moments.

    Attributes:
        champion, challenger: run ids.
        since: the first day that begins after both trainings, by the shop's clock.
        through: end of the last day that counts, or None before there is one.
        days: days that count.
        visitors: visitors, each once a block (a day, or the target's horizon).
        moments: scores of each of both.
        outcomes: moments whose outcome came.
        log_loss, brier: what they say, or None before there is a moment.
        level: with which a proof holds, over all looks together.
        needed: further moments that a proof may take if the gain stays as it is; None if the
            challenger is not ahead, or by less than can be proven.
    """

    champion: str
    challenger: str
    since: pd.Timestamp
    through: pd.Timestamp | None
    days: int
    visitors: int
    moments: int
    outcomes: int
    log_loss: Verdict | None
    brier: Verdict | None
    level: float
    needed: int | None

    @property
    def ahead(self) -> bool:
        """Whether the challenger's losses, as they were, are no higher than the champion's."""
        found = [v for v in (self.log_loss, self.brier) if v is not None]
        return bool(found) and all(v.challenger <= v.champion for v in found)

    @property
    def better(self) -> bool:
        """Whether the challenger is proven better by log loss, and the Brier score agrees."""
        proof = 1 / (1 - self.level)
        return self.log_loss is not None and self.log_loss.better >= proof and self.ahead

    @property
    def worse(self) -> bool:
        """Whether it is proven worse by either."""
        proof = 1 / (1 - self.level)
        return any(v is not None and v.worse >= proof for v in (self.log_loss, self.brier))

    def describe(self) -> str:
        """Return the figures in one sentence, as the registry keeps them."""
        if self.log_loss is None or self.brier is None or self.through is None:
            return f"no moment yet whose outcome is known, from {self.since:%Y-%m-%d} on"
        one, two = self.log_loss, self.brier
        return (
            f"{self.moments:,} moments of {self.visitors:,} visitors, {self.since:%Y-%m-%d} to "
            f"{self.through - _DAY:%Y-%m-%d}: log loss {one.challenger:.4f} against "
            f"{one.champion:.4f} (gain {one.low:+.4f} to {one.high:+.4f} at every look), Brier "
            f"{two.challenger:.4f} against {two.champion:.4f}; evidence {_told(one.better)} for, "
            f"{_told(max(one.worse, two.worse))} against; proof is {1 / (1 - self.level):.0f}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = {**self.__dict__, "better": self.better, "worse": self.worse}
        for name in ("log_loss", "brier"):
            verdict = told[name]
            told[name] = None if verdict is None else verdict._asdict()
        return told


def _told(evidence: float) -> str:
    return f"{evidence:,.0f}" if evidence >= 100 else f"{evidence:.2g}"


def compare(
    store: Store,
    champion: Run,
    challenger: Run,
    log: Log,
    *,
    scored: Path | str | None = None,
    targets: Mapping[str, Any] | None = None,
    level: float = 0.95,
) -> Comparison:
    """Add the blocks of a log that are new to those kept, and return what all of them say.

    A block that is kept stays as it was. A visitor whose horizon reaches into the next block may
    come again in it; blocks are no shorter than the horizon, so that few do.

    Args:
        store: keeps the sums of blocks for this pair of runs.
        champion: the run in use.
        challenger: the run that may replace it.
        log: read as the champion's own was.
        scored: scores of both kept by a live service; None lets both score the log.
        targets: proxies declared by name.
        level: of a proof.

    Raises:
        DataError: the log has no outcomes, or `scored` holds no scores of the two.
    """
    since = _both_trained(champion, challenger, log.zone)
    rate = min(max(float(own_test(champion)["probability"].mean()), 0.001), 0.999)
    pair, span = f"{champion.id} {challenger.id}", _span(champion)
    with log.connect() as con:
        row = con.execute("SELECT max(event_time) FROM events").fetchone()
    if row and local_times(pd.to_datetime(pd.Series(row)), log.zone).iloc[0] > since:
        table, matured = _both(champion, challenger, log, scored, targets)
        number = (table["time"] - since) // span
        whole = (number >= 0) & (since + (number + 1) * span <= matured)
        table = table[whole].assign(block=since + number[whole] * span)
        if len(table):
            sums = block_sums(table, rate)
            rows = {str(b.date()): dict(row) for b, row in sums.iterrows()}  # type: ignore[attr-defined]
            store.keep_rows("pairs", pair, rows)
    kept = pd.DataFrame.from_dict(store.rows("pairs", pair), orient="index", dtype="float64")
    if kept.empty:
        return Comparison(
            champion.id, challenger.id, since, None, 0, 0, 0, 0, None, None, level, None
        )
    through = pd.Timestamp(str(kept.index.max())) + span
    visitors, moments, outcomes = (int(kept[c].sum()) for c in ("visitors", "moments", "outcomes"))
    log_loss, brier = (judge(kept, measure, rate, level) for measure in ("log_loss", "brier"))
    return Comparison(
        champion.id, challenger.id, since, through, len(kept) * span.days, visitors, moments,
        outcomes, log_loss, brier, level, needed(kept, level),
    )  # fmt: skip


def _both_trained(champion: Run, challenger: Run, zone: str | None) -> pd.Timestamp:
    """Return the first midnight, by the shop's clock, after all that the two were trained on."""
    ends = [
        pd.Timestamp(t)
        for run in (champion, challenger)
        for t in (run.data["data"].get("end"), run.data["split"]["parts"]["test"]["end"])
        if t
    ]
    plain = pd.Series([t.tz_convert(None) if t.tzinfo else t for t in ends])
    last: pd.Timestamp = local_times(plain, zone).max().ceil("D")
    return last


def _span(run: Run) -> pd.Timedelta:
    """Return the length of a block: whole days, no shorter than the horizon."""
    seconds = getattr(run.outcome, "seconds", None) or 0.0
    return pd.Timedelta(days=max(1, math.ceil(seconds / 86_400)))


def _both(
    champion: Run, challenger: Run, log: Log, scored: Path | str | None,
    targets: Mapping[str, Any] | None,
) -> tuple[pd.DataFrame, pd.Timestamp]:  # fmt: skip
    """Return the moments that both scored and whose outcome is known, and when all are matured."""
    first = moments_in(champion, log, scored=scored, targets=targets, segments=False)
    table = first.known.rename(columns={"probability": "champion"})
    if scored is None:
        other = moments_in(challenger, log, targets=targets, segments=False).known
        keys = ["session_id", "click", "time"]
        other = other[[*keys, "probability"]].rename(columns={"probability": "challenger"})
        table = table.merge(other, on=keys, how="inner")
    else:
        own = read_scored(scored).get("challenger")
        if own is None or not own.isin([challenger.version, challenger.id]).any():
            raise DataError(
                f"{scored}: none of its scores is of the challenger {challenger.id}; a service "
                "started with --shadow challenger records both."
            )
        both = table["challenger"].isin([challenger.version, challenger.id])
        table = table[both & table["challenger_probability"].notna()]
        table = table.assign(challenger=table["challenger_probability"].astype("float64"))
    visitor = table["visitor_id"].astype(object)
    alone = "session " + table["session_id"].astype(str)
    return table.assign(visitor_id=visitor.where(visitor.notna(), alone)), first.matured
