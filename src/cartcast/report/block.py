"""One chart of a report with the sentence that it shows and its table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cartcast.charts.heads import cell, head

__all__ = ["Block", "for_script", "made"]


@dataclass(frozen=True)
class Block:
    """One chart: where it belongs, what it shows in words, the figure, and its table.

    Attributes:
        name: id in the page.
        section: `main`, `good`, `drivers`, `effects`, `revenue` or `segments`.
        words: what it shows, a sentence.
        figure: Plotly JSON, safe inside a script element.
        columns: heads of the table.
        rows: cells of the table, as words.
    """

    name: str
    section: str
    words: str
    figure: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def made(
    name: str,
    section: str,
    words: str,
    figure: Any,
    table: pd.DataFrame,
    units: Mapping[str, str],
    currency: str | None = None,
) -> Block:
    """Return a block; `units` names the columns of its table, in order, with their units."""
    shown = [
        [cell(row[column], unit, currency) for column, unit in units.items()]
        for row in table.to_dict("records")
    ]
    heads = [head(c) for c in units]
    return Block(name, section, words, for_script(figure.to_json()), heads, shown)


def for_script(figure: str) -> str:
    r"""Return Plotly JSON as it can stand in a script: no text of the data can end the element.

    >>> for_script('{"data": ["</script>"], "layout": {}, "config": {}}')
    '{"data": ["\\u003c/script>"], "layout": {}}'
    """
    made = json.loads(figure)
    return json.dumps({k: made[k] for k in ("data", "layout")}).replace("<", "\\u003c")
