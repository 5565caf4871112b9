"""Libraries for browsers, unchanged, on a page of another origin: what they send is what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cartcast_test_tracker_libraries as libraries
import cartcast_test_tracker_npm as npm
import cartcast_test_tracker_parity as parity
import pytest

from cartcast.access.keys import KeyFile
from cartcast.live.service import Live


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("library", npm.BROWSERS, ids=lambda one: one.package)
def test_browser_libraries(
    library: Any, serve: Callable[..., str], live: Live, key_file: KeyFile, tmp_path: Path
) -> None:
    if library.version is None:
        pytest.skip("needs chromium, which is not installed here")
    pytest.importorskip("playwright.sync_api")
    lines, taken, result = libraries.measure(library, serve, live, key_file, tmp_path)
    assert len(lines) == library.events
    assert result.differences == []
    assert (result.kept, result.refused) == (len(taken.events), (0, 0))
    assert parity.same_sessions(taken, tmp_path) == 0
    assert len(taken.events) > len(lines)  # orders of two products
    assert live.metrics.refused == {}
