"""A small shop log, and the command line as a function."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cartcast.cli import main


def shop_rows(mark: str = "u", count: int = 60) -> list[dict[str, Any]]:
    start = dt.datetime(2024, 3, 1)
    return [
        {
            "user_id": f"{mark}{i // 6}",
            "session_id": f"{mark}s{i // 3}",
            "event_time": str(start + dt.timedelta(minutes=i)),
            "event_type": "purchase" if i % 10 == 9 else "view",
            "product_id": f"p{i % 7}",
            "price": "9.5",
        }
        for i in range(count)
    ]


def shop_csv(mark: str = "u", count: int = 60) -> str:
    rows = shop_rows(mark, count)
    return "\n".join([",".join(rows[0]), *(",".join(r.values()) for r in rows)]) + "\n"


@pytest.fixture
def text():
    return shop_csv


@pytest.fixture
def shop():
    return shop_rows


@pytest.fixture
def call(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
