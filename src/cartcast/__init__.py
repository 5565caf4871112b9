"""Cartcast: from a shop's raw click log to decisions, honest by construction."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info < (3, 11):  # noqa: UP036 - a checkout on the path is not pip's to refuse
    raise ImportError(f"Cartcast needs Python 3.11 or newer; this is {sys.version.split()[0]}.")

__version__ = "0.1.0"

# Public name -> module that holds it. Resolved on first use, so that importing cartcast,
# and `cartcast --help`, load nothing heavy.
_PUBLIC: dict[str, str] = {
    "FeatureSet": "cartcast.features",
    "Log": "cartcast.events",
    "Proxy": "cartcast.targets",
    "Purchase": "cartcast.targets",
    "Revenue": "cartcast.targets",
    "Run": "cartcast.runs.run",
    "audit": "cartcast.leakage",
    "load": "cartcast.events",
    "open_log": "cartcast.events",
    "predict": "cartcast.score",
    "simulate": "cartcast.datasets",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'cartcast' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
