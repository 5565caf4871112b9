"""A stored run as a live scorer: the compiled fold, the exported arrays, nothing between them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cartcast.errors import DataError, NotTrustedError, UsageError
from cartcast.features import FeatureSet
from cartcast.features.kernels.compiled import CHECKED
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.features.shop_clock import ShopClock
from cartcast.features.state import MOST_KEPT, History
from cartcast.features.state import State as FoldState
from cartcast.live.arrays import RowModel, SegmentModel, bind
from cartcast.live.event import Event
from cartcast.live.fold import Columns, Fold, Row
from cartcast.live.problems import Problem
from cartcast.live.queue import Queue
from cartcast.live.scorer import Past, Reason, Score
from cartcast.live.session import Rules
from cartcast.live.states import Desks, LiveState
from cartcast.models.arrays import arrays_from
from cartcast.models.exported import exported_of
from cartcast.runs.foreign import reads_money
from cartcast.runs.reading import Reading
from cartcast.runs.run import Run
from cartcast.targets import Target, parse_target

if TYPE_CHECKING:
    from cartcast.live.at_once import AtOnce

__all__ = ["ModelScorer", "load_scorer"]

DAY_ZERO = datetime(1970, 1, 1)


_encode = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(
    tuple[bytes, tuple[str, ...], tuple[int, int | None, dict[str, int]] | None, bool, bytes]
).decode


class ModelScorer:
    """Folds events and predicts with a run's champion.

    Attributes:
        version: run id and model, as in stored scores.
        fingerprint: of the states: of their feature set, and of the shop's zone.
        reads_history: whether features read the visitor's earlier sessions.
        rules: of the sessions that the run was trained on.
    """

    def __init__(
        self,
        run: Mapping[str, Any],
        features: FeatureSet,
        champion: Any,
        amount: tuple[RowModel | None, float] | None,
        segments: tuple[FeatureSet, SegmentModel] | None,
        missing: Mapping[str, str],
    ) -> None:
        reading = Reading.from_run(run)
        clock, zone, sessions = reading.clock, reading.zone, reading.sessions
        assert clock is not None
        self.version = f"{run['run_id']}/{run['champion']}"
        self.fingerprint = features.fingerprint
        if zone not in (None, "UTC"):
            # States hold times by this zone's clock: a model of another must not go on with them.
            self.fingerprint = hashlib.sha256(f"{self.fingerprint}\n{zone}".encode()).hexdigest()
        self.features = features
        self._currency = reading.currency
        self._reads_money = self._currency is not None and reads_money(run, features)
        self._rates = reading.rates
        self._shop_time = ShopClock(zone).local
        self.rules = Rules(sessions, zone, late_window=min(Rules.late_window, sessions.gap / 2))
        self.run = run
        self._missing = dict(missing)
        self._outcome = _outcome_of(run.get("target", {}))
        self._fold = Fold(features, clock, zone)
        self.reads_history = bool(features.program.history)
        behind = (features,) if segments is None else (features, segments[0])
        self.history_types = frozenset(k for s in behind for k in s.program.history_kinds)
        self._champion = champion
        self._amount = amount
        self._segments: tuple[Fold, SegmentModel] | None = None
        self._declared = ""
        if segments is not None:
            declared, model = segments
            fold = Fold(declared, clock, zone)
            self._segments = (fold, model)
            self._declared = declared.fingerprint
            self.reads_history = self.reads_history or bool(declared.program.history)
            self._columns = Columns([self._fold, fold])
        else:
            self._columns = self._fold.columns
        self._folds = [self._fold] if self._segments is None else [self._fold, self._segments[0]]
        self._held = tuple(sorted({k for fold in self._folds for k in fold.held}))
        self._bare = Desks(self._fold, None, "")
        self._desks = self._bare
        if self._segments is not None:
            self._desks = Desks(self._fold, self._segments[0], self._declared)
        self._queue = Queue(self._folds, self._columns)
        self._at_once = self._bind()
        self._in_order = np.arange(len(features.names))

    def _bind(self) -> AtOnce | None:
        """Return the one call that folds and scores, where all models are arrays."""
        from cartcast.live.at_once import AtOnce

        amount = None if self._amount is None else self._amount[0]
        segments = None if self._segments is None else self._segments[1]
        if CHECKED or not isinstance(self._champion, RowModel):
            return None
        return AtOnce(self._queue, self._champion, amount, segments)

    def start(self, past: Past | None = None) -> LiveState:
        """Return the state before a session's first event."""
        history = None if past is None else History(past.sessions, past.last, past.counts)
        return LiveState(self._desks, history)

    def let_go(self) -> None:
        """Keep nothing of sessions and their events but what their states hold."""
        self._queue.let_go()

    def step(self, state: LiveState, event: Event) -> LiveState:
        """Fold one event, in place; by the time that somebody asks for the state."""
        columns = self._columns
        if state.desks is not self._desks and state.desks is not self._bare:
            self._adopt(state)
        self._queue.add(state, columns.read(event, state.past))
        state.past = None
        if event.event_type == self._outcome:
            state.over = True
        texts = state.texts
        for k in self._held:
            text = columns.texts[k]
            if text is not None and text not in texts:
                state.texts = texts = (*texts, columns.share(text))
                if len(texts) > MOST_KEPT:
                    texts = self._needed(state, state.desks.read(state))
                    # Many are looked up by their hash, not one after another.
                    texts = dict.fromkeys(texts) if len(texts) > MOST_KEPT else texts
                    state.texts = texts
        return state

    def _adopt(self, state: LiveState) -> None:
        """Take over a state of another scorer; of other segments, their part is dropped."""
        if state.desks.declared != self._declared:
            state.data, state.open = state.desks.packed(state), None
            state.desks = self._bare

    def _needed(self, state: LiveState, parts: Iterable[FoldState]) -> tuple[str, ...]:
        """Return the texts that features may still give out."""
        found: set[int] = set()
        for part in parts:
            for fold in self._folds:
                if part.features == fold.features.fingerprint:
                    found |= fold.needed(part)
        return tuple(text for text in state.texts if hash_text(text) in found)

    def check(self, event: Event) -> None:
        """Refuse an event that this model cannot read; convert its money by the run's rates.

        Raises:
            Problem: 422 naming the column: money in another currency, an own column of no number.
        """
        if event.currency is not None and event.currency != self._currency:
            self._converted(event)
        if not self._columns.reads_extra or not event.extra:
            return
        try:
            self._columns.read(event)
        except DataError as error:
            name, _, rule = str(error).partition(": ")
            field = f"extra.{name}"
            raise Problem(422, f"{field} {rule}", field=field, rule=rule) from None

    def _converted(self, event: Event) -> None:
        """Put the event's money into the run's currency."""
        if self._currency is None or not self._reads_money:
            return
        rate = None
        if self._rates is not None:
            day = None
            if isinstance(event.event_time, int):
                day = DAY_ZERO + timedelta(microseconds=self._shop_time(event.event_time))
            rate = self._rates.rate(event.currency or self._currency, day and day.date())
        if rate is None:
            rule = f"must be {self._currency}, the currency that the model was trained in"
            if self._rates is not None:
                rule += ", or have a rate in the run's rates"
            raise Problem(
                422, f"currency {rule}, got {event.currency}", field="currency", rule=rule
            )
        event.price = None if event.price is None else event.price * rate
        event.currency = self._currency

    def copy(self, state: LiveState) -> LiveState:
        """Return an independent copy."""
        return state.desks.copy(state)

    def score(self, state: LiveState) -> Score:
        """Return the prediction for the session as it stands."""
        return self.scores((state,))[0]

    def scores(self, states: Sequence[LiveState]) -> list[Score]:
        """Return the predictions; of sessions that had an event just now all in one call."""
        at_once, queue = self._at_once, self._queue
        known = []
        if at_once is not None:
            known = [s for s in states if s.queue is queue and not s.over]
        if not known or at_once is None:
            return [self._score(state) for state in states]
        if len(states) == 1:
            p, amount, name = at_once.one(states[0])
            own = states[0].desks.declared == self._declared
            return [Score(p, self._revenue(p, amount), name if own else None)]
        found = {}
        for state, p, amount, name in zip(known, *at_once(known), strict=True):
            own = state.desks.declared == self._declared
            found[id(state)] = Score(p, self._revenue(p, amount), name if own else None)
        return [found.get(id(state)) or self._score(state) for state in states]

    def _score(self, state: LiveState) -> Score:
        """Return the prediction for one session, whose features may have to be read first."""
        state.fold()
        rows = self._queue.row(state)
        segment = None
        if self._segments is not None and state.desks.declared == self._declared:
            fold, segments = self._segments
            segment = segments.name(rows[1] if rows else fold.row(state.desk.states[1]))
        if state.over:
            return Score(None, None, segment, f"after {self._outcome}: no model was asked there")
        return self._score_of(rows[0] if rows else self._fold.row(state.desk.states[0]), segment)

    def _score_of(self, row: Row, segment: str | None = None) -> Score:
        p = self._champion.probability(row)
        model = None if self._amount is None else self._amount[0]
        amount = None if model is None else model.raw(row)
        return Score(p, self._revenue(p, amount), segment)

    def _revenue(self, p: float, amount: float | None) -> float | None:
        """Return the expected revenue by a probability and the logarithm of the amount."""
        if self._amount is None:
            return None
        factor = self._amount[1]
        return p * factor if amount is None else p * math.exp(amount) * factor

    def score_row(self, values: Mapping[str, float | str | None]) -> Score:
        """Return the prediction for one row of features by name.

        Raises:
            Problem: 422 naming a feature that is missing, unknown or of the wrong type.
        """
        return self._score_of(self._row_of(values))

    def reasons(self, state: LiveState, most: int) -> list[Reason]:
        """Return what moves the probability most: with each feature against without it."""
        words = self.words(state)
        whole = self._champion.probability(Row(words, self._in_order))
        values = self.values(state)
        null = np.array([math.nan]).view(np.int64)[0]
        found = []
        for k, (name, text) in enumerate(zip(self.features.names, self._text, strict=True)):
            without = words.copy()
            without[k] = NOTHING if text else null
            effect = whole - self._champion.probability(Row(without, self._in_order))
            if effect:
                found.append(Reason(name, values[name], effect))
        return sorted(found, key=lambda r: -abs(r.effect))[:most]

    def describe(self) -> dict[str, Any]:
        """Return what there is to say of the model, as plain data."""
        return {
            "version": self.version,
            "run_id": self.run["run_id"],
            "model": self.run["champion"],
            "created": self.run.get("created"),
            "target": self.run["target"]["name"],
            "feature_set": self.features.fingerprint,
            "features": [
                {"name": name, "unit": feature.unit, "dtype": feature.dtype}
                for name, feature in self.features.features.items()
            ],
            "not_live": self._missing,
        }

    def words(self, state: LiveState) -> Any:
        """Return the features in order as words: bits of numbers, hashes of texts."""
        state.fold()
        return self._fold.row(state.desk.states[0]).in_order()

    def values(self, state: LiveState) -> dict[str, float | str | None]:
        """Return the features by name; None where undefined."""
        state.fold()
        return self._fold.named(self._parts(state, *state.desk.states)[0][1])

    def pack(self, state: LiveState) -> bytes:
        """Return the state as bytes for sessions at rest in this process."""
        past, parts = state.past, state.desks.read(state)
        # Whole words deflate better than packed ones.
        plain = b"".join(p.words.tobytes() + p.pool[: p.pool[0]].tobytes() for p in parts)
        texts = self._needed(state, parts)
        held = None if past is None else (past.sessions, past.latest, dict(past.counts))
        return _encode((plain, texts, held, state.over, _mark(state.desks.declared)))

    def unpack(self, data: bytes) -> LiveState:
        """Return the state of what `pack` returned."""
        plain, texts, past, over, mark = _unpack(data)
        desks = self._desks if mark == _mark(self._declared) else self._bare
        state = desks.of_plain(plain)
        state.past = None if past is None else History(*past)
        state.texts, state.over = texts, over
        return state

    def weight(self, state: LiveState) -> int:
        """Return about how many bytes a state takes."""
        return state.desks.weight(state)

    def dump(self, state: LiveState) -> bytes:
        """Return the states as bytes, each with its feature set's fingerprint in front."""
        opened = state.desks.read(state) or state.desk.states
        for part in opened:
            part.past = state.past
        parts = self._parts(state, *opened)
        model, *segment = (fold.features.dump(part) for fold, part in parts)
        held = (model, segment[0] if segment else None)
        return _encode((*held, True) if state.over else held)

    def load(self, data: bytes) -> LiveState:
        """Return the states of bytes that `dump` made, open; a copy takes fewer bytes.

        A segment state of another declaration is dropped: the segment is null until the next
        session.

        Raises:
            NotTrustedError: the bytes belong to another feature set.
        """
        packed, packed_segment, *over = msgspec.msgpack.decode(data)
        model, segment = self.features.load(packed), None
        if packed_segment is not None and self._segments is not None:
            with suppress(NotTrustedError):
                segment = self._segments[0].features.load(packed_segment)
        desks = self._desks if segment is not None else self._bare
        state = desks.of([model] if segment is None else [model, segment])
        state.past, state.over = model.past, bool(over)
        texts = model.texts | ({} if segment is None else segment.texts)
        state.texts = tuple(map(self._columns.share, texts.values()))
        return state

    def _parts(
        self, state: LiveState, model: FoldState, segment: FoldState | None = None
    ) -> list[tuple[Fold, FoldState]]:
        """Return the open states that this scorer can read, with their folds, and their texts."""
        parts = [(self._fold, model)]
        if segment is not None and self._segments and state.desks.declared == self._declared:
            parts.append((self._segments[0], segment))
        texts = {hash_text(text): text for text in state.texts}
        for _, part in parts:
            part.texts = texts
        return parts

    @property
    def _text(self) -> tuple[bool, ...]:
        return self.features.program.text

    def _row_of(self, values: Mapping[str, float | str | None]) -> Row:
        names, text = self.features.names, self._text
        for name in values:
            if name not in self.features.features:
                raise Problem(422, f"{name} is no feature", field=name, rule="is no feature")
        words = np.empty(len(names), np.int64)
        real = words.view(np.float64)
        for k, name in enumerate(names):
            if name not in values:
                raise Problem(422, f"{name} must be given", field=name, rule="must be given")
            value = values[name]
            if text[k]:
                if value is not None and not isinstance(value, str):
                    raise Problem(422, f"{name} must be text", field=name, rule="must be text")
                words[k] = NOTHING if value is None else hash_text(value)
            else:
                if isinstance(value, str):
                    raise Problem(
                        422, f"{name} must be a number", field=name, rule="must be a number"
                    )
                real[k] = math.nan if value is None else value
        return Row(words, self._in_order)


