"""Arms over HTTP: what a unit gets, that exposures are kept once, and that nothing else gives."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cartcast_test_tracker_libraries as libraries
import httpx
import pytest
import yaml

from cartcast.access.keys import KeyFile, Keys
from cartcast.errors import DefinitionError, NotFoundError
from cartcast.experiments import read_plan
from cartcast.experiments.exposures import FILE, Exposure, ExposureFile, read_exposures
from cartcast.experiments.plan import read_plans
from cartcast.forget.databases import clean_database
from cartcast.forget.person import Person
from cartcast.live.experiments import Experiments
from cartcast.live.no_model import NoModel
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore

METRICS = {"metrics": {"revenue": {"mean": "money"}}}
PLANS: dict[str, Any] = {
    "free": {"unit": "visitor_id", "arms": ["control", "free"], **METRICS},
    "login": {"unit": "user_id", "arms": {"old": 0.2, "new": 0.8}, **METRICS},
    "homes": {"unit": "household", "arms": ["a", "b"], "holdout": {"name": "all", "share": 0.3},
              **METRICS},
    "left": {"unit": "visitor_id", "arms": ["x", "y"],
             "layer": {"name": "page", "start": 0, "end": 0.5}, **METRICS},
    "right": {"unit": "visitor_id", "arms": ["x", "y"],
              "layer": {"name": "page", "start": 0.5, "end": 1}, **METRICS},
    "past": {"unit": "visitor_id", "arms": ["x", "y"], "end": "2020-01-01", **METRICS},
    "later": {"unit": "visitor_id", "arms": ["x", "y"], "start": "2090-01-01", **METRICS},
}  # fmt: skip


def write_plans(path: Path, **change: Any) -> Path:
    path.write_text(yaml.safe_dump({"experiments": {**PLANS, **change}}))
    return path


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    return write_plans(tmp_path / "shop.yaml")


@pytest.fixture
def ask(serve: Callable[..., str], live: Live, plans: Path, tmp_path: Path) -> Any:
    live.experiments = Experiments([plans], ExposureFile(tmp_path / FILE))
    with httpx.Client(base_url=serve(live)) as http:
        yield lambda path="/v1/assign", **body: http.post(path, json=body)


def exposed(folder: Path, key: str, version: int | None = None) -> list[tuple[str, str]]:
    table = read_exposures([folder], key, version)
    return list(zip(table["unit"].to_pylist(), table["arm"].to_pylist(), strict=True))


def test_arms_are_those_of_the_plans_and_are_kept_once(
    ask: Any, plans: Path, tmp_path: Path
) -> None:
    units = [f"v-{i}" for i in range(60)]
    for unit in units * 2:
        answer = ask(visitor_id=unit)
        assert answer.status_code == 200
        arms = answer.json()["arms"]
        assert {"past", "later"}.isdisjoint(arms)
        for key in ("free", "left", "right"):
            expected = read_plan(plans, key).allocation.assign(unit)
            got = arms[key]
            assert (got["arm"], got["unit"]) == (expected.arm, unit)
            assert got["reason"] in (expected.reason, "kept")
            assert got.get("exposed", False) == (expected.arm is not None)
        # Experiments of one layer exclude each other.
        assert sum(arms[k]["arm"] is not None for k in ("left", "right")) == 1
        assert arms["login"] == {"arm": None, "reason": "no unit"}
    assert [u for u, _ in exposed(tmp_path, "free")] == units
    assert len(exposed(tmp_path, "left")) + len(exposed(tmp_path, "right")) == len(units)


def test_the_id_of_the_plan_is_hashed(ask: Any, plans: Path, tmp_path: Path) -> None:
    arms = ask(visitor_id="v-1", user_id="ann", unit="house-1").json()["arms"]
    assert [arms[k]["unit"] for k in ("free", "login", "homes")] == ["v-1", "ann", "house-1"]
    held = [u for u in map(str, range(50)) if ask(unit=f"h{u}", experiments=["homes"], expose=False)
            .json()["arms"]["homes"]["reason"] == "holdout"]  # fmt: skip
    assert 5 < len(held) < 30
    assert len(exposed(tmp_path, "homes")) <= 1  # who looks ahead is not exposed
    named = ask(visitor_id="v-1", experiments=["past", "later"]).json()["arms"]
    assert [named[k]["reason"] for k in ("past", "later")] == ["ended", "not started"]
    # As in a log, 1001.0 is 1001.
    assert ask(visitor_id="1001.0").json()["arms"]["free"]["unit"] == "1001"


def test_a_seen_arm_stays_when_weights_change(ask: Any, live: Live, tmp_path: Path) -> None:
    before = {f"v-{i}": ask(visitor_id=f"v-{i}").json()["arms"]["free"] for i in range(40)}
    changed = {**PLANS["free"], "arms": {"control": 0.01, "free": 0.99}}
    one = write_plans(tmp_path / "one.yaml", free=changed)
    live.running.plans = read_plans([one])
    for unit, was in before.items():
        now = ask(visitor_id=unit).json()["arms"]["free"]
        assert now == {**was, "reason": "kept"}
    new = [ask(visitor_id=f"w-{i}").json()["arms"]["free"]["arm"] for i in range(40)]
    assert new.count("free") > 35
    # Another version of the allocation assigns, and is logged, afresh.
    live.running.plans = read_plans([write_plans(one, free={**changed, "version": 1})])
    arms = [ask(visitor_id=unit).json()["arms"]["free"]["arm"] for unit in before]
    assert arms.count("free") > 35
    assert len(exposed(tmp_path, "free", 0)) == 80
    assert len(exposed(tmp_path, "free", 1)) == 40


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "unit", "must be given"),
        ({"visitor_id": "guest"}, "visitor_id", "'guest'"),
        ({"unit": " NULL "}, "unit", "must be an id"),
        ({"user_id": "undefined", "visitor_id": "v"}, "user_id", "'undefined'"),
        ({"visitor_id": "v", "experiments": ["fre"]}, "experiments[0]", "Did you mean 'free'?"),
        ({"visitor_id": "v", "experiments": ["free", "login"]}, "experiments[1]", "needs user_id"),
        ({"visitor_id": "v", "experiments": ["homes"]}, "experiments[0]", "needs unit"),
        ({"visitor_id": "v", "experiments": []}, "experiments", ">= 1"),
        ({"visitor_id": 7}, "visitor_id", "Expected `str | null`"),
        ({"visitor_id": "v", "arm": "free"}, "arm", "unknown field"),
        ({"visitor_id": "v" * 300}, "visitor_id", "<= 256"),
        ({"visitor_id": "v", "at": "2026-03-02T08:00:00"}, "at", "end it with Z"),
        ({"visitor_id": "v", "at": "2090-01-01T00:00:00Z"}, "at", "at most 300 s in the future"),
    ],
)
def test_what_means_nothing_is_one_line(
    ask: Any, body: dict[str, Any], field: str, words: str, tmp_path: Path
) -> None:
    answer = ask(**body)
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (422, field)
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]
    assert exposed(tmp_path, "free") == []


def test_arms_come_with_scores_where_they_are_asked_for(ask: Any, tmp_path: Path) -> None:
    event = {"visitor_id": "v-1", "event_type": "view_item", "extra": {"household": "h"}}
    assert "arms" not in ask("/v1/events", **event).json()
    arms = ask("/v1/events?arms=1", **event).json()["arms"]
    assert arms.keys() == {"free", "login", "homes", "left", "right"}
    assert arms["login"] is None
    assert exposed(tmp_path, "free") == []
    answer = ask("/v1/events?arms=1&expose=1", events=[event, {**event, "visitor_id": "w"}] * 3)
    told = [one["arms"]["free"] for one in answer.json()["answers"] if "arms" in one]
    assert dict(exposed(tmp_path, "free")) == dict(zip(["v-1", "w"], told, strict=True))
    assert [u for u, _ in exposed(tmp_path, "homes")] == (["h"] if arms["homes"] else [])
    assert ask("/v1/events?expose=1", **event).status_code == 422
    found = [
        httpx.get(answer.url.join(f"/v1/sessions?visitor_id=v-1{more}")).json()
        for more in ("&arms=1", "")
    ]
    assert found[0]["arms"]["free"] == arms["free"]
    assert "arms" not in found[1]
    scored = ask("/v1/score?arms=1", sessions=[[event]]).json()["scores"]
    assert scored[0]["arms"] == arms
    assert ask("/v1/score?arms=1", rows=[{"clicks": 1}]).json()["field"] == "arms"
    assert "cartcast_exposures_total" in httpx.get(answer.url.join("/metrics")).text


def test_what_is_told_later_counts_from_when_it_was_seen(ask: Any, tmp_path: Path) -> None:
    told = {"visitor_id": "v-1", "at": "2019-12-31T23:00:00Z"}
    assert ask(**told, experiments=["later"]).json()["arms"]["later"]["reason"] == "not started"
    # An experiment that is over now ran then.
    assert ask(**told).json()["arms"]["past"]["exposed"]
    assert ask(visitor_id="v-1", experiments=["past"]).json()["arms"]["past"]["reason"] == "ended"
    (row,) = read_exposures([tmp_path], "past").to_pylist()
    assert row["exposed"] == dt.datetime(2019, 12, 31, 23)


def test_only_a_key_that_sees_scores_names_the_moment(
    serve: Callable[..., str], live: Live, plans: Path, key_file: KeyFile
) -> None:
    live.experiments = Experiments([plans], ExposureFile(None))
    scopes = {("page",): 403, ("ingest",): 403, ("ingest", "score"): 200}
    keys = {s: {"X-Api-Key": key_file.add("-".join(s), s)} for s in scopes}
    with httpx.Client(base_url=serve(live, Keys(key_file))) as http:
        for scope, status in scopes.items():
            key = keys[scope]
            late = {"visitor_id": "v-1", "at": "2024-01-01T00:00:00Z"}
            now = http.post("/v1/assign", json={"visitor_id": "v-1"}, headers=key)
            told = http.post("/v1/assign", json=late, headers=key)
            assert (now.status_code, told.status_code) == (200, status), told.text


def test_arms_need_no_model(serve: Callable[..., str], plans: Path, tmp_path: Path) -> None:
    scorer = NoModel()
    live = Live(scorer, MemoryStore(scorer, Rules(), durability="none"))
    live.experiments = Experiments([plans], ExposureFile(tmp_path / FILE))
    with httpx.Client(base_url=serve(live)) as http:
        expected = read_plan(plans, "free").allocation.assign("v-1").arm
        arms = http.post("/v1/assign", json={"visitor_id": "v-1"}).json()["arms"]
        assert arms["free"]["arm"] == expected
        event = {"visitor_id": "v-1", "event_type": "view_item", "price": 5.0}
        answer = http.post("/v1/events?arms=1&features=1&reasons=2", json=event).json()
        assert (answer["status"], answer["arms"]["free"]) == ("accepted", expected)
        assert "without a model" in answer["why"]
        refused = http.post("/v1/score", json={"rows": [{"clicks": 1}]}).json()
        assert "without a model" in refused["detail"]
        assert http.get("/v1/sessions?visitor_id=v-1").json()["p_buy"] is None
        assert http.get("/v1/status").status_code == 200


def test_keys_and_a_service_without_experiments(
    serve: Callable[..., str], live: Live, key_file: KeyFile, plans: Path
) -> None:
    keys = {scope: key_file.add(scope, [scope]) for scope in ("ingest", "page", "ask")}
    url = serve(live, Keys(key_file)) + "/v1/assign"

    def status(key: str | None) -> int:
        headers = {"X-Api-Key": key} if key else {}
        return httpx.post(url, json={"visitor_id": "v"}, headers=headers).status_code

    assert [status(k) for k in (None, keys["ask"], keys["ingest"])] == [401, 403, 404]
    live.experiments = Experiments([plans], ExposureFile(None))
    assert [status(keys["ingest"]), status(keys["page"])] == [200, 200]
    assert httpx.get(url, headers={"X-Api-Key": keys["page"]}).status_code == 405


def test_a_record_that_refuses_tells_nobody_an_arm(ask: Any, live: Live, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    live.running.record._writer.execute("PRAGMA busy_timeout = 0")
    blocker.execute("BEGIN IMMEDIATE")
    answer = ask(visitor_id="v-1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "free" not in answer.text
    blocker.execute("ROLLBACK")
    assert ask(visitor_id="v-1").status_code == 200
    assert [u for u, _ in exposed(tmp_path, "free")] == ["v-1"]


def test_plans_that_would_share_units_are_refused(tmp_path: Path) -> None:
    def refused(words: str, error: type[Exception] = DefinitionError, **change: Any) -> None:
        with pytest.raises(error, match=words) as said:
            read_plans([write_plans(tmp_path / "p.yaml", **change)])
        assert "\n" not in str(said.value)

    layer = {"layer": {"name": "page", "start": 0.4, "end": 0.6}}
    refused(r"overlap in layer 'page' from 0.5 to 0.6", left={**PLANS["left"], **layer})
    refused("add up to 1", free={**PLANS["free"], "arms": {"a": 0.5, "b": 0.7}})
    with pytest.raises(NotFoundError, match="no such plan"):
        read_plans([tmp_path / "none.yaml"])
    with pytest.raises(DefinitionError, match="declared twice"):
        read_plans([write_plans(tmp_path / "p.yaml"), write_plans(tmp_path / "q.yaml")])
    # One after the other they may use the same units.
    then = {"start": "2026-02-01"}
    was = {**layer, "end": "2026-02-01"}
    change = {"left": {**PLANS["left"], **was}, "right": {**PLANS["right"], **then}}
    (tmp_path / "q.yaml").unlink()
    assert len(read_plans([write_plans(tmp_path / "p.yaml", **change).parent])) == len(PLANS)


def test_changed_plans_are_taken_up_and_broken_ones_are_not(
    plans: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cartcast.live.changes.LOOK_SECONDS", 0.01)

    async def run() -> None:
        one = Experiments([plans], ExposureFile(None))
        task = asyncio.create_task(one.watch())

        async def until(said: str) -> None:
            while said not in caplog.text:
                await asyncio.sleep(0.01)

        plans.write_text("experiments: [")
        await asyncio.wait_for(until("not taken up"), 10)
        assert len(one.plans) == len(PLANS)
        write_plans(plans, more=PLANS["free"])
        await asyncio.wait_for(until("took up 8"), 10)
        assert "more" in one.plans
        task.cancel()
        await one.close()

    with caplog.at_level("INFO"):
        asyncio.run(run())


def test_several_workers_write_each_unit_once(tmp_path: Path) -> None:
    files = [ExposureFile(tmp_path / FILE) for _ in range(2)]
    rows = [Exposure(f"v-{i}", "free", 0, "free", i) for i in range(100)]
    assert [file.add(rows[k:]) for file, k in zip(files, (50, 0), strict=True)] == [50, 50]
    assert len(files[0].kept("v-1")) == 1
    assert len(exposed(tmp_path, "free")) == 100
    for file in files:
        file.close()


def test_a_forgotten_unit_leaves_the_record(tmp_path: Path) -> None:
    file = ExposureFile(tmp_path / FILE)  # stays open, as of a running service
    file.add([Exposure(f"visitor-{i}", "free", 0, "free", i) for i in range(3)])
    names = frozenset({"visitor-1", "visitor-2"})
    assert clean_database(file.path or tmp_path, Person(names.__contains__, names)) == 2
    assert exposed(tmp_path, "free") == [("visitor-0", "free")]
    assert not any(b"visitor-1" in p.read_bytes() for p in tmp_path.glob(f"{FILE}*"))
    file.close()


EXPOSURES = [
    ("Experiment Viewed", {"experiment_id": "free", "variation_id": "1"}),
    ("Experiment Viewed", {"experimentId": "free", "variationId": 0}),
    ("$feature_flag_called", {"$feature_flag": "free", "$feature_flag_response": "test"}),
    ("$experiment_started", {"Experiment name": "free", "Variant name": "b"}),
]
SEEN = {"segment": ["1", "0"], "posthog": ["1", "0", "test"], "mixpanel": ["1", "0", "b"],
        "amplitude": ["1", "0"]}  # fmt: skip


@pytest.mark.parametrize("library", libraries.LIBRARIES[:5], ids=lambda one: one.package)
def test_exposures_of_real_libraries(
    library: Any, serve: Callable[..., str], live: Live, key_file: KeyFile, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if library.version is None:
        pytest.skip(f"needs the package {library.package}, which is not installed here")
    monkeypatch.setattr(libraries, "SHOP", [*libraries.SHOP, *EXPOSURES])
    _, taken, result = libraries.measure(library, serve, live, key_file, tmp_path)
    assert result.differences == []
    seen = [event.arm for event in taken.events if event.experiment == "free"]
    assert seen == SEEN[library.layout]
    assert all(event.arm is None for event in taken.events if event.experiment is None)


def test_analyze_reads_the_folder_of_the_service(tmp_path: Path) -> None:
    from cartcast.experiments.measure import measure
    from cartcast.experiments.run import units_of
    from cartcast.experiments.simulate import World, simulate

    made = simulate(World(visitors=200, other_arm=0.1), seed=3)
    plan = read_plans([write_plans(tmp_path / "p.yaml", simulated={
        "unit": "visitor_id", "arms": ["control", "treatment"], "start": "2026-03-02",
        "quantities": {"money": {"kind": "sum", "event": "purchase", "column": "revenue"}},
        **METRICS})])["simulated"]  # fmt: skip
    rows = made.exposures.cast(made.exposures.schema).to_pylist()
    epoch = made.exposures["exposed"].cast("int64").to_pylist()
    file = ExposureFile(tmp_path / FILE)
    ordered = sorted(zip(epoch, rows, strict=True), key=lambda pair: pair[0])
    late = [r for _, r in ordered]
    file.add(Exposure(r["unit"], "simulated", 0, r["arm"], t) for t, r in ordered)
    file.add([Exposure("v0000001", "free", 0, "free", 1)])
    file.close()
    units, _ = units_of(made.log, plan, tmp_path)
    first = {r["unit"]: r["arm"] for r in reversed(late)}
    found = {r["unit"]: r["arm"] for r in units.to_pylist()}
    assert found == {unit: first[unit] for unit in found}
    assert len(found) > 100
    assert json.dumps(measure(made.log, plan, made.exposures).units.num_rows) == str(len(found))
