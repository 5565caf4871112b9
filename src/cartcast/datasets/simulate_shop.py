"""A shop with known truth: a click log of any size, and what could be known at every click."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cartcast.atomic import atomic_path
from cartcast.datasets import simulate_model as model
from cartcast.datasets import simulate_write as write
from cartcast.datasets.simulate_model import Shop
from cartcast.errors import UsageError

__all__ = ["Arm", "Simulation", "simulate"]


@dataclass(frozen=True)
class Arm:
    """One arm of a simulated experiment.

    `share` is its share of visitors; `lift` the relative change it makes to the probability that
    an order with payment details goes through, which is exactly the relative change of a visit's
    probability of purchase and of its expected revenue.
    """

    name: str
    share: float
    lift: float = 0.0


@dataclass(frozen=True)
class Simulation:
    """A finished simulation: tables or files, and counts of what is in them.

    `events` and `truth` are Arrow tables, or None when written to `out` and `truth_out`. Revenue
    is in EUR; `start` and `end` are the times of the first and last event (UTC).
    """

    out: Path | None
    truth_out: Path | None
    events: pa.Table | None
    truth: pa.Table | None
    counts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "out": None if self.out is None else str(self.out),
            "truth": None if self.truth_out is None else str(self.truth_out),
            **self.counts,
        }


_TEXT = pa.string()
_TIME = pa.timestamp("us")
EVENT_SCHEMA = pa.schema(
    [
        ("event_id", _TEXT),
        ("visitor_id", _TEXT),
        ("session_id", _TEXT),
        ("event_time", _TIME),
        ("event_order", pa.int64()),
        ("event_type", _TEXT),
        ("item_id", _TEXT),
        ("category", _TEXT),
        ("brand", _TEXT),
        ("color", _TEXT),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("currency", _TEXT),
        ("order_id", _TEXT),
        ("known_time", _TIME),
        ("country", _TEXT),
        ("device", _TEXT),
        ("channel", _TEXT),
        ("campaign", _TEXT),
        ("page", _TEXT),
    ]
)
TRUTH_SCHEMA = pa.schema(
    [
        ("session_id", _TEXT),
        ("event_order", pa.int64()),
        ("click", pa.int64()),
        ("event_id", _TEXT),
        ("p_purchase", pa.float64()),
        ("expected_revenue", pa.float64()),
    ]
)
_EVENT_OF_PAGE = [
    "page_view", "view_item_list", "search", "view_item", "add_to_cart", "remove_from_cart",
    "begin_checkout", "add_payment_info", "purchase", "page_view",
]  # fmt: skip
_PAGE_NAME = [
    "home", "list", "search", "item", "cart", "cart", "checkout", "payment", "thanks", "account",
]  # fmt: skip


def simulate(
    sessions: int,
    seed: int = 0,
    out: Path | str | None = None,
    truth: Path | str | bool | None = None,
    experiment: tuple[Arm, ...] = (),
    *,
    start: date | None = None,
    days: int = 90,
    late: float = 0.005,
    twice: float = 0.002,
    disorder: bool = False,
    shop: Shop | None = None,
    chunk: int = 20_000,
    progress: Callable[[str, float | None], None] | None = None,
) -> Simulation:
    """Simulate exactly `sessions` visits to a shop.

    Args:
        sessions: number of sessions, at least 1.
        seed: the same seed gives the same log, whatever `chunk` is.
        out: file for the events (.parquet, .csv, .jsonl, the latter two also with .gz), in time
            order; None returns a table.
        truth: file for the truth, or True for a table, or None.
        experiment: arms with their known effect; visitors are assigned at random.
        start: first day (default 2025-03-03); `days`: number of days.
        late: share of events that become known late (`known_time`).
        twice: share of events that arrive twice, the second time with the same `event_id`.
        disorder: write the rows as they became known instead of as they happened.
        shop: the shop's parameters.
        chunk: visits worked on at once; memory follows it.
        progress: called with a text and the share done.

    Raises:
        UsageError: an argument breaks its rule, or a suffix is unknown.
    """
    _check(sessions, seed, days, late, twice, experiment, chunk)
    stream = _Stream(
        shop or Shop(), sessions, seed, experiment, start or date(2025, 3, 3), days, late, twice,
        disorder, chunk,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        out_path = None if out is None else Path(out)
        truth_path = None if truth is None or isinstance(truth, bool) else Path(truth)
        tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])
        put_events = _target(stack, out_path, stream.schema, tables[0])
        put_truth = _target(stack, truth_path, TRUTH_SCHEMA, tables[1])
        for events, known in stream.tables(wants_truth=bool(truth)):
            put_events(events)
            if truth:
                put_truth(known)
            if progress is not None:
                progress("simulating", stream.made / sessions)
    return Simulation(
        out_path,
        truth_path,
        None if out_path else pa.concat_tables(tables[0]),
        pa.concat_tables(tables[1]) if truth and truth_path is None else None,
        stream.counts(),
    )


def _target(
    stack: contextlib.ExitStack, path: Path | None, schema: pa.Schema, tables: list[pa.Table]
) -> Callable[[pa.Table], None]:
    if path is None:
        return tables.append
    suffix = write.suffix_of(path)
    temporary = stack.enter_context(atomic_path(path))
    return stack.enter_context(write.open_writer(temporary, schema, suffix))


def _check(
    sessions: int,
    seed: int,
    days: int,
    late: float,
    twice: float,
    arms: tuple[Arm, ...],
    chunk: int,
) -> None:
    for name, value in (("sessions", sessions), ("days", days), ("chunk", chunk)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed must fulfil 0 <= seed < 2**63, got {seed}.")
    for name, share in (("late", late), ("twice", twice)):
        if not 0 <= share < 1:
            raise UsageError(f"{name} must fulfil 0 <= {name} < 1, got {share}.")
    if arms and (len({a.name for a in arms}) < len(arms) or len(arms) < 2):
        raise UsageError("an experiment needs two arms or more, each with its own name.")
    if arms and (abs(sum(a.share for a in arms) - 1) > 1e-9 or min(a.share for a in arms) <= 0):
        raise UsageError("the arms' shares must be positive and add up to 1.")
    paid = Shop().paid
    for arm in arms:
        if not 0 <= paid * (1 + arm.lift) <= 1:
            raise UsageError(
                f"arm {arm.name!r}: lift must fulfil -1 <= lift <= {1 / paid - 1:.3f}, "
                f"got {arm.lift}."
            )


class _Stream:
    """Makes the log piece by piece, in time order."""

    def __init__(
        self,
        shop: Shop,
        sessions: int,
        seed: int,
        arms: tuple[Arm, ...],
        start: date,
        days: int,
        late: float,
        twice: float,
        disorder: bool,
        chunk: int,
    ) -> None:
        from cartcast.datasets.simulate_visits import Plan
        from cartcast.datasets.truth import solve

        self.shop, self.sessions, self.seed, self.arms = shop, sessions, seed, arms
        self.disorder, self.chunk = disorder, chunk
        self.plan = Plan(shop, sessions, seed, start, days)
        self.noise = (late, 14_400.0, twice)
        goods = model.catalogue()
        self.goods = goods
        deviation = goods.mean - goods.cat_share @ goods.mean
        self.tables_of_shop = (
            model.landing(),
            model.chain(),
            model.choices(),
            model.tier_share(),
            (goods.cat, goods.tier, goods.price, goods.share, goods.first, goods.cumulative,
             deviation, goods.cat_share),
            tuple(solve(shop)),
        )  # fmt: skip
        self.schema = EVENT_SCHEMA.append(pa.field("arm", _TEXT)) if arms else EVENT_SCHEMA
        self.made = 0
        self.totals: dict[str, Any] = {
            "events": 0, "sessions": 0, "visitors": 0, "purchase_sessions": 0, "purchases": 0,
            "revenue": 0.0, "bot_sessions": 0, "late_events": 0, "repeated_events": 0,
            "start": None, "end": None,
        }  # fmt: skip

    def counts(self) -> dict[str, Any]:
        totals = dict(self.totals)
        totals["visitors"] = self.plan.visitors
        totals["conversion"] = totals["purchase_sessions"] / totals["sessions"]
        totals["seed"] = self.seed
        if self.arms:
            totals["arms"] = {a.name: {"share": a.share, "lift": a.lift} for a in self.arms}
        return totals

    def tables(self, wants_truth: bool) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Yield (events, truth) in time order; rows wait until nothing can come before them."""
        waiting: list[dict[str, np.ndarray]] = []
        for day in range(self.plan.days):
            visits = self.plan.day(day)
            for lo in range(0, len(visits), self.chunk):
                part = visits[lo : lo + self.chunk]
                until = part.start[0]
                waiting = yield from self._flush(waiting, int(until), wants_truth)
                waiting.append(self._visits(part))
                self.made += len(part)
        yield from self._flush(waiting, None, wants_truth)

    def _flush(
        self, waiting: list[dict[str, np.ndarray]], until: int | None, wants_truth: bool
    ) -> Any:
        if not waiting:
            return waiting
        rows = {k: np.concatenate([w[k] for w in waiting]) for k in waiting[0]}
        by = rows["known"] if self.disorder else rows["time"]
        ready = np.ones(len(by), bool) if until is None else by < until
        left = [{k: v[~ready] for k, v in rows.items()}] if not ready.all() else []
        if ready.any():
            keys = (rows["order"], rows["visitor"], rows["known" if self.disorder else "time"])
            order = np.lexsort(tuple(k[ready] for k in keys))
            yield self._table({k: v[ready][order] for k, v in rows.items()}, wants_truth)
        return left

    def _visits(self, part: Any) -> dict[str, np.ndarray]:
        from cartcast.datasets import simulate_kernel as kernel

        channel, campaign, readiness, sensitive, bot_share = self.plan.context(part)
        prior = model.prior(readiness, sensitive, bot_share)
        arm = self._assign(part.visitor)
        lift = np.array([a.lift for a in self.arms] or [0.0])
        paid = self.shop.paid * (1 + lift[arm])
        landing, chain, choices, tier_share, goods, values = self.tables_of_shop
        numbers = (
            self.shop.switch, self.shop.post, self.shop.extra_unit, kernel.HUMAN_SPREAD,
            np.array(kernel.HUMAN_GAP), np.array(kernel.BOT_GAP),
        )  # fmt: skip
        n = len(part)
        ends = tuple(np.zeros(n, t) for t in (np.int64,) * 3 + (np.float64,) + (np.int64,) * 2)
        size = n * 8 + 2 * kernel.LONGEST_VISIT
        pieces: list[dict[str, np.ndarray]] = []
        done = 0
        while done < n:
            out = {
                "visit_row": np.empty(size, np.int64), "order": np.empty(size, np.int64),
                "time": np.empty(size, np.int64), "known": np.empty(size, np.int64),
                "page": np.empty(size, np.int64), "item": np.empty(size, np.int64),
                "cat": np.empty(size, np.int64), "qty": np.empty(size),
                "source": np.empty(size, np.int64), "p": np.empty(size), "r": np.empty(size),
            }  # fmt: skip
            done, rows = kernel.visits(
                done, n, self.seed, part.visitor, part.visit, part.start, prior, channel, paid,
                landing, chain, choices, tier_share, goods, values, numbers, self.noise,
                tuple(out.values()), ends,
            )  # fmt: skip
            pieces.append({k: v[:rows] for k, v in out.items()})
        rows_of = {k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}
        end, events, bought, revenue, cart, bot = ends
        self.plan.come_back(part, end, events, bought, cart, bot)
        totals = self.totals
        totals["sessions"] += n
        totals["purchase_sessions"] += int((bought > 0).sum())
        totals["purchases"] += int(bought.sum())
        totals["revenue"] += float(revenue.sum())
        totals["bot_sessions"] += int(bot.sum())
        at = rows_of.pop("visit_row")
        for name, values_of in (
            ("visitor", part.visitor), ("visit", part.visit), ("country", part.country),
            ("device", part.device), ("channel", channel), ("campaign", campaign), ("arm", arm),
        ):  # fmt: skip
            rows_of[name] = values_of[at]
        return rows_of

    def _assign(self, visitor: np.ndarray) -> np.ndarray:
        from cartcast.datasets import simulate_kernel as kernel
        from cartcast.datasets.simulate_visits import pick

        if not self.arms:
            return np.zeros(len(visitor), np.int64)
        u = kernel.uniforms(self.seed, visitor, np.zeros(len(visitor), np.int64), 6, 1)[:, 0]
        return pick(np.array([a.share for a in self.arms]), u)

    def _table(
        self, rows: dict[str, np.ndarray], wants_truth: bool
    ) -> tuple[pa.Table, pa.Table | None]:
        shop, goods, n = self.shop, self.goods, len(rows["time"])
        item = rows["item"]
        priced = item >= 0
        bought = rows["page"] == 8
        session = write.names("s", rows["visitor"], rows["visit"])
        event = write.names("e", rows["visitor"], rows["visit"], rows["source"])
        order = write.names("o", rows["visitor"], rows["visit"])
        columns = {
            "event_id": event,
            "visitor_id": write.names("v", rows["visitor"]),
            "session_id": session,
            "event_time": pa.array(rows["time"]).cast(_TIME),
            "event_order": pa.array(rows["order"]),
            "event_type": write.take(_EVENT_OF_PAGE, rows["page"]),
            "item_id": write.take(goods.item, item),
            "category": write.take([goods.category[i] for i in goods.first[:-1:3]], _shown(rows)),
            "brand": write.take(goods.brand, item),
            "color": write.take(goods.color, item),
            "price": pa.array(goods.price[item], mask=~priced),
            "quantity": pa.array(np.where(rows["qty"] > 0, rows["qty"], 1.0), mask=~priced),
            "currency": write.take(["EUR"], np.where(priced, 0, -1)),
            "order_id": pa.array(order.to_numpy(zero_copy_only=False), _TEXT, mask=~bought),
            "known_time": pa.array(rows["known"]).cast(_TIME),
            "country": write.take([c[0] for c in shop.countries], rows["country"]),
            "device": write.take([d[0] for d in shop.devices], rows["device"]),
            "channel": write.take([c[0] for c in shop.channels], rows["channel"]),
            "campaign": write.take([c[0] for c in shop.campaigns], rows["campaign"]),
            "page": write.take(_PAGE_NAME, rows["page"]),
        }
        if self.arms:
            columns["arm"] = write.take([a.name for a in self.arms], rows["arm"])
        totals = self.totals
        totals["events"] += n
        first_copy = np.concatenate([[True], rows["source"][1:] >= 0])
        del first_copy
        totals["late_events"] += int((rows["known"] > rows["time"]).sum())
        low, high = int(rows["time"].min()), int(rows["time"].max())
        for name, value, better in (("start", low, min), ("end", high, max)):
            when = datetime(1970, 1, 1) + timedelta(microseconds=value)
            totals[name] = when if totals[name] is None else better(totals[name], when)
        known = None
        if wants_truth:
            known = pa.table(
                [session, columns["event_order"], columns["event_order"], event,
                 pa.array(rows["p"]), pa.array(rows["r"])],
                schema=TRUTH_SCHEMA,
            )  # fmt: skip
        return pa.table(columns, schema=self.schema), known


def _shown(rows: dict[str, np.ndarray]) -> np.ndarray:
    """Return the category index seen in each event: of lists, searches and items only."""
    seen = np.isin(rows["page"], (1, 2)) | (rows["item"] >= 0)
    return np.where(seen, rows["cat"], -1)
