"""What a log must be like to be scored by a run.

One in another currency, one whose events the run has never seen, or one that lost a column is
refused: its scores would be numbers without a meaning. Where only a part differs, a finding says
so. A run from before these notes is held to what it has: the kinds of its events, and the columns
that had any value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.events.rates import MONEY
from cartcast.features import FeatureSet
from cartcast.findings import Finding, declare, finding
from cartcast.runs.counts import Counts, count, readers_of
from cartcast.runs.reading import Reading
from cartcast.sessions import SessionRules

if TYPE_CHECKING:
    from cartcast.runs.run import Run

__all__ = ["reads_money", "require_currency", "require_same"]

NO_CURRENCY = declare(
    "SC101", "warn", "The log's currency cannot be compared with the run's",
    "If it is another one, every price and every expected amount is wrong by the rate between.",
    "State `currency:` in a layout, or export the column.",
)  # fmt: skip
UNSEEN = declare(
    "SC102", "note", "Events that the run has not seen",
    "They count as events of no known kind, so features see less than they did in training.",
    "Map the words under `events:` in a layout (`cartcast layout FILE`), or train again.",
)  # fmt: skip
FEWER = declare(
    "SC103", "warn", "A column has far fewer values than in training",
    "Features that read it are null, or made of less, more often than the model has learnt.",
    "Check the export and the layout; train on logs like this one if it stays so.",
)  # fmt: skip
SCALE = declare(
    "SC104", "warn", "Prices lie outside those of the training",
    "Another currency, another unit (cents) or another shop: the model has not seen such prices.",
    "Check the currency and the unit; a layout can `divide: 100`.",
)  # fmt: skip
OLD_RUN = declare(
    "SC105", "note", "The run is too old to compare logs in full",
    "Only kinds of events and columns without any value are compared with its training log.",
    "Train again to keep the words and shares of the log with the run.",
)  # fmt: skip

NO_ORDERS = declare(
    "SC106", "warn", "The log came without its orders",
    "In training the outcomes came in a table of their own: what reads purchases sees fewer.",
    "Give the table with --orders, as in training.",
)  # fmt: skip

_HARDLY: Final = 0.05
_MIDDLING: Final = 0.5
_EXPECTED: Final = 3.0
"""Values to be expected of a column from which on none at all is no accident (1 in 20)."""
_FACTOR: Final = 3.0
"""How far the middle price may lie outside the range of 90 % of the training's prices."""


def require_same(log: Log, run: Run, shown: str | None = None) -> list[Finding]:
    """Refuse a log of which the run cannot say anything; return what differs less.

    Raises:
        DataError: other clock, zone, session rules or currency, unknown events, a column lost.
    """
    assert run.features is not None
    told, reading, name = run.data["source"], run.reading, shown or log.path.name
    _require_rules(log, reading, name)
    readers = told.get("read_by") or readers_of(run.features)
    had = set(told.get("columns") or ()) | set(told.get("filled") or ())
    counts = count(log, [c for c in readers if c in log.columns and c in had])
    money = reads_money(run.data, run.features)
    found = require_currency(log.currency, reading.currency, name, money=money)
    if reading.orders and "from_orders" not in log.columns:
        found.append(finding(NO_ORDERS, f"{name} was read without a table of orders."))
    found += _words(counts, run.data, name)
    found += _columns(counts, told, {c: readers[c] for c in readers if c in had}, name)
    found += _scale(counts, told, log.currency or "")
    if "words" not in told:
        found.append(finding(OLD_RUN, f"run {run.id} keeps no words of its events."))
    return found


def require_currency(
    own: str | None, trained: str | None, shown: str, *, money: bool
) -> list[Finding]:
    """Refuse another currency than the run's, where the run reads or says money."""
    if own == trained or not money:
        return []
    if own is None:
        said = f"{shown} states no currency; it is taken as {trained}, as in training."
        return [finding(NO_CURRENCY, said)]
    if trained is None:
        said = f"{shown} is in {own}; the run's own log stated no currency."
        return [finding(NO_CURRENCY, said)]
    raise DataError(
        f"{shown}: in {own}, but the run was trained in {trained}: its prices and amounts would "
        f"mean something else. Convert it (`--rates FILE` with `into: {trained}` and what one "
        f"{own} is worth, as `{own}: 1.23`), or train on a log in {own}."
    )


