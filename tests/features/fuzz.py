"""Random feature sets over random logs, held to three truths at once.

    python tests/features/fuzz.py [--programs 10000] [--seed 1] [--from 0] [--jobs 1]

Every program is drawn from the whole algebra and every log has ties, nulls, odd texts and, now and
then, huge counts. The replay after each click must equal the live fold bit for bit, states stored
and loaded in between; half of the logs are tame enough for the slow oracle, and must equal it too;
finished sessions and chosen clicks must be rows of the replay. Case `k` of a seed is always the
same one: a failure names it, and `--from K --programs 1` runs it alone. With CARTCAST_CHECKED=1
every access to memory is checked on the way.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import random
import struct
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import oracle
import pyarrow as pa
from logs import BEGIN, SCHEMA, TYPES, differences, table

from cartcast import features as F
from cartcast.features.folder import Folder
from cartcast.features.passes import find_ends
from cartcast.features.scan import Scan, _encoded, _Encoder, _fold_chunk
from cartcast.features.source import open_source

TEXTS = ("event_type", "item_id", "category", "brand")
NUMBERS = ("price", "quantity", "rank")
ODD = [
    "",
    " ",
    "\x00",
    "a",
    "nan",
    "0",
    "ż",
    "e\u0301",
    "日本",
    "😀" * 9,
    "x" * 31,
    "x" * 32,
    "y" * 257,
]
WILD = [0.0, -0.0, 5e-324, -1e308, 1e308, float("inf"), float("-inf"), 0.1, 1e-9, 2.0**53, 3.0]
SCHEMA = SCHEMA.append(pa.field("brand", pa.string()))


class Draw(random.Random):
    """Draws of one case: a feature set and a log."""

    tame: bool

    # Feature sets -----------------------------------------------------------------------------

    def condition(self, depth: int = 0) -> Any:
        kind = self.randrange(8 if depth < 3 else 5)
        text, number = self.choice(TEXTS), self.choice(NUMBERS)
        if kind == 0:
            text_is = F.Eq(text, self.text(text))
            return text_is if self.random() < 0.7 else F.Eq(number, self.dyadic())
        if kind == 1:
            if self.random() < 0.3:
                return F.In(number, (self.dyadic(), 3.0, 2.5))
            return F.In(text, tuple(self.text(text) for _ in range(self.randint(1, 4))))
        if kind == 2:
            return self.choice([F.Above, F.Below])(number, self.dyadic())
        if kind == 3:
            return F.NotNull(self.choice(TEXTS + NUMBERS))
        if kind == 4:
            return F.SameAsPrevious(self.choice(TEXTS + NUMBERS))
        if kind == 5:
            return self.choice([F.Not, F.Previous])(self.condition(depth + 1))
        several = [self.condition(depth + 1) for _ in range(self.randint(2, 3))]
        return self.choice([F.And, F.Or])(*several)

    def where(self) -> Any:
        return self.condition() if self.random() < 0.5 else None

    def operand(self) -> Any:
        kind = self.randrange(9)
        if kind < 5:
            return self.choice(NUMBERS)
        if kind == 5:
            return F.Gap(self.where())
        if kind == 6:
            return F.Times(*self.sample(NUMBERS, 2), default=self.choice([None, 1.0]))
        if kind == 7:
            return F.Negated(self.operand(), self.condition())
        return F.AboveAverage(self.choice(NUMBERS), by=self.choice(TEXTS), where=self.where())

    def exact(self) -> Any:
        """Draw a feature without rounding: one that may be divided by."""
        column, where = self.choice(TEXTS + NUMBERS), self.where()
        kinds = [F.Count(where=where), F.Count(column, where), F.NUnique(column, where)]
        return self.choice([*kinds, F.Max(self.choice(NUMBERS), where)])

    def feature(self, depth: int = 0) -> Any:
        where = self.where()
        kind = self.randrange(17 if depth < 2 else 15)
        if kind < 3:
            return self.exact()
        if kind < 6:
            return self.choice([F.Sum, F.Min, F.Max, F.Std])(self.operand(), where)
        if kind == 6:
            return self.choice([F.First, F.Last])(self.operand(), where)
        if kind == 7:
            made = self.choice([F.First, F.Last, F.Mode])
            return made(self.choice(TEXTS if depth == 0 else NUMBERS), where)
        if kind == 8:
            return F.Mode(self.choice(NUMBERS), where)
        if kind == 9:
            when = self.condition()
            return self.choice(
                [F.SecondsSince(when), F.SecondsSinceFirst(when), F.SecondsInSession()]
            )
        if kind == 10:
            return F.CountWithin(self.choice([0.5, 45, 3600]), where)
        if kind == 11:
            return F.DecayedCount(
                self.choice([0.7, 60]), where, by=self.choice(["seconds", "clicks"])
            )
        if kind == 12:
            by = self.choice(["seconds", "clicks"])
            return F.DecayedSum(self.operand(), self.choice([2, 300]), where, by=by)
        if kind == 13:
            return self.choice([F.Hour, F.DayOfWeek, F.Month])()
        if kind == 14:
            past = [F.EarlierSessions(), F.EarlierPurchases(), F.DaysSinceLastSession()]
            words = [
                F.EarlierWords("category", self.text("category")),
                F.EarlierWords("brand", "b"),
            ]
            return self.choice([*past, F.EarlierEvents("search"), *words])
        left = self.feature(depth + 1)
        if kind == 15:
            return F.Ratio(left, self.exact())
        return self.choice([F.Difference, F.Total, F.Product])(left, self.feature(depth + 1))

    def features(self) -> F.FeatureSet:
        return F.FeatureSet(**{f"f{k}": self.feature() for k in range(self.randint(1, 6))})

    # Logs -------------------------------------------------------------------------------------

    def text(self, column: str) -> str:
        return self.choice(TYPES if column == "event_type" else ["i0", "i1", "b", *ODD])

    def dyadic(self) -> float:
        """Draw a number whose sums are exact."""
        return self.choice([0.0, 1.0, 2.5, 3.0, -4.25, self.randrange(-4000, 4000) / 4])

    def number(self) -> float | None:
        if self.random() < 0.2:
            return None
        return self.dyadic() if self.tame else self.choice([*WILD, self.gauss(0, 1e6)])

    def log(self) -> list[dict[str, Any]]:
        """Draw a log in order of time; every column is null in some logs, and everywhere in few."""
        huge = not self.tame and self.random() < 0.04
        n = self.randrange(300, 700) if huge else self.choice([1, 2, 5, 12, self.randint(1, 30)])
        sessions = self.randint(1, 2 if huge else 5)
        visitors = [self.choice([None, "u", "v", ""]) for _ in range(sessions)]
        many = self.randrange(2, 600) if huge else self.choice([1, 3, 9])
        bare = {c for c in (*TEXTS, *NUMBERS) if self.random() < 0.08}
        offset = self.choice([None, None, 60, -480, 345])
        now, orders, rows = BEGIN, [0] * sessions, []
        for _ in range(n):
            s = self.randrange(sessions)
            wait = self.choice([0, 0, 0, 1, 15, 45, 60, 3000, 90_000])
            now += dt.timedelta(seconds=wait, microseconds=wait * 7)
            orders[s] += 1
            row = {
                "visitor_id": visitors[s], "session_id": f"s{s}", "event_time": now,
                "event_order": orders[s], "event_type": self.choice([None, *TYPES]),
                "item_id": self.choice([None, f"i{self.randrange(many)}", f"i{self.randrange(many)}"]),
                "category": self.choice([None, *ODD]), "brand": self.choice([None, "b", *ODD]),
                "price": self.number(), "quantity": self.choice([None, 1.0, 2.0]),
                "session_seconds": None, "rank": self.choice([None, 1, -7, 3]), "utc_offset": offset,
            }  # fmt: skip
            rows.append(row | dict.fromkeys(bare))
        return rows


def case(seed: int, number: int) -> tuple[F.FeatureSet, list[dict[str, Any]], Draw]:
    """Return the feature set and the log of a case, and its draws; tame: the oracle can tell."""
    draw = Draw(f"{seed}-{number}")
    draw.tame = draw.random() < 0.5
    return draw.features(), draw.log(), draw


def stepped(features: F.FeatureSet, log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every event live; a state is stored and loaded again now and then, on the way and early."""
    handle = F.program(features)
    states: dict[str, Any] = {}
    pasts: dict[str | None, F.History] = {}
    rows = []
    for k, event in enumerate(log):
        session, visitor = event["session_id"], event["visitor_id"]
        state, new = states.get(session), session not in states
        if new:
            known = pasts.get(visitor, F.History()) if visitor is not None else None
            state = handle.start(known)
        if k % 5 == 0:
            state = features.load(features.dump(state))
        handle.step(handle.encode(event), state)
        states[session] = state
        rows.append(handle.decode(state))
        if visitor is not None:
            when = F.microseconds(event["event_time"])
            pasts[visitor] = pasts.get(visitor, F.History()).after(
                event["event_type"],
                when,
                new,
                *(f"{c}={event.get(c)}" for c in ("category", "brand")),
            )
    return rows


