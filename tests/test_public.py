"""The public names are pinned, and each resolves to what it says."""

from __future__ import annotations

import inspect

import cartcast

NAMES = [
    "FeatureSet",
    "Log",
    "Proxy",
    "Purchase",
    "Revenue",
    "Run",
    "__version__",
    "audit",
    "load",
    "open_log",
    "predict",
    "simulate",
]


def test_public_names_are_pinned() -> None:
    assert sorted(cartcast.__all__) == NAMES


def test_every_name_resolves() -> None:
    for name in NAMES:
        found = getattr(cartcast, name)
        assert name == "__version__" or inspect.isclass(found) or inspect.isfunction(found), name
