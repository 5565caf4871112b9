"""A log that has passed the contract before: opened, copied, or pseudonymised as a copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from cartcast.atomic import atomic_path
from cartcast.events.engine import connect, translate
from cartcast.events.log import Log, log_from, read_metadata
from cartcast.events.privacy import Privacy, hidden_columns, require_same_key
from cartcast.events.schema import METADATA_KEY
from cartcast.events.sessionize import SESSIONS_MADE
from cartcast.events.sql import identifier, literal, place_literal, read_parquet
from cartcast.events.telling import searched, telling_columns, telling_flags
from cartcast.scratch import ScratchFolder

__all__ = ["already_clean", "clean_folder"]


def already_clean(
    source: Any,
    out: Path | str | None,
    folder: Path | str | None,
    privacy: Privacy | None,
    keep: ScratchFolder | None,
) -> Log | None:
    """Return the log in `source`; None when it is none that has passed the contract.

    Args:
        source: what was given to `load`.
        out: where a copy is wanted.
        folder: where a pseudonymised copy goes when `out` is not given; None means into `keep`.
        privacy: ids to be replaced; a log that is pseudonymised must be so by the same key.
        keep: a folder that lives as long as the log.

    Raises:
        DataError: the file is damaged.
        NotTrustedError: the log was pseudonymised with another key.
        UsageError: the log lacks a column to be pseudonymised.
    """
    if not isinstance(source, Path) or source.suffix.lower() not in (".parquet", ".pq"):
        return None
    metadata = read_metadata(source)
    if metadata is None:
        return None
    if privacy is not None:
        require_same_key(str(source), metadata.get("privacy"), privacy.fingerprint)
        if not metadata.get("privacy"):
            place = keep.path if keep is not None else Path(str(folder))
            path = Path(out) if out else place / "events.parquet"
            return log_from(path, _hidden(source, path, privacy, metadata), keep=keep)
    if out is not None and Path(out).resolve() != source.resolve():
        with atomic_path(out) as temporary:
            shutil.copyfile(source, temporary)
        source = Path(out)
    return log_from(source, metadata)


def clean_folder(source: Any, privacy: Privacy | None) -> Log | None:
    """Return the log in a folder that Spark wrote; None for anything else.

    Ids that are yet to be replaced make it none: its files are read as they would be raw.

    Raises:
        NotTrustedError: the log was pseudonymised with another key.
    """
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    path = Path(source)
    metadata = read_metadata(path)
    if metadata is None:
        return None
    if privacy is not None:
        require_same_key(str(path), metadata.get("privacy"), privacy.fingerprint)
        if not metadata.get("privacy"):
            return None
    return log_from(path, metadata)


def _hidden(
    source: Path, path: Path, privacy: Privacy, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a pseudonymised copy of a clean log, in its own order; return its metadata.

    Its rejects are not carried over: they quote the source.
    """
    told = {**metadata, "privacy": privacy.as_dict(), "rejects_beside": False}
    relation = read_parquet(source)
    try:
        with connect() as con:
            privacy.declare(con)
            kinds = {
                identifier(n): k
                for n, k, *_ in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            }
            codes = {f["code"] for f in metadata["findings"]}
            made = hidden_columns(
                privacy, list(metadata["columns"]), made=SESSIONS_MADE.code in codes
            )
            looked = f"({searched(f'SELECT * FROM {relation}', made)})"
            found = telling_columns(con, looked, telling_flags(kinds, made), source.name)
            told["findings"] = [*metadata["findings"], *(f.as_dict() for f in found)]
            text = json.dumps(told, ensure_ascii=False, sort_keys=True)
            replaced = ", ".join(f"{sql} AS {column}" for column, sql in made.items())
            with atomic_path(path) as temporary:
                con.execute(
                    f"COPY (SELECT * REPLACE ({replaced}) FROM {relation}) TO "
                    f"{place_literal(temporary)} (FORMAT parquet, COMPRESSION zstd, "
                    f"USE_TMP_FILE false, KV_METADATA {{{METADATA_KEY}: {literal(text)}}})"
                )
    except duckdb.Error as error:
        raise translate(error, str(source)) from error
    return told
