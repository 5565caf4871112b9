"""The network and how it learns, in PyTorch: the only file that imports it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cartcast.errors import DataError
from cartcast.models.sequence.exported import HEADS, WINDOW, slopes
from cartcast.models.sequence.inputs import Sessions

__all__ = ["Given", "Learning", "Network", "learn"]

GROUPS = 4
BESIDE = 0.1
"""Weight of the other heads beside the purchase."""


class Given(NamedTuple):
    """What is learnt from: sessions, codes and numbers of their events, and of each row the rest.

    The amount is in standard deviations, NaN where unknown.
    """

    events: Sessions
    slices: list[slice]
    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]
    features: NDArray[np.float32]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    amount: NDArray[np.float32]


class Learning(NamedTuple):
    """Kind and size of the network, passes over the events and over the rows, and their pace."""

    body: str
    size: int
    before: int
    epochs: int
    batch: int
    rate: float
    dropout: float
    decay: float
    seed: int


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(size), nn.LayerNorm(size)
        self.both, self.seen = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.wide, self.narrow = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x: Tensor, far: Tensor) -> Tensor:
        n, events, size = x.shape
        q, k, v = (
            part.reshape(n, events, HEADS, -1).transpose(1, 2)
            for part in self.both(self.first(x)).chunk(3, -1)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=far)
        x = x + self.seen(seen.transpose(1, 2).reshape(n, events, size))
        return x + self.narrow(functional.relu(self.wide(self.second(x))))


class Network(nn.Module):  # type: ignore[misc]
    """A body over the events of sessions, and heads: what comes next; purchase and amount.

    Each category enters by a table of vectors, the numbers by a matrix. The heads of a row also
    read its features: `straight` alone would be a logistic regression of them.
    """

    def __init__(self, codes: int, width: int, features: int, how: Learning) -> None:
        super().__init__()
        size = how.size
        self.table, self.numbers = nn.Embedding(codes, size), nn.Linear(width, size)
        nn.init.normal_(self.table.weight, std=0.1)
        if how.body == "gru":
            self.gru = nn.GRU(size, size, batch_first=True)
        else:
            self.blocks = nn.ModuleList(_Block(size) for _ in range(2))
            self.last = nn.LayerNorm(size)
        self.following, self.measured = nn.Linear(size, codes), nn.Linear(size, width)
        self.state, self.features = nn.Linear(size, size), nn.Linear(features, size)
        self.odds, self.straight = nn.Linear(size, 1), nn.Linear(features, 1, bias=False)
        nn.init.zeros_(self.straight.weight)
        self.amount = nn.Linear(size, 1)
        self.dropout = nn.Dropout(how.dropout)

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Return the state after each event, shape (sessions, events, size)."""
        x = self.dropout(self.numbers(numbers) + self.table(codes).sum(-2))
        if hasattr(self, "gru"):
            return self.gru(x)[0]
        back = torch.arange(x.shape[1], device=x.device)
        back = back[:, None] - back
        far = -torch.tensor(slopes(), dtype=x.dtype, device=x.device)[:, None, None] * back
        far = far.masked_fill((back < 0) | (back >= WINDOW), -torch.inf)
        for block in self.blocks:
            x = block(x, far)
        return self.last(x)

    def rows(self, state: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-odds of a purchase and the standardised amount of each row."""
        hidden = functional.relu(self.state(self.dropout(state)) + self.features(features))
        hidden = self.dropout(hidden)
        return (self.odds(hidden) + self.straight(features))[:, 0], self.amount(hidden)[:, 0]


def learn(given: Given, held: NDArray[np.bool_], how: Learning) -> dict[str, NDArray[np.float32]]:
    """Return the weights after the pass with the lowest loss on the sessions that are `held`.

    First it learns what event comes next, then what comes of it.

    Raises:
        DataError: no loss is finite.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices):
        torch.manual_seed(how.seed)
        # Its steps are small: more threads would wait for each other, and change the sums.
        torch.set_num_threads(1)
        try:
            return _Lesson(given, held, how, "cuda" if devices else "cpu").learnt()
        finally:
            torch.set_num_threads(threads)


