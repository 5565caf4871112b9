"""A verb that stays: when turns begin, what an error does, and how a stop ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cartcast.cli import main
from cartcast.cli import repeat as repeated
from cartcast.cli.repeat import repeat
from cartcast.errors import DataError, UsageError


class Clock:
    """Stands for the machine's clock: it moves while a turn works or the loop waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(repeated, "time", found)
    monkeypatch.setattr(repeated.threading.Event, "wait", lambda _, s: found.wait(s))
    return found


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_turns_begin_an_interval_after_the_last_began_and_never_overlap(clock: Clock) -> None:
    begun: list[float] = []
    lasts = [3.0, 0.0, 70.0, 190.0, 5.0]

    def turn(_stopped: Callable[[], bool]) -> None:
        begun.append(clock.now)
        if len(begun) > len(lasts):
            stop()
        clock.now += lasts[len(begun) - 1]

    before = signal.getsignal(signal.SIGTERM)
    repeat("1m", turn)
    # The third and the fourth last longer than a minute: the next follows at once, and only one.
    assert begun == [0, 60, 120, 190, 380, 440]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_is_one_line_and_the_next_turn_comes(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [DataError("the log\nends early"), OSError(28, "No space left", "x"), KeyError("a")]

    def turn(_stopped: Callable[[], bool]) -> None:
        if not wrong:
            stop()
        raise wrong.pop(0)

    repeat("1h", turn)
    assert clock.now == 3 * 3600
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["cartcast: error: the log ends early", "cartcast: error: x: No space left."]
    assert "unexpected KeyError" in told[2]
    assert len(told) == 3


def test_a_wrong_word_ends_the_first_turn_and_no_later_one(clock: Clock) -> None:
    turns: list[int] = []

    def turn(_stopped: Callable[[], bool]) -> None:
        turns.append(1)
        if len(turns) == 3:
            stop()
        if len(turns) > wrong_from:
            raise UsageError("wrong")

    wrong_from = 0
    with pytest.raises(UsageError):
        repeat("1h", turn)
    turns.clear()
    wrong_from = 1
    repeat("1h", turn)
    assert len(turns) == 3
    with pytest.raises(UsageError, match="positive"):
        repeat("0s", turn)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_interrupts_or_lets_finish(number: int, clock: Clock) -> None:
    ended: list[bool] = []

    def turn(stopped: Callable[[], bool]) -> None:
        os.kill(os.getpid(), number)
        ended.append(stopped())

    repeat("1h", turn)
    assert ended == []
    repeat("1h", turn, finish=True)
    assert ended == [True]


def test_a_library_that_turns_the_stop_into_its_own_error_is_not_heard(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def turn(_stopped: Callable[[], bool]) -> None:
        try:
            stop()
        except KeyboardInterrupt:
            raise RuntimeError("query interrupted") from None

    repeat("1h", turn)
    assert capsys.readouterr().err == ""


def test_a_verb_that_stays_ends_with_status_0(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\n")
    monkeypatch.chdir(tmp_path)

    def wait(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 2 * 3600:
            stop()

    monkeypatch.setattr(clock, "wait", wait)
    for verb in (["retrain", "champion"], ["monitor", "check"]):
        clock.now = 0.0
        with pytest.raises(SystemExit) as end:
            main([*verb, "no.parquet", "--every", "1h"])
        assert not end.value.code
        told = capsys.readouterr().err.splitlines()
        assert told == ["cartcast: error: no run or alias 'champion' here."] * 3
    with pytest.raises(SystemExit) as end:
        main(["retrain", "champion", "no.parquet", "--every", "1h", "--fresh"])
    assert end.value.code == 2
