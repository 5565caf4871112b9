"""A small causal network over events: a probability after every click (extra `deep`).

An option, not the default: it is judged by the same rows and figures as the other models. It
reads events themselves instead of features, so a table with one row per event goes in, and one
probability per event comes out, which depends on that event and earlier ones of its session only.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from cartcast.atomic import atomic_folder
from cartcast.errors import DataError, NotFoundError, NotTrustedError, UsageError
from cartcast.models.encode import levels_of
from cartcast.models.table import binary_labels, row_weights

__all__ = ["ClickSequence"]

Floats = NDArray[np.float64]
SCHEMA = 1


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            "the sequence model needs the extra 'deep': pip install 'cartcast[deep]'."
        ) from error
    # The network is tiny: threads would spend their time waiting for each other.
    torch.set_num_threads(1)
    return torch


class ClickSequence(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A gated recurrent unit over the events of a session (Cho et al. 2014, arXiv:1406.1078).

    `fit` and `predict_proba` take events with `session_id`, `event_order`, the `categories` and
    the `numbers`; sessions longer than `longest` go on with the last state that was trained for.

    Args:
        categories: columns to be embedded; the `levels` most frequent values each.
        numbers: columns to enter as standardised signed logarithms, nulls as 0 and marked.
        hidden: size of the state.
        epochs: passes over the sessions; the best one on a tenth of the sessions is kept.
        batch: sessions in a step.
        rate: learning rate of Adam.
        longest: clicks of a session used for learning.
        levels: values kept of a category.
        seed: seed of weights and order.
    """

    def __init__(
        self,
        categories: tuple[str, ...] = ("event_type", "category"),
        numbers: tuple[str, ...] = ("price",),
        hidden: int = 32,
        epochs: int = 8,
        batch: int = 256,
        rate: float = 5e-3,
        longest: int = 60,
        levels: int = 100,
        seed: int = 42,
    ) -> None:
        self.categories = categories
        self.numbers = numbers
        self.hidden = hidden
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.longest = longest
        self.levels = levels
        self.seed = seed

    def fit(self, events: pd.DataFrame, y: Any, sample_weight: Any = None) -> ClickSequence:
        """Fit on events with the label of each (what comes after it).

        Raises:
            UsageError: torch is not installed.
            DataError: one class, missing labels, or a missing column.
        """
        torch = _torch()
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        w = np.ones(len(labels)) if weights is None else weights
        self._learn(events)
        torch.manual_seed(self.seed)
        self.classes_ = np.array([0, 1])
        self.net_ = self._network(torch)
        codes, floats = self._inputs(events)
        sessions = _sessions(events)
        rng = np.random.default_rng(self.seed)
        rng.shuffle(sessions)
        tenth = max(1, len(sessions) // 10)
        held, used = sessions[:tenth], sessions[tenth:]
        step = torch.optim.Adam(self.net_.parameters(), lr=self.rate, weight_decay=1e-5)
        best, kept = np.inf, None
        for _ in range(self.epochs):
            rng.shuffle(used)
            # Sessions of like length share a batch, so that little of it is padding.
            order = sorted(range(len(used)), key=lambda i: min(len(used[i]), self.longest))
            starts = list(range(0, len(order), self.batch))
            rng.shuffle(starts)
            self.net_.train()
            for start in starts:
                rows = [used[i][: self.longest] for i in order[start : start + self.batch]]
                loss = self._loss(torch, rows, codes, floats, labels, w)
                step.zero_grad()
                loss.backward()
                step.step()
            self.net_.eval()
            with torch.no_grad():
                part = [rows[: self.longest] for rows in held]
                loss_held = float(self._loss(torch, part, codes, floats, labels, w))
            if loss_held < best:
                best = loss_held
                kept = {k: v.clone() for k, v in self.net_.state_dict().items()}
        if kept is None:
            raise DataError("the sequence model has no finite loss; check the numbers it reads.")
        self.net_.load_state_dict(kept)
        return self

    def predict_proba(self, events: pd.DataFrame) -> Floats:
        """Return probabilities after every event, shape (events, 2), in the order of the rows."""
        torch = _torch()
        codes, floats = self._inputs(events)
        out = np.empty(len(events))
        self.net_.eval()
        sessions = sorted(_sessions(events), key=len)
        with torch.no_grad():
            for start in range(0, len(sessions), self.batch):
                rows = sessions[start : start + self.batch]
                scores, place = self._scores(torch, rows, codes, floats)
                p = torch.sigmoid(scores).numpy().astype(np.float64)
                for i, own in enumerate(rows):
                    out[own] = p[i, : len(own)]
                del place
        return np.column_stack([1 - out, out])

    def _learn(self, events: pd.DataFrame) -> None:
        needed = ("session_id", "event_order", *self.categories, *self.numbers)
        missing = [c for c in needed if c not in events.columns]
        if missing:
            raise DataError(f"column {missing[0]!r} is missing; the sequence model reads it.")
        self.levels_: dict[str, list[str]] = {}
        for name in self.categories:
            counts = pd.Series([v for v in levels_of(events[name]) if v is not None]).value_counts()
            ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
            self.levels_[name] = [str(v) for v, _ in ordered[: self.levels]]
        self.centre_: dict[str, float] = {}
        self.spread_: dict[str, float] = {}
        for name in self.numbers:
            logs = _logs(events[name])
            seen = logs[np.isfinite(logs)]
            self.centre_[name] = float(seen.mean()) if len(seen) else 0.0
            self.spread_[name] = (float(seen.std()) if len(seen) else 0.0) or 1.0

    def _inputs(self, events: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        codes = np.zeros((len(events), len(self.categories)), dtype=np.int64)
        for j, name in enumerate(self.categories):
            # 0 is null, 1 is a value that training did not keep.
            place = {level: i + 2 for i, level in enumerate(self.levels_[name])}
            codes[:, j] = [0 if v is None else place.get(v, 1) for v in levels_of(events[name])]
        clicks = events.groupby("session_id", sort=False)["event_order"].rank(method="first")
        columns = [np.log(clicks.to_numpy(dtype=np.float64)) - 1.0]
        for name in self.numbers:
            logs = (_logs(events[name]) - self.centre_[name]) / self.spread_[name]
            null = ~np.isfinite(logs)
            columns += [np.where(null, 0.0, logs), null.astype(np.float64)]
        return codes, np.column_stack(columns).astype(np.float32)

    def _network(self, torch: Any) -> Any:
        sizes = [len(self.levels_[c]) + 2 for c in self.categories]
        wide = [min(16, 2 + size // 4) for size in sizes]
        inputs = sum(wide) + 1 + 2 * len(self.numbers)
        return torch.nn.ModuleDict(
            {
                "embed": torch.nn.ModuleList(
                    torch.nn.Embedding(s, d) for s, d in zip(sizes, wide, strict=True)
                ),
                "gru": torch.nn.GRU(inputs, self.hidden, batch_first=True),
                "out": torch.nn.Linear(self.hidden, 1),
            }
        )

    def _scores(
        self, torch: Any, rows: list[NDArray[np.intp]], codes: Any, floats: Any
    ) -> tuple[Any, Any]:
        """Return log-odds, shape (sessions, clicks), and the row of each, -1 for padding."""
        place = np.full((len(rows), max(len(r) for r in rows)), -1, dtype=np.int64)
        for i, own in enumerate(rows):
            place[i, : len(own)] = own
        at = np.maximum(place, 0)
        parts = [
            layer(torch.from_numpy(codes[at, j])) for j, layer in enumerate(self.net_["embed"])
        ]
        x = torch.cat([*parts, torch.from_numpy(floats[at])], dim=-1)
        states, _ = self.net_["gru"](x)
        return self.net_["out"](states).squeeze(-1), place

    def _loss(self, torch: Any, rows: Any, codes: Any, floats: Any, labels: Any, w: Floats) -> Any:
        scores, place = self._scores(torch, rows, codes, floats)
        at = np.maximum(place, 0)
        target = torch.from_numpy(labels[at].astype(np.float32))
        weight = torch.from_numpy(np.where(place >= 0, w[at], 0.0).astype(np.float32))
        return torch.nn.functional.binary_cross_entropy_with_logits(
            scores, target, weight=weight, reduction="sum"
        ) / max(float(weight.sum()), 1e-9)

    def save(self, folder: Path | str) -> Path:
        """Write weights (npz) and settings (JSON) into `folder`, a new one; never pickle."""
        stream = BytesIO()
        state = {k: v.numpy() for k, v in self.net_.state_dict().items()}
        np.savez_compressed(stream, allow_pickle=False, **state)
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in self.get_params().items()}
        meta = {
            "schema": SCHEMA, "settings": settings, "levels": self.levels_,
            "centre": self.centre_, "spread": self.spread_,
        }  # fmt: skip
        with atomic_folder(folder) as temporary:
            (temporary / "weights.npz").write_bytes(stream.getvalue())
            (temporary / "sequence.json").write_text(json.dumps(meta), encoding="utf-8")
        return Path(folder)

    @classmethod
    def load(cls, folder: Path | str) -> ClickSequence:
        """Read what `save` wrote.

        Raises:
            NotFoundError: the files are not there.
            NotTrustedError: they are damaged or of another schema.
        """
        torch = _torch()
        folder = Path(folder)
        if not (folder / "sequence.json").is_file() or not (folder / "weights.npz").is_file():
            raise NotFoundError(f"{folder}: no sequence model here; train it first.")
        try:
            meta = json.loads((folder / "sequence.json").read_text(encoding="utf-8"))
            if meta["schema"] != SCHEMA:
                raise NotTrustedError(f"{folder}: schema {meta['schema']}, not {SCHEMA}.")
            stored_settings: dict[str, Any] = meta["settings"]
            for name, value in stored_settings.items():
                stored_settings[name] = tuple(value) if isinstance(value, list) else value
            model = cls(**stored_settings)
            model.classes_ = np.array([0, 1])
            model.levels_, model.centre_ = meta["levels"], meta["centre"]
            model.spread_ = meta["spread"]
            model.net_ = model._network(torch)
            with np.load(folder / "weights.npz", allow_pickle=False) as stored:
                state = {k: torch.from_numpy(stored[k]) for k in stored.files}
            model.net_.load_state_dict(state)
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
            raise NotTrustedError(f"{folder}: the sequence model is damaged: {error}.") from error
        return model


def _logs(column: pd.Series) -> Floats:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)


def _sessions(events: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Return the row numbers of each session in event order."""
    frame = pd.DataFrame(
        {"s": events["session_id"].to_numpy(), "o": events["event_order"].to_numpy()}
    )
    codes = pd.factorize(frame["s"])[0]
    order = np.lexsort((frame["o"].to_numpy(), codes))
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return np.split(order, cuts)
