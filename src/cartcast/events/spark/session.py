"""The Spark session: the one that runs, or one on this machine."""

from __future__ import annotations

import os
import sys
from typing import Any

from cartcast.errors import UsageError

__all__ = ["session"]


def session() -> Any:
    """Return the running Spark session, or start one (local, all cores, UTC).

    Raises:
        UsageError: pyspark or Java is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError(
            "--engine spark needs the extra: pip install 'cartcast[spark]', and Java 17."
        ) from error
    if (active := SparkSession.getActiveSession()) is not None:
        return active
    # Workers on this machine must be the Python that has cartcast; a cluster sets its own.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return (
            SparkSession.builder.appName("cartcast")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
    except Exception as error:  # pyspark's own errors share no base with a name worth knowing
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"Spark does not start ({first}); it needs Java 17 or newer.") from error
