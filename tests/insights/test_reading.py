from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from cartcast.errors import NotFoundError
from cartcast.insights.reading import is_clean, read_log


@pytest.fixture
def source(tmp_path, events):
    path = tmp_path / "shop.csv"
    names = ["visitor_id", "session_id", "event_time", "event_type", "item_id", "price"]
    lines = [",".join(names)]
    lines += [",".join("" if e[n] is None else str(e[n]) for n in names) for e in events]
    path.write_text("\n".join(lines) + "\n")
    return path


def cartcast(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cartcast", *map(str, words)], capture_output=True, text=True
    )


def test_a_clean_log_is_not_cleaned_again(tmp_path, source):
    log = read_log([source])
    assert is_clean(log.path)
    assert read_log([log.path]).path == log.path
    assert not is_clean(source)
    (tmp_path / "x.parquet").write_text("no")
    assert not is_clean(tmp_path / "x.parquet")
    pq.write_table(pq.read_table(log.path).replace_schema_metadata(None), tmp_path / "y.parquet")
    assert not is_clean(tmp_path / "y.parquet")
    with pytest.raises(NotFoundError):
        read_log([tmp_path / "none.csv"])


def test_the_verbs_print_what_the_library_says(tmp_path):
    from cartcast import insights

    log = tmp_path / "shop.csv"
    rows = ["visitor_id,session_id,event_time,event_type,item_id,price"]
    for s in range(30):
        steps = ["view_item", "add_to_cart", "purchase"][: 1 + s % 3]
        rows += [
            f"v{s % 20},s{s},2024-03-{1 + s % 28:02d}T10:{k:02d}:00,{kind},i{s % 4},10"
            for k, kind in enumerate(steps)
        ]
    log.write_text("\n".join(rows) + "\n")
    for verb, extra, function, arguments in (
        ("funnel", ["--window", "7d"], insights.funnel, {"window": 604_800.0}),
        ("paths", ["--to", "purchase"], insights.paths, {"anchor": "purchase", "direction": "to"}),
        ("cohorts", ["--periods", "3"], insights.cohorts, {"periods": 3}),
    ):
        done = cartcast(verb, log, *extra, "--json")
        assert done.returncode == 0, done.stderr
        truth = json.loads(
            json.dumps(function(read_log([log]), **arguments).as_dict(), default=str)
        )
        assert json.loads(done.stdout) == truth
        words = cartcast(verb, log, *extra)
        assert words.returncode == 0
        assert len(words.stdout.splitlines()) >= 2
    assert cartcast("funnel", log, "--steps", "nothing").returncode == 2
    assert cartcast("paths", log, "--from", "purchase", "--to", "purchase").returncode == 2
    assert cartcast("funnel", tmp_path / "none.csv").returncode == 5
    assert cartcast("app", "--host", "0.0.0.0").returncode == 2