def _require_rules(log: Log, reading: Reading, shown: str) -> None:
    if log.clock != reading.clock:
        raise DataError(
            f"{shown}: the log's clock is {log.clock!r}, the model was trained on "
            f"{reading.clock!r}; its time features would mean something else. Train on such a "
            "log."
        )
    own, asked = log.zone or "UTC", reading.zone or "UTC"
    if own != asked:
        raise DataError(
            f"{shown}: cleaned by the clock of {own}, the model was trained by that of {asked}: "
            "hours and days would mean something else. Give the log as it was before cleaning."
        )
    made = log.sessions_made and SessionRules.from_dict(log.sessions_made)
    if made and not made.same_as(reading.sessions):
        raise DataError(
            f"{shown}: its sessions were made by {made}, the run's by {reading.sessions}. Give the "
            "log as it was before cleaning."
        )


def reads_money(run: Mapping[str, Any], features: FeatureSet) -> bool:
    """Return whether money goes into a run (a feature reads it) or comes out (an amount)."""
    said = run["models"][run["champion"]]["kind"] == "regressor" or bool(run.get("revenue"))
    return said or bool({*MONEY, "revenue"} & readers_of(features).keys())


def _words(counts: Counts, run: Mapping[str, Any], shown: str) -> list[Finding]:
    told = run["source"]
    words: Mapping[str, Any] = told.get("words") or {}
    kinds = told.get("kinds") or run.get("data", {}).get("event_types") or {}
    seen = {kind for kind, share in kinds.items() if share}
    if not counts.events or not seen:
        return []
    unknown = Counter[str]()
    for (kind, word), n in counts.words.items():
        same = words.get(word, {}).get("kind") == kind or (not words and kind in seen)
        if not (same or (kind != "other" and kind in seen)):
            unknown[word] += n
    missing = unknown.total()
    if not missing:
        return []
    known = 1 - missing / counts.events
    listed = ", ".join(f"{w!r} ({n:,})" for w, n in unknown.most_common(5))
    if known < _HARDLY:
        raise DataError(
            f"{shown}: the run knows {known:.0%} of its events; it has never seen {listed}. Say "
            "what they mean under `events:` in a layout (`cartcast layout FILE`, then --layout), "
            "or train on logs like this one."
        )
    return [
        finding(
            UNSEEN,
            f"{missing:,} of {counts.events:,} events ({1 - known:.1%}) are of words that the run "
            f"has not seen: {listed}.",
            severity="warn" if known < _MIDDLING else "note",
            count=missing,
            known=known,
            words=dict(unknown.most_common(20)),
        )
    ]


def _columns(
    counts: Counts, told: Mapping[str, Any], readers: Mapping[str, Sequence[str]], shown: str
) -> list[Finding]:
    """Hold the values of each column against those that such events had in training."""
    filled: Mapping[str, Mapping[str, float]] = told.get("filled") or {}
    lost, found = [], []
    for column, names in sorted(readers.items()):
        got = sum(counts.values.get(column, {}).values())
        shares = filled.get(column)
        wanted = _EXPECTED
        if shares is not None:
            wanted = sum(n * shares.get(kind, 0.0) for kind, n in counts.kinds.items())
        if not got and wanted >= _EXPECTED:
            lost.append((column, names))
        elif got < 0.5 * wanted and (wanted >= 10 or not got) and wanted >= 1:
            found.append(
                finding(
                    FEWER,
                    f"{column} has {got:,} values where {wanted:,.0f} were to be expected; it is "
                    f"read by {_some(names)}.",
                    count=round(wanted - got),
                    column=column,
                    features=list(names),
                )
            )
    if lost:
        columns = ", ".join(c for c, _ in lost)
        names = sorted({n for _, own in lost for n in own})
        raise DataError(
            f"{shown}: the log has no values in {columns}, which {_some(names)} read. Give a log "
            "with them, name their columns in a layout (`cartcast layout FILE`, then --layout), "
            "or train on logs like this one."
        )
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more features" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _scale(counts: Counts, told: Mapping[str, Any], currency: str) -> list[Finding]:
    trained, own = told.get("prices"), counts.prices
    if not trained or not own or "price" not in (told.get("read_by") or {}):
        return []
    low, middle, high = trained
    if low / _FACTOR <= own[1] <= high * _FACTOR:
        return []
    said = (
        f"the middle price is {own[1]:,.6g} {currency}".rstrip()
        + f"; in training it was {middle:,.6g}, and 90 % lay between {low:,.6g} and {high:,.6g}."
    )
    return [finding(SCALE, said, median=own[1], trained=list(trained))]