def same(found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> bool:
    """Whether two tables are the same to the bit; minus zero is not zero."""
    return len(found) == len(truth) and all(
        a == b or (type(a) is float is type(b) and struct.pack("<d", a) == struct.pack("<d", b))
        for f, t in zip(found, truth, strict=True)
        for a, b in zip(f.values(), t.values(), strict=True)
    )  # fmt: skip


def disguised(draw: Draw, log: list[dict[str, Any]]) -> pa.Table:
    """Return a log as a table whose texts lie in memory in one of the ways that Arrow has."""
    events = table([log[0], *log]).append_column(
        "brand", pa.array([e["brand"] for e in [log[0], *log]], pa.string())
    )
    for name in ("session_id", "visitor_id", *TEXTS):
        kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
                 pa.dictionary(pa.int32(), pa.large_string())]  # fmt: skip
        column = events.column(name)
        kind = draw.choice(kinds)
        if pa.types.is_dictionary(kind):
            column = column.dictionary_encode()
        if column.type != kind and len(column.unique()) < 100:
            column = column.cast(kind)
        events = events.set_column(events.schema.get_field_index(name), name, column)
    return events.slice(1)  # so that nothing begins where its memory does


def folded(features: F.FeatureSet, events: pa.Table, rows: int, grouped: bool) -> pa.Table:
    """Replay in this thread, some rows at a time: most of a small replay's cost is its threads."""
    source = open_source(events)
    source.check(features.program)
    ends = None if grouped else find_ends(source)
    what = Scan(source, features.program, "every click", ends, 1, rows)
    encoder, folders = _Encoder(what), [Folder(features.program, 0, 1)]
    made = [_fold_chunk(what, encoder, folders, None, c) for c in _encoded(encoder)]
    return pa.Table.from_batches(made, schema=what.schema)


