"""One live event: the fold of a log on a block of one, by the name that live code calls it."""

from __future__ import annotations

from cartcast.features.kernels.run import run as run_one

__all__ = ["run_one"]
