"""Fixtures shared by all tests: real data sets, receivers of messages, what a machine must have."""

from __future__ import annotations

import base64
import gc
import os
import shutil
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

# Read by type checkers, never run.
collect_ignore = ["typed_calls.py"]
ROOT = Path(__file__).resolve().parents[1]

# Workers of two threads each share two cores: a thread that spins while it waits holds up the
# one that it waits for, and on a busy machine a fit of seconds took ten minutes. Sleeping, it does
# not. It holds for libraries that are loaded later, and for processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def own_core(worker: str, workers: int) -> None:
    """Keep a worker to one core where there are fewer than workers; the last ones may take all.

    Each would start as many threads as there are cores, and these would wait for each other.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    number = int(worker.removeprefix("gw"))
    if number < len(cores) < workers:
        os.sched_setaffinity(0, {cores[number]})


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    own_core(worker, int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def data_folder() -> Path:
    return Path(os.environ.get("CARTCAST_DATA", ROOT.parent / "shared" / "data"))


def data_file(*parts: str) -> Path:
    path = data_folder().joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"real data set {path} is not here; set CARTCAST_DATA to its folder")
    return path


@pytest.fixture(scope="session")
def eshop_file() -> Path:
    return data_file("eshop_clothing_2008", "clickstream_data_for_online_shopping.zip")


@pytest.fixture(scope="session")
def eshop_usual_split_file() -> Path:
    return data_file("eshop_clothing_2008", "usual_row_split_test_keys.csv.gz")


@pytest.fixture(scope="session")
def rees46_file() -> Path:
    return data_file("rees46_oct2019_head", "events_2019-10-01_0000-0250.csv.gz")


@pytest.fixture(scope="session")
def ga4_file() -> Path:
    return data_file("ga4_event_sample", "ga4_events_sampled.snappy.parquet")


@pytest.fixture(scope="session")
def ga360_file() -> Path:
    return data_file("ga360_one_day", "ga_sample.parquet")


@pytest.fixture(scope="session")
def shoppers_file() -> Path:
    return data_file("uci_online_shoppers", "online_shoppers_intention.csv")


@pytest.fixture(scope="session")
def hillstrom_file() -> Path:
    return data_file("hillstrom_email", "hillstrom.csv.gz")


@pytest.fixture(scope="session")
def asos_file() -> Path:
    return data_file("asos_experiments", "asos_digital_experiments_dataset.parquet")


def program(*names: str) -> str:
    """Return the path of the first program found, or skip with the reason."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"needs the program {names[0]}, which is not installed here")


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session of two cores, one for all tests of a process."""
    program("java")
    pytest.importorskip("pyspark", reason="needs the extra spark")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    made = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.memory", "1g")
        # A short life is not worth the second compiler and a collector with threads of its own.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .getOrCreate()
    )
    made.sparkContext.setLogLevel("ERROR")
    yield made
    made.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget", type=float, metavar="SECONDS",
        help="run the cheapest tests only, by what they took last, up to this sum",
    )  # fmt: skip


_SECONDS = "cartcast/seconds"
_NEW = 0.2
"""Seconds that a test is thought to take of which nothing is known."""
_took: dict[str, float] = {}


_SLOW = 30
"""As how many others a test counts that is marked slow."""
_TOGETHER = {
    "spark": ("events/test_spark", "experiments/test_assignment", "features/test_spark",
              "live/test_structured"),
    "browser": ("api/test_browser", "api/test_own", "e2e/"),
    "guarded app": ("security/test_before_the_role", "security/test_uploads"),
    "live": ("live/",), "mcp": ("mcp/",), "monitoring": ("monitoring/",), "train": ("train/",),
}  # fmt: skip
"""Files that share what is dear: an engine, a browser, a server, a trained run."""


def _group(nodeid: str) -> str:
    """Return with which tests a test shares a worker: those of its file, or of several files.

    Workers that took turns at the tests of one file would each train the run that they look at.
    """
    path = nodeid.partition("::")[0]
    for name, files in _TOGETHER.items():
        if path.startswith(tuple(f"tests/{file}" for file in files)):
            return name
    return path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out whole groups; what xdist 3.8 does with marks has no effect since pytest 9."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    for file in (file for files in _TOGETHER.values() for file in files):
        assert list((ROOT / "tests").glob(f"{file}*")), f"no test is named {file}"

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what does not fit into `--budget`; the order of the others stays.

    Of several workers one would wait at the end for a long group: those with most to do go first.
    """
    if config.getoption("loadgroup", False):
        to_do: Counter[str] = Counter()
        for item in items:
            to_do[_group(item.nodeid)] += _SLOW if item.get_closest_marker("slow") else 1
        items.sort(key=lambda item: -to_do[_group(item.nodeid)])
    left = config.getoption("--budget")
    if left is None or config.cache is None:
        return
    took: dict[str, float] = config.cache.get(_SECONDS, {})
    kept = set()
    for item in sorted(items, key=lambda i: took.get(i.nodeid, _NEW)):
        left -= took.get(item.nodeid, _NEW)
        if left < 0:
            break
        kept.add(item.nodeid)
    config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in kept])
    items[:] = [i for i in items if i.nodeid in kept]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what stays to the end out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not report.skipped:
        _took[report.nodeid] = _took.get(report.nodeid, 0.0) + report.duration