def check(seed: int, number: int) -> None:
    """Check one case.

    Raises:
        AssertionError: naming it.
    """
    features, log, draw = case(seed, number)
    grouped = number % 8 == 7
    if grouped:
        log.sort(key=lambda event: event["session_id"])
    told = f"case {number} of seed {seed}: {features!r}\n{log!r}"
    events = disguised(draw, log)
    if number % 4:
        whole = folded(features, events, draw.choice([1, 3, 8, 1000]), grouped)
    else:
        whole = features.replay(events, threads=1 + number % 3)
    rows = whole.select(list(features.names)).to_pylist()
    live = stepped(features, log)
    assert same(rows, live), f"live is not the replay: {differing(rows, live)}\n{told}"
    if draw.tame:
        found = differences(rows, oracle.replay(features, log), log)
        assert found == [], f"the replay is not the oracle's: {found}\n{told}"
    last = {e["session_id"]: k for k, e in enumerate(log)}
    if number % 16 == 0:
        ends = features.replay(events, at="end").to_pylist()
        truth = [{"session_id": s, **rows[k]} for s, k in sorted(last.items(), key=lambda x: x[1])]
        assert same(ends, truth), f"ends are not rows of the replay\n{told}"
    if number % 16 == 4:
        chosen = features.replay(events, at=[1, 3]).to_pylist()
        truth = [row for row in whole.to_pylist() if row["click"] in (1, 3)]
        assert same(chosen, truth), f"clicks are not rows of the replay\n{told}"


def differing(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[Any]:
    """The first few values that differ."""
    pairs = enumerate(zip(rows, others, strict=True))
    return [
        (k, n, a[n], b[n]) for k, (a, b) in pairs for n in a if not same([{n: a[n]}], [{n: b[n]}])
    ][:4]


def checked(seed: int, numbers: range) -> float:
    """Check cases; return the CPU seconds that it took."""
    begin = time.process_time()
    for number in numbers:
        check(seed, number)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    from cartcast.features.kernels.compiled import CHECKED

    begin, end = time.perf_counter(), asked.first + asked.programs
    parts = [range(k, min(k + 250, end)) for k in range(asked.first, end, 250)]
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        cpu = sum(pool.map(checked, itertools.repeat(asked.seed), parts))
    took = time.perf_counter() - begin
    mode = "checked" if CHECKED else "raw"
    print(
        f"{asked.programs} programs and logs, seed {asked.seed}, {mode}: {took:.0f} s, {cpu:.0f} CPU s"
    )


if __name__ == "__main__":
    main()