class _Lesson:
    """A network, what it learns from, and the two stages of learning."""

    def __init__(self, given: Given, held: NDArray[np.bool_], how: Learning, device: str) -> None:
        self.given, self.how, self.device = given, how, device
        self.rng = np.random.default_rng(how.seed)
        self.held, self.used = np.flatnonzero(held), np.flatnonzero(~held)
        self.length = np.minimum(given.events.length, WINDOW)
        # Rows by session: those of session s are the `count[s]` from `first[s]` on.
        self.order = np.argsort(given.events.session, kind="stable")
        self.count = np.bincount(given.events.session, minlength=len(held))
        self.first = np.cumsum(self.count) - self.count
        self.codes, self.numbers, self.features, self.label, self.weight, self.amount = (
            torch.from_numpy(part).to(device) for part in given[2:]
        )
        self.total = float(given.weight.sum())
        codes = given.slices[-1].stop if given.slices else 1
        self.net = Network(codes, given.numbers.shape[1], given.features.shape[1], how).to(device)
        p = float(np.average(given.label, weights=given.weight))
        nn.init.constant_(self.net.odds.bias, float(np.log(p / (1 - p))))

    def learnt(self) -> dict[str, NDArray[np.float32]]:
        for _ in self._passes(self.how.before, rows=False):
            pass
        best, kept = np.inf, None
        for _ in self._passes(self.how.epochs, rows=True):
            if (loss := self._judged()) < best:
                best = loss
                kept = {k: v.clone() for k, v in self.net.state_dict().items()}
        if kept is None:
            raise DataError("the sequence model has no finite loss; check the numbers it reads.")
        return {name: value.cpu().numpy() for name, value in kept.items()}

    def _passes(self, epochs: int, rows: bool) -> Iterator[int]:
        """Learn from the sessions `epochs` times: of what comes next, and of the rows."""
        if not epochs:
            return
        how, net = self.how, self.net
        steps = -(-len(self.used) // how.batch)
        rule = torch.optim.AdamW(net.parameters(), lr=how.rate, weight_decay=how.decay)
        pace = torch.optim.lr_scheduler.OneCycleLR(rule, how.rate, total_steps=epochs * steps + 1)
        for epoch in range(epochs):
            net.train()
            for batch in np.array_split(self.rng.permutation(self.used), steps):
                rule.zero_grad()
                for group in self._cut(batch):
                    (self._loss(group, rows) / len(batch)).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                rule.step()
                pace.step()
            yield epoch

    def _cut(self, sessions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return groups of sessions of like length, so that little is padding.

        A step has some of every length: long sessions are unlike short ones in what comes of them.
        """
        order = sessions[np.argsort(self.length[sessions], kind="stable")]
        return np.array_split(order, min(GROUPS, len(order)))

    def _loss(self, group: NDArray[np.int64], rows: bool) -> Tensor:
        """Return the sum of the losses of a group, in units of a session's usual weight."""
        place, real = self._places(group)
        state = self.net(self.codes[place], self.numbers[place])
        loss = self._next_loss(state[:, :-1][real[:, 1:]], place[:, 1:][real[:, 1:]])
        loss = loss * (len(self.length) / self.length.sum())
        if not rows:
            return loss
        at, odds, amount = self._rows(group, state)
        bought = torch.isfinite(self.amount[at])
        money = functional.huber_loss(amount[bought], self.amount[at][bought], reduction="sum")
        own = self._binary(at, odds) + BESIDE * money
        return own * (len(self.length) / self.total) + BESIDE * loss

    def _binary(self, at: Tensor, odds: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            odds, self.label[at], self.weight[at], reduction="sum"
        )

    def _next_loss(self, state: Tensor, following: Tensor) -> Tensor:
        """Return how badly the next event is told: its categories and its numbers."""
        if not len(state):
            return state.sum()
        said, codes = self.net.following(state), self.codes[following]
        away = (self.net.measured(state) - self.numbers[following]) ** 2
        loss = away.mean(1).sum()
        for j, at in enumerate(self.given.slices):
            loss = loss + functional.cross_entropy(
                said[:, at], codes[:, j] - at.start, reduction="sum"
            )
        return loss / (1 + len(self.given.slices))

    def _places(self, group: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the event in each place of a group, its last one repeated, and which are real."""
        length = self.length[group][:, None]
        clicks = np.arange(length.max())
        place = self.given.events.start[group][:, None] + np.minimum(clicks, length - 1)
        return self._tensor(place), self._tensor(clicks < length)

    def _rows(self, group: NDArray[np.int64], state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows of a group, their log-odds and their amounts."""
        count = self.count[group]
        begin = np.repeat(self.first[group] - np.cumsum(count) + count, count)
        rows = self.order[begin + np.arange(count.sum())]
        own, click = np.repeat(np.arange(len(group)), count), self.given.events.click[rows]
        near = click < state.shape[1]
        at = self._tensor(rows[near])
        inside = state[self._tensor(own[near]), self._tensor(click[near])]
        return at, *self.net.rows(inside, self.features[at])

    def _judged(self) -> float:
        self.net.eval()
        loss = 0.0
        with torch.no_grad():
            for group in self._cut(self.held):
                place, _ = self._places(group)
                at, odds, _ = self._rows(group, self.net(self.codes[place], self.numbers[place]))
                loss += float(self._binary(at, odds))
        return loss

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)