def _skips(reporter: pytest.TerminalReporter) -> list[str]:
    return [str(report.longrepr) for report in reporter.stats.get("skipped", [])]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where everything is installed (CARTCAST_NO_SKIP=1), a skipped test is a failure."""
    if os.environ.get("CARTCAST_NO_SKIP") == "1":
        for reason in _skips(terminalreporter):
            terminalreporter.write_line(f"skipped where nothing may skip: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (
        not hasattr(session.config, "workerinput")
        and getattr(session.config, "cache", None) is not None
    ):
        known = session.config.cache.get(_SECONDS, {}) | {k: round(v, 2) for k, v in _took.items()}
        session.config.cache.set(_SECONDS, known)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    strict = os.environ.get("CARTCAST_NO_SKIP") == "1" and not hasattr(
        session.config, "workerinput"
    )
    if strict and reporter is not None and session.exitstatus == 0 and _skips(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Receiver(BaseHTTPRequestHandler):
    answers: list[int]
    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((dict(self.headers.items()), body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Smtp(socketserver.StreamRequestHandler):
    mails: list[tuple[str, list[str], str]]
    refuse: list[bool]

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 here")
        sender, to = "", []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            word = line.upper()
            if word.startswith("EHLO"):
                self.say("250 here")
            elif word.startswith("MAIL"):
                sender = line
                self.say("250 ok")
            elif word.startswith("RCPT"):
                to.append(line)
                self.say("550 no such box" if self.refuse else "250 ok")
            elif word == "DATA":
                self.say("354 go on")
                text = ""
                while (part := self.rfile.readline().decode()) != ".\r\n":
                    text += part.removeprefix(".")  # RFC 5321, 4.5.2
                self.mails.append((sender, to, text))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


@pytest.fixture
def receiver() -> Iterator[tuple[dict[str, object], type[Receiver]]]:
    handler = type("Own", (Receiver,), {"answers": [], "seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        settings = {
            "url": f"http://127.0.0.1:{server.server_port}/in?k=1",
            "secret": "whsec_"
            + base64.b64encode(b"a secret of tests only, of thirty-two bytes").decode(),
            "allow_private": True,
        }
        yield settings, handler
        server.shutdown()
        thread.join()


@pytest.fixture
def smtp() -> Iterator[tuple[dict[str, object], type[Smtp]]]:
    handler = type("Own", (Smtp,), {"mails": [], "refuse": []})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield {"host": "127.0.0.1", "port": server.server_address[1], "tls": "none",
               "sender": "cartcast@shop.example", "to": ["a@shop.example", "b@shop.example"]}, handler  # fmt: skip
        server.shutdown()
        thread.join()
