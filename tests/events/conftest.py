"""A small shop log to write in any form, and a way to load it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COLUMNS = ("user_id", "session_id", "event_time", "event_type", "product_id", "price")


def shop_rows(count: int = 60, **changes: Any) -> list[dict[str, Any]]:
    """Views with a purchase every tenth row; 3 events a session, 2 sessions a visitor."""
    start = dt.datetime(2024, 3, 1)
    rows = []
    for i in range(count):
        row = {
            "user_id": f"u{i // 6}",
            "session_id": f"s{i // 3}",
            "event_time": str(start + dt.timedelta(minutes=i)),
            "event_type": "purchase" if i % 10 == 9 else "view",
            "product_id": f"p{i % 7}",
            "price": "9.5",
        }
        rows.append({**row, **changes})
    return rows


def csv_text(rows: list[dict[str, Any]], separator: str = ",") -> str:
    columns = list(rows[0])
    lines = [separator.join(columns)]
    lines += [separator.join(str(r[c]) for c in columns) for r in rows]
    return "\n".join(lines) + "\n"


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return shop_rows()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(content: str | bytes, name: str = "events.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def shop() -> Callable[..., list[dict[str, Any]]]:
    return shop_rows


@pytest.fixture
def as_csv() -> Callable[..., str]:
    return csv_text
