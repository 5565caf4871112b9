"""A few of the random programs and logs; `make checked` runs ten thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzz

from cartcast.features.kernels import codes, layout


@pytest.mark.parametrize("begin", range(0, 120, 30))
def test_random_programs_over_random_logs(begin):
    for number in range(begin, begin + 30):
        fuzz.check(1, number)


def test_a_case_is_drawn_again_by_its_number():
    assert repr(fuzz.case(1, 7)[:2]) == repr(fuzz.case(1, 7)[:2])
    assert repr(fuzz.case(1, 7)[:2]) != repr(fuzz.case(2, 7)[:2])


def test_the_draws_reach_every_operation():
    drawn = [fuzz.case(1, number)[0].program.ops[:, layout.CODE] for number in range(600)]
    assert {int(code) for ops in drawn for code in ops} == set(codes.CODES.values())


def test_a_fault_in_one_operation_is_found(monkeypatch):
    """`Max` is `Min`, live and in bulk alike, so that only the oracle can tell."""
    real = fuzz.case

    def broken(seed, number):
        features, log, draw = real(seed, number)
        ops = features.program.ops
        ops[ops[:, layout.CODE] == codes.MAX, layout.CODE] = codes.MIN
        return features, log, draw

    monkeypatch.setattr(fuzz, "case", broken)
    with pytest.raises(AssertionError, match="not the oracle's"):
        for number in range(200):
            fuzz.check(1, number)
