"""A stand-in for a trained model, whose features can be told by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from cartcast.errors import NotTrustedError
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.scorer import Past, Reason, Score


class StandIn:
    """Counts clicks, sums prices, keeps the last category; scores by a known formula."""

    reads_history = True

    def __init__(self, version: str = "stand-in-1", fingerprint: str = "f" * 64) -> None:
        self.version = version
        self.fingerprint = fingerprint

    def start(self, past: Past | None = None) -> list[Any]:
        earlier = None if past is None else past.sessions
        bought = None if past is None else past.counts.get("purchase", 0)
        return [0, None, None, None, earlier, bought, 0.0]

    def step(self, state: list[Any], event: Event) -> list[Any]:
        state[0] += 1
        if event.price is not None:
            state[1] = (state[1] or 0.0) + event.price
        if event.category is not None:
            state[2] = event.category
        time = event.event_time or 0
        if state[3] is not None:
            state[6] = state[6] * 0.5 + (time - state[3]) / 1e6
        state[3] = time
        return state

    def copy(self, state: list[Any]) -> list[Any]:
        return list(state)

    def score(self, state: list[Any]) -> Score:
        return Score(1 / (1 + math.exp(4 - 0.1 * state[0])), 0.5 * (state[1] or 0.0), "browsers")

    def score_row(self, values: Mapping[str, Any]) -> Score:
        if "clicks" not in values:
            raise Problem(422, "clicks must be given", field="clicks", rule="must be given")
        return self.score([values["clicks"], values.get("spend")])

    def reasons(self, state: list[Any], most: int) -> list[Reason]:
        return [Reason("clicks", float(state[0]), 0.01)][:most]

    def describe(self) -> dict[str, Any]:
        return {"version": self.version, "features": list(self.values(self.start()))}

    def values(self, state: list[Any]) -> dict[str, Any]:
        names = ("clicks", "spend", "last_category", "last_time", "earlier", "bought", "decayed")
        return dict(zip(names, state, strict=True))

    def dump(self, state: list[Any]) -> bytes:
        return msgspec.msgpack.encode([self.fingerprint[:8], state])

    def load(self, data: bytes) -> list[Any]:
        mark, state = msgspec.msgpack.decode(data)
        if mark != self.fingerprint[:8]:
            raise NotTrustedError(f"state of {mark}, the model's is {self.fingerprint[:8]}")
        return state


@pytest.fixture
def scorer() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def stand_in() -> Callable[..., StandIn]:
    return StandIn
