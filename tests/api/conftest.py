"""A server of the real application on a free port, with a stand-in model."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx._transports.default
import pytest
import uvicorn

from cartcast import system
from cartcast.access.keys import KeyFile, Keys
from cartcast.api.app import Service
from cartcast.api.fast import FastProtocol
from cartcast.api.settings import Served
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore

HERE = Path(__file__).parent


def _beside(name: str, path: Path) -> Any:
    """Load a file of the tests as a module that tests can import."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


StandIn = _beside("cartcast_test_stand_in", HERE.parent / "live" / "conftest.py").StandIn
_beside("cartcast_test_activation", HERE.parent / "activation" / "conftest.py")
for _name in (
    "tracker_forms", "tracker_parity", "tracker_libraries", "tracker_browsers", "tracker_npm",
):  # fmt: skip
    _beside(f"cartcast_test_{_name}", HERE / f"{_name}.py")


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Read the trusted certificates once, not for each request: no request here is encrypted."""
    place = httpx._transports.default
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "create_ssl_context", functools.cache(place.create_ssl_context))
        yield


def make_live(store: Any = None, scorer: Any = None) -> Live:
    scorer = scorer or StandIn()
    return Live(scorer, store or MemoryStore(scorer, Rules(), durability="none"))


@contextmanager
def run(service: Service) -> Iterator[str]:
    """Run the service in a thread; yield its URL."""
    listener = system.listen("127.0.0.1", 0)
    config = uvicorn.Config(
        service, http=FastProtocol, log_level="critical", lifespan="on", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    assert server.started
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a service; returns its URL. Stops it after the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(
            live: Live | None = None, keys: Keys | None = None, decisions: Any = None, **served: Any
        ) -> str:
            service = Service(live or make_live(), keys, Served(**served), decisions=decisions)
            return stack.enter_context(run(service))

        yield start


@pytest.fixture
def live() -> Live:
    return make_live()


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def stand_in_live(tmp_path: Path) -> Callable[..., Live]:
    """Return a function that makes a `Live` whose events are durable."""

    def make() -> Live:
        scorer = StandIn()
        return Live(scorer, MemoryStore(scorer, Rules(), tmp_path / "state"))

    return make