def _mark(declared: str) -> bytes:
    return bytes.fromhex(declared[:16])


def _outcome_of(told: Mapping[str, Any]) -> str | None:
    """Return the kind of event after which no row of training lies; None for a proxy."""
    asked = told.get("asked", told.get("name"))
    if asked is None or told.get("kind") == "proxy":
        return None
    target = parse_target(asked)
    return target.event_type if isinstance(target, Target) else None


def load_scorer(name: Path | str | Run) -> ModelScorer:
    """Load a run for live scoring, after checking hashes and the feature set.

    Raises:
        NotFoundError: it is no run.
        NotTrustedError: a file is not the recorded one, or the declared features differ.
        UsageError: the run has no events to fold, or its champion is no probability or reads
            no features.
    """
    run = Run.open(name)
    features = run.features
    if features is None:
        raise UsageError(
            f"{run.dir}: trained on a ready table, so there are no events to fold; train on a log."
        )
    if run.kind != "classifier":
        raise UsageError(
            f"{run.dir}: its champion predicts an amount; serve a run whose target is an outcome."
        )
    run.require_during("a live service")
    if run.segment is not None:
        raise UsageError(
            f"{run.dir}: learnt from segment {run.segment.name!r} only, and a live service scores "
            "every session; serve a run of all sessions."
        )
    if run.reads_events:
        raise UsageError(
            f"{run.dir}: its champion {run.champion!r} reads the events of whole sessions, "
            "which is not for live scoring; serve a run trained without it."
        )
    files = run.verified.files
    exported = exported_of(run)
    text = features.program.text
    if "champion.arrays/arrays.json" in files:
        arrays = arrays_from(files, "champion.arrays", f"{run.dir}/model/champion.arrays")
        champion: Any = bind(*arrays, features.names, text)
    else:
        from cartcast.live.slow import SlowModel

        champion = SlowModel(run.models["champion"], features)
    amount: tuple[RowModel | None, float] | None = None
    if exported.arrays is not None and exported.amount is not None:
        model = RowModel(*exported.arrays, features.names, text)
        amount = (model, exported.amount["smearing"])
    elif exported.amount is not None:
        amount = (None, exported.amount["mean"])
    segments = None
    if exported.segments is not None and run.behaviour is not None:
        segments = (run.behaviour, SegmentModel(exported.segments, run.behaviour.names))
    return ModelScorer(run.data, features, champion, amount, segments, exported.missing)
