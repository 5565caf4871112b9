"""The decimal mark is decided over all values, and what cannot be decided is refused."""

from __future__ import annotations

import pytest

from cartcast import events
from cartcast.errors import DataError


@pytest.fixture
def priced(write, shop):
    def load(prices: list[str], **options) -> events.Log:
        rows = [
            {**r, "price": p, "event_type": "purchase"}
            for r, p in zip(shop(len(prices)), prices, strict=True)
        ]
        lines = [";".join(rows[0]), *(";".join(map(str, r.values())) for r in rows)]
        return events.load(write("\n".join(lines) + "\n"), **options)

    return load


def prices(log: events.Log) -> list[float | None]:
    return log.table(["price"])["price"].to_pylist()


def test_commas_decide_for_thousands_with_a_point(priced):
    assert prices(priced(["12,50", "1.299,00", "1.299", "7"])) == [12.5, 1299.0, 1299.0, 7.0]


def test_points_decide_for_three_decimals(priced):
    assert prices(priced(["12.50", "1.299", "1,299.00"])) == [12.5, 1.299, 1299.0]


def test_the_other_mark_is_a_reject(priced):
    log = priced(["12,50"] * 30 + ["12.50"], max_reject_share=0.1)
    assert log.summary.reject_reasons == {"bad_price": 1}


def test_the_mark_may_show_late(priced):
    log = priced(["7"] * 1500 + ["12,50"] * 3)
    assert prices(log)[-1] == 12.5


def test_what_nothing_decides_is_refused(priced):
    with pytest.raises(DataError, match=r"'1\.299' may have a decimal mark.*decimal:"):
        priced(["1.299", "2.450", "7"])
