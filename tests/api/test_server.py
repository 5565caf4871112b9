"""The real command: start, stop, restart, a new champion under load, several workers, refusals."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cartcast_test_stand_in import make_run
from typer.testing import CliRunner

from cartcast.activation import Outbox
from cartcast.api.server import GRACE_SECONDS, Plan, serve
from cartcast.cli import app
from cartcast.errors import NotFoundError, StorageError, UsageError
from cartcast.experiments.exposures import read_exposures
from cartcast.live import log, redis
from cartcast.live.place import state_elsewhere
from cartcast.live.record import read_record
from cartcast.runs.registry import Registry

VIEW = {"visitor_id": "v", "event_type": "view_item", "price": 5.0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two runs of the same features; the first is champion."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "cartcast.yaml").write_text("{}\n")
    for seed in (1, 2):
        Registry(folder).add(make_run(folder, seed, trees=10))
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when somebody listens."""
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


class Running:
    def __init__(self, project: Path, *words: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.words = [sys.executable, "-m", "cartcast", "serve", "--port", str(self.port), *words]
        self.project, self.errors = project, project / f"errors-{self.port}"
        self.start()

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(self.words, cwd=self.project, stderr=errors)
        for _ in range(1800):
            try:
                if httpx.get(self.url + "/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.errors.read_text()
            time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def running(project: Path) -> Iterator[Any]:
    made: list[Running] = []

    def start(*words: str) -> Running:
        made.append(Running(project, *words))
        return made[-1]

    yield start
    for server in made:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.mark.slow
def test_a_new_champion_is_taken_up_without_a_lost_request(project: Path, running: Any) -> None:
    server = running()
    registry = Registry(project)
    first, second = sorted(entry.run_id for entry in registry.runs())
    statuses: list[int] = []
    models: list[str] = []
    stop = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            while not stop.is_set():
                answer = http.post("/v1/events", json=VIEW)
                statuses.append(answer.status_code)
                models.append(answer.json()["model"])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while not models and sender.is_alive():
            time.sleep(0.01)
        registry.promote(second)
        for _ in range(1200):
            time.sleep(0.1)
            if models and models[-1].startswith(second):
                break
    finally:
        stop.set()
        sender.join()
        registry.promote(first)
    assert set(statuses) == {200}
    assert models[0].startswith(first)
    assert models[-1].startswith(second)
    clicks = httpx.get(server.url + "/v1/sessions?visitor_id=v").json()["clicks"]
    assert clicks == len(statuses)
    assert server.stop() == 0
    assert not list((project / ".cartcast" / "live").glob("log-*"))
    server.start()
    assert httpx.get(server.url + "/v1/sessions?visitor_id=v").json()["clicks"] == clicks
    said = server.errors.read_text()
    assert "took up model" in said
    assert "visitor" not in said


@pytest.mark.slow
def test_a_challenger_is_scored_in_the_shadow_and_recorded(project: Path, running: Any) -> None:
    server = running("--record", "1MB", "--shadow", "challenger")
    first, second = sorted(entry.run_id for entry in Registry(project).runs())

    def shadow() -> str:
        return httpx.get(server.url + "/v1/models").json()["shadow"] or ""

    def until(name: str) -> None:
        for _ in range(600):
            if shadow().startswith(name):
                return
            time.sleep(0.1)
        raise RuntimeError(f"{name} is not in the shadow")

    until(second)
    told = [httpx.post(server.url + "/v1/events", json=VIEW | {"visitor_id": "w"}).json()]
    assert "challenger" not in str(told[0])
    assert "cartcast_scores_lost_total 0.0" in httpx.get(server.url + "/metrics").text
    registry = Registry(project)
    try:
        registry.promote(first, "challenger")
        for _ in range(600):
            if not shadow():
                break
            time.sleep(0.1)
        told.append(httpx.post(server.url + "/v1/events", json=VIEW | {"visitor_id": "w"}).json())
    finally:
        registry.promote(second, "challenger")
    assert server.stop() == 0
    found = read_record(project / ".cartcast" / "scores")
    assert found["probability"].tolist() == [one["p_buy"] for one in told]
    assert found["challenger"].fillna("").tolist() == [f"{second}/lightgbm", ""]


@pytest.mark.slow
@pytest.mark.redis
def test_two_workers_share_sessions_behind_one_port(running: Any, tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs the program redis-server, which is not installed here")
    port = free_port()
    redis = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        server = running("--state", f"redis://127.0.0.1:{port}/0", "--workers", "2")
        for _ in range(30):
            assert httpx.post(server.url + "/v1/events", json=VIEW, timeout=60).status_code == 200
        assert httpx.get(server.url + "/v1/sessions?visitor_id=v").json()["clicks"] == 30
        assert state_elsewhere(server.project) == f"redis://127.0.0.1:{port}/0"
        assert server.stop() == 0
    finally:
        redis.kill()
        redis.wait()


def in_flight(url: str, done: Any, count: int = 30) -> list[tuple[int, str | None]]:
    """Send one event each from many threads until `done` says so of an answer; return the last."""
    last: list[tuple[int, str | None]] = []

    def send(number: int) -> None:
        with httpx.Client(base_url=url, timeout=120.0) as http:
            while True:
                answer = http.post("/v1/events", json={**VIEW, "visitor_id": f"v{number}"})
                if done(answer):
                    last.append((answer.status_code, answer.headers.get("retry-after")))
                    return

    senders = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(300)
    return last


def limit_files(process: Any, size: int) -> None:
    """Let a running process write no file beyond `size` bytes: its disk is full."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_stop_takes_less_than_ten_seconds_by_its_own_bounds() -> None:
    assert GRACE_SECONDS + max(log.CLOSE_SECONDS, redis.CLOSE_SECONDS) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["fsync", "write"])
def test_on_a_full_disk_all_are_answered_and_sigterm_ends_the_server(
    running: Any, tmp_path: Path, durability: str
) -> None:
    words = ["--state-dir", str(tmp_path), "--durability", durability]
    server = running(*words)
    limit_files(server.process, 20_000)
    refused = in_flight(server.url, lambda a: a.status_code != 200)
    assert [status for status, retry in refused if retry] == [503] * 30
    assert httpx.get(server.url + "/readyz").status_code == 503
    limit_files(server.process, resource.RLIM_INFINITY)
    assert [s for s, _ in in_flight(server.url, lambda a: a.status_code == 200)] == [200] * 30
    limit_files(server.process, 100)
    in_flight(server.url, lambda a: a.status_code != 200, count=3)
    assert server.stop() == 0
    server.start()
    assert httpx.get(server.url + "/v1/sessions?visitor_id=v1").json()["clicks"] >= 2


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_without_redis_all_are_answered_and_sigterm_ends_the_server(
    running: Any, tmp_path: Path, end: int
) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs the program redis-server, which is not installed here")
    port = free_port()
    words = [program, "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    database = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        server = running("--state", f"redis://127.0.0.1:{port}/0")
        enough = iter(range(10**9))

        def done(answer: httpx.Response) -> bool:
            if next(enough) == 100:
                database.send_signal(end)
            return answer.status_code != 200

        refused = in_flight(server.url, done)
        assert [status for status, retry in refused if retry] == [503] * 30
        line = socket.create_connection(("127.0.0.1", server.port))
        line.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        # Two answers later the server has taken the line and read what came on it.
        for _ in range(2):
            assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        assert server.stop() == 0
        assert b"HTTP/1.1 503" in line.recv(65536)
        line.close()
    finally:
        database.kill()
        database.wait()


@pytest.mark.slow
def test_kill_9_loses_no_exposure_and_contacts_nobody_twice(
    running: Any, project: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "free.yaml"
    rescue = {"when": "click > 0", "consent": {"not_needed": "a banner"}, "page": {"text": "hi"},
              "at_most": {"times": 1, "within": "7d"}}  # fmt: skip
    free = {"unit": "visitor_id", "arms": ["a", "b"], "metrics": {"m": {"mean": "x"}}}
    plan.write_text(json.dumps({"experiments": {"free": free, "rescue": free},
                                "activations": {"rescue": rescue}}))  # fmt: skip
    server = running("--state-dir", str(tmp_path / "state"), "--experiments", str(plan),
                     "--activation", str(plan))  # fmt: skip
    told: dict[str, str] = {}
    decided: dict[str, str] = {}

    def send(first: int) -> None:
        with httpx.Client(base_url=server.url) as http, contextlib.suppress(httpx.TransportError):
            for i in range(first, 10_000, 4):
                who = {"visitor_id": f"visitor-{i}"}
                answer = http.post("/v1/assign", json=who).json()
                arm = answer["arms"]["free"]["arm"]
                assert answer["arms"].keys() == {"free"}  # the rule decides of the other
                assert told.setdefault(f"visitor-{i}", arm) == arm
                event = {**who, "event_type": "page_view"}
                said = http.post("/v1/events?decide=1", json=event).json()["decisions"]["rescue"]
                assert decided.setdefault(f"visitor-{i}", said["arm"]) == said["arm"]

    for restart in (False, True):
        if restart:
            server.start()
        before = len(told)
        threads = [threading.Thread(target=send, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        while len(told) < before + 100 and any(t.is_alive() for t in threads):
            time.sleep(0.01)
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert len(told) >= before + 100
    kept = read_exposures([tmp_path / "state"], "free").to_pylist()
    arms = {row["unit"]: row["arm"] for row in kept}
    assert len(arms) == len(kept)  # each once
    assert {unit: arms.get(unit) for unit in told} == told  # and all that was told
    outbox = Outbox(project / ".cartcast" / "activation" / "outbox.db")
    kept = read_exposures([outbox.path], "rescue").to_pylist()
    arms = {row["unit"]: row["arm"] for row in kept}
    assert len(arms) == len(kept)
    assert {unit: arms.get(unit) for unit in decided} == decided
    assert outbox.states("rescue") == {"written": list(arms.values()).count("b")}


def test_plans_that_are_unsafe_or_do_not_fit_are_refused(project: Path) -> None:
    def refuse(**plan: Any) -> str:
        with pytest.raises(UsageError) as caught:
            serve(Plan(**{"model": "champion", "project": str(project), **plan}), lambda _: None)
        return str(caught.value)

    assert "there are no keys" in refuse(host="0.0.0.0")
    assert "--tls-cert" in refuse(tls_cert="a.pem")
    assert "--durability" in refuse(durability="maybe")
    assert "shared sessions" in refuse(workers=2)
    assert "--state must be" in refuse(state="mongo")
    assert "give --experiments" in refuse(model="none")
    with pytest.raises(NotFoundError, match=r"none\.yaml: no such plan"):
        serve(Plan("champion", str(project), experiments=("none.yaml",)), lambda _: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StorageError, match="cannot be listened on"):
            serve(Plan("champion", str(project), port=taken.getsockname()[1]), lambda _: None)


def test_keys_by_the_command(tmp_path: Path) -> None:
    file = ["--keys", str(tmp_path / "keys.json")]
    run = CliRunner().invoke
    made = run(app, ["keys", "add", "shop", "--scope", "ingest", *file])
    assert made.exit_code == 0
    assert made.stdout.startswith("cc_")
    assert run(app, ["keys", "rotate", "shop", *file]).stdout != made.stdout
    assert made.stdout.strip() not in run(app, ["keys", "list", "--json", *file]).stdout
    assert "2 keys ended" in run(app, ["keys", "revoke", "shop", *file]).stdout
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
