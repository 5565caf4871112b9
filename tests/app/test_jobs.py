from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from cartcast.app import jobs
from cartcast.app.access import Person, RefusedError
from cartcast.errors import NotFoundError, UsageError


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    for process in jobs._PROCESSES.values():
        process.wait(120)
    jobs._PROCESSES.clear()


def wait(project, job, until=("done", "failed", "cancelled", "stopped"), seconds=120):
    for _ in range(seconds * 10):
        job = jobs.get(project, job.id)
        if job.state in until:
            return job
        time.sleep(0.1)
    pytest.fail(f"job stayed {job.state}: {job.message}\n{job.log}")


def test_a_training_that_fails_says_what_the_command_line_says(with_data):
    data = with_data.get_data(None)
    # A module that somebody left in the project's folder is no part of the program.
    (with_data.folder / "cartcast.py").write_text("raise SystemExit('planted')")
    job = jobs.start(
        with_data, with_data.access.owner(), [str(data.log.path)], options={"target": "nonsense"}
    )
    done = wait(with_data, job)
    assert done.state == "failed"
    assert "nonsense" in done.message
    assert "Traceback" not in done.message
    assert not done.run_dir.exists()
    assert with_data.runs() == []


def test_cancel_ends_the_process_and_leaves_no_run(with_data):
    owner = with_data.access.owner()
    data = with_data.get_data(None)
    job = jobs.start(with_data, owner, [str(data.log.path)])
    told = json.loads((job.folder / "process.json").read_text())
    cancelled = jobs.cancel(with_data, owner, job.id)
    assert cancelled.state == "cancelled"
    assert not jobs._alive(told)
    assert not job.run_dir.exists()
    assert jobs.cancel(with_data, owner, job.id).state == "cancelled"
    jobs.remove(with_data, owner, job.id)
    with pytest.raises(NotFoundError):
        jobs.get(with_data, job.id)


def test_a_killed_process_is_noticed(with_data):
    data = with_data.get_data(None)
    job = jobs.start(with_data, with_data.access.owner(), [str(data.log.path)])
    os.killpg(json.loads((job.folder / "process.json").read_text())["pid"], 9)
    assert wait(with_data, job).state == "stopped"


def test_another_process_with_the_same_number_is_not_the_job(with_data, tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        assert not jobs._alive({"pid": other.pid, "born": "1"})
    finally:
        other.kill()
        other.wait()


def test_a_viewer_cannot_start_nor_cancel(with_data):
    viewer = Person("https://id", "eve", "Eve", "viewer")
    with pytest.raises(RefusedError, match="needs the role analyst"):
        jobs.start(with_data, viewer, ["x.csv"])
    assert jobs.jobs(with_data) == []
    with pytest.raises(RefusedError):
        jobs.cancel(with_data, viewer, "any")
    with pytest.raises(RefusedError):
        jobs.remove(with_data, viewer, "any")


def test_what_cannot_be_asked(with_data):
    owner = with_data.access.owner()
    with pytest.raises(UsageError, match="nothing to train on"):
        jobs.start(with_data, owner, [])
    with pytest.raises(UsageError):
        jobs.start(with_data, owner, ["x.csv"], options={"no_such_option": 1})
    with pytest.raises(UsageError, match="clicks must be"):
        jobs.start(with_data, owner, ["x.csv"], options={"anchors": [0]})
    with pytest.raises(NotFoundError):
        jobs.get(with_data, "../../etc")
    assert jobs.jobs(with_data) == []
