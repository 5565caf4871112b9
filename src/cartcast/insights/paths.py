"""Paths: what sessions do next after an event, or did before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import UsageError, did_you_mean
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.sessions import keep, make_sessions, session_facts
from cartcast.insights.source import Slice, Source, opened

__all__ = ["END", "OTHER", "START", "Flow", "Paths", "paths"]

END = "(end of session)"
START = "(start of session)"
OTHER = "(other)"
UNKNOWN = "(unknown)"


class Flow(NamedTuple):
    """Sessions that went from one step to the next.

    Attributes:
        step: 1 for the flow that touches the anchor, 2 for the one after (or before) it ...
        source: where they were; towards an event the arrow still points forward in time.
        target: where they went.
        sessions: how many.
        share: of all sessions that have the anchor, from 0 to 1.
    """

    step: int
    source: str
    target: str
    sessions: int
    share: float


@dataclass(frozen=True)
class Paths:
    """The next steps from an event, or the last steps to it.

    Attributes:
        anchor: the event (value of `column`) that paths begin from or lead to.
        direction: `from` or `to`.
        column: the column whose values are the steps.
        depth: steps followed.
        collapsed: True when repeats in a row count as one step.
        sessions: sessions that have the anchor.
        flows: by step, largest first.
        findings: those of the log that void shares, or the order of steps.
    """

    anchor: str
    direction: Literal["from", "to"]
    column: str
    depth: int
    collapsed: bool
    sessions: int
    flows: tuple[Flow, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "flows": [f._asdict() for f in self.flows]}


@answered
def paths(
    log: Any,
    anchor: str | None = None,
    *,
    direction: Literal["from", "to"] = "from",
    column: str = "event_type",
    depth: int = 4,
    collapse: bool = True,
    largest: int = 6,
    where: Slice | None = None,
    sessions: Path | str | None = None,
) -> Paths:
    """Return how sessions continue from their first `anchor`, or came to it.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        anchor: a value of `column`; None means the first event's most frequent value for
            `from`, and `purchase` (else the last event's) for `to`.
        direction: `from` the anchor onwards, or `to` it.
        column: whose values are the steps: `event_type`, `page`, `category` ...
        depth: steps to follow, 1 to 8.
        collapse: count repeats in a row as one step.
        largest: values kept apart at each step; smaller ones are folded into "(other)".
        where: only the sessions of this slice.
        sessions: session table written before; spares work with `where`.

    Raises:
        UsageError: the column or the anchor does not exist, or a number is out of range.
    """
    if direction not in ("from", "to"):
        raise UsageError(f"direction must be from or to, got {direction!r}.")
    if not 1 <= depth <= 8 or largest < 1:
        raise UsageError(f"needs 1 <= depth <= 8 and largest >= 1, got {depth} and {largest}.")
    with opened(log) as source:
        name = source.require(column)
        kinds = session_facts(sessions).get("event_types")
        if column == "event_type" and collapse and kinds is not None:
            wanted = _walk_steps(source, sessions, where, kinds, anchor, direction, depth)
        else:
            relation = keep(source, where or Slice(), sessions)
            wanted = _anchor(source, relation, name, anchor, direction)
            _walk(source, relation, name, wanted, direction, depth, collapse)
        count = source.row("SELECT count(*) FROM walks")[0]
        _fold(source, depth, largest)
        flows = tuple(
            Flow(k, *((a, b) if direction == "from" else (b, a)), n, n / count)
            for k in range(1, depth + 1)
            for a, b, n in source.rows(
                f"SELECT n{k - 1}, n{k}, count(*) AS n FROM folded WHERE n{k} IS NOT NULL "
                f"GROUP BY ALL ORDER BY n DESC, n{k - 1}, n{k}"
            )
        )
        told = caveats(source.findings, ordered=True)
        return Paths(wanted, direction, column, depth, collapse, count, flows, told)


def _anchor(source: Source, relation: str, name: str, anchor: str | None, direction: str) -> str:
    seen = dict(
        source.rows(
            f"SELECT {name}::VARCHAR, count(*) FROM {relation} WHERE {name} IS NOT NULL "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    )
    if not seen:
        raise UsageError(f"column {name} has no values here; choose another column or slice.")
    if anchor is None:
        if direction == "to" and "purchase" in seen:
            return "purchase"
        place = "arg_min" if direction == "from" else "arg_max"
        return str(
            source.row(
                f"SELECT v FROM (SELECT {place}({name}::VARCHAR, event_order) AS v FROM {relation} "
                "GROUP BY session_id) WHERE v IS NOT NULL "
                "GROUP BY v ORDER BY count(*) DESC, v LIMIT 1"
            )[0]
        )
    if anchor not in seen:
        raise UsageError(f"no {anchor!r} in column {name}.{did_you_mean(anchor, list(seen)[:200])}")
    return anchor


def _walk_steps(
    source: Source,
    sessions: Path | str | None,
    where: Slice | None,
    kinds: Sequence[str],
    anchor: str | None,
    direction: str,
    depth: int,
) -> str:
    """Make `walks` from the steps that the session table holds; return the anchor."""
    columns = make_sessions(source, sessions)
    condition, parameters = (where or Slice()).condition(source, columns)
    source.connection.execute(
        "CREATE TEMP TABLE went AS SELECT steps, first_event, last_event FROM sessions "
        f"WHERE {condition}",
        parameters,
    )
    codes = {r[0] for r in source.rows("SELECT DISTINCT unnest(steps) FROM went")}
    seen = [kind for k, kind in enumerate(kinds, 1) if k in codes]
    if not seen:
        raise UsageError("column event_type has no values here; choose another slice.")
    if anchor is None and direction == "to" and "purchase" in seen:
        anchor = "purchase"
    elif anchor is None:
        end = "first_event" if direction == "from" else "last_event"
        anchor = str(
            source.row(f"SELECT {end} FROM went GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")[0]
        )
    elif anchor not in seen:
        raise UsageError(f"no {anchor!r} in column event_type.{did_you_mean(anchor, seen)}")
    code = list(kinds).index(anchor) + 1
    cut = "list_slice(steps, place, place + $depth)"
    if direction == "to":
        cut = "list_reverse(list_slice(steps, greatest(place - $depth, 1), place))"
    stop = END if direction == "from" else START
    picks = ", ".join(
        f"coalesce($kinds[l[{k + 1}]], CASE WHEN len(l) = {k} THEN '{stop}' END) AS n{k}"
        for k in range(depth + 1)
    )
    source.connection.execute(
        f"CREATE TEMP TABLE walks AS SELECT {picks} FROM (SELECT {cut} AS l FROM "
        "(SELECT steps, list_position(steps, $code::USMALLINT) AS place FROM went) "
        "WHERE place > 0)",
        {"kinds": list(kinds), "depth": depth, "code": code},
    )
    return anchor


def _walk(
    source: Source,
    relation: str,
    name: str,
    anchor: str,
    direction: str,
    depth: int,
    collapse: bool,
) -> None:
    """Make `walks`: per session with the anchor, the steps n0 (the anchor) to n<depth>."""
    sign = ">" if direction == "from" else "<"
    stop = END if direction == "from" else START
    source.connection.execute(
        "CREATE TEMP TABLE anchors AS SELECT session_id, min(event_order) AS place "
        f"FROM {relation} WHERE {name}::VARCHAR = ? GROUP BY session_id",
        [anchor],
    )
    # Values become small numbers first: sorting lists of numbers is many times faster.
    source.connection.execute(
        f"CREATE TEMP TABLE words AS SELECT word, row_number() OVER (ORDER BY word) AS code FROM "
        f"(SELECT DISTINCT coalesce({name}::VARCHAR, '{UNKNOWN}') AS word FROM {relation})"
    )
    source.connection.execute(
        f"""CREATE TEMP TABLE moves AS
        SELECT e.session_id, abs(e.event_order - a.place) AS away, w.code
        FROM {relation} e JOIN anchors a USING (session_id)
        JOIN words w ON w.word = coalesce(e.{name}::VARCHAR, '{UNKNOWN}')
        WHERE e.event_order {sign}= a.place"""
    )
    if not collapse:
        # Without collapsing only the next events matter: the list stays as short as the depth.
        source.connection.execute(f"DELETE FROM moves WHERE away > {depth * 2}")
    listed = "list(code ORDER BY away)"
    steps = "list_filter(l, (x, i) -> i = 1 OR x <> l[i - 1])" if collapse else "l"
    picks = ", ".join(
        f"coalesce((SELECT word FROM words WHERE code = l[{k + 1}]), "
        f"CASE WHEN len(l) = {k} THEN '{stop}' END) AS n{k}"
        for k in range(depth + 1)
    )
    source.connection.execute(
        f"CREATE TEMP TABLE walks AS SELECT {picks} FROM (SELECT {steps} AS l FROM "
        f"(SELECT session_id, {listed} AS l FROM moves GROUP BY session_id))"
    )


def _fold(source: Source, depth: int, largest: int) -> None:
    """Make `folded`: at each step only the `largest` values keep their name, and the ends."""
    columns = []
    for k in range(depth + 1):
        source.connection.execute(
            f"CREATE TEMP TABLE top{k} AS SELECT n{k} AS v FROM walks "
            f"WHERE n{k} IS NOT NULL AND n{k} NOT IN ('{END}', '{START}') "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?",
            [largest],
        )
        columns.append(
            f"CASE WHEN n{k} IS NULL OR n{k} IN ('{END}', '{START}') THEN n{k} "
            f"WHEN n{k} IN (SELECT v FROM top{k}) THEN n{k} ELSE '{OTHER}' END AS n{k}"
        )
    source.connection.execute(f"CREATE TEMP VIEW folded AS SELECT {', '.join(columns)} FROM walks")
