from __future__ import annotations

import json
import subprocess
import sys

from cartcast.events import load


def cartcast(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cartcast", *map(str, words)], capture_output=True, text=True
    )


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
        truth = json.loads(json.dumps(function(load(log), **arguments).as_dict(), default=str))
        assert json.loads(done.stdout) == truth
        words = cartcast(verb, log, *extra)
        assert words.returncode == 0
        assert len(words.stdout.splitlines()) >= 2
    assert cartcast("funnel", log, "--steps", "nothing").returncode == 2
    assert cartcast("paths", log, "--from", "purchase", "--to", "purchase").returncode == 2
    assert cartcast("funnel", tmp_path / "none.csv").returncode == 5
    assert cartcast("app", "--host", "0.0.0.0").returncode == 2
