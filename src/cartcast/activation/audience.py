"""Audiences: files of those to contact, for advertising platforms and mail tools."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cartcast.activation.address import email_of, hashed, phone_of
from cartcast.activation.judge import Verdict, message
from cartcast.activation.plan import Activation
from cartcast.atomic import atomic_path, write_text
from cartcast.errors import UsageError
from cartcast.spreadsheet import write_csv

__all__ = ["file_name", "require_name", "write_audience"]

Chosen = Sequence[tuple[Verdict, Mapping[str, Any]]]
_HEADINGS = {"google": ("Email", "Phone"), "meta": ("email", "phone")}


def require_name(activation: Activation, out: Path | None) -> None:
    """Check that there is a file to write where there is an audience, of the kind it is.

    Raises:
        UsageError: there is none, or one that is not wanted.
    """
    if activation.audience is None:
        if out is not None:
            raise UsageError(f"{activation.key} sends webhooks; --out is for audiences.")
        return
    ending = ".json" if activation.audience.form == "mail" else ".csv"
    if out is None or out.suffix != ending:
        raise UsageError(f"{activation.key} writes an audience: name it with --out FILE{ending}.")


def write_audience(
    activation: Activation, chosen: Chosen, out: Path, at: dt.datetime
) -> dict[str, Path]:
    """Write those to contact; return the file of each arm.

    Advertising platforms take no column of their own making, so each arm has a file there: `out`,
    or with several arms to contact `out` with the arm's name. Of e-mail tools all are in one file,
    each with the arm.
    """
    told = activation.audience
    assert told is not None
    arms = [a for a in activation.experiment.allocation.arms if a != activation.holdout]
    if told.form == "mail":
        people = [
            {"id": v.identity, **message(activation, v, row, at)["data"],
             **({"email": email_of(row.get(told.email))} if told.email else {}),
             **({"phone": phone_of(row.get(told.phone))} if told.phone else {})}
            for v, row in chosen
        ]  # fmt: skip
        text = json.dumps({"activation": activation.key, "people": people}, indent=1)
        write_text(out, text + "\n")
        return dict.fromkeys(arms, out)
    files = {
        a: out if len(arms) == 1 else out.with_stem(f"{out.stem}-{file_name(a)}") for a in arms
    }
    if len(set(files.values())) < len(arms):
        raise UsageError(f"{activation.key}: arms of different names would share a file.")
    for arm, path in files.items():
        _write_hashed(activation, [row for v, row in chosen if v.arm == arm], path)
    return files


def _write_hashed(activation: Activation, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pandas as pd

    told = activation.audience
    assert told is not None
    heading = _HEADINGS[told.form]
    columns: dict[str, list[str | None]] = {}
    if told.email:
        columns[heading[0]] = [hashed(email_of(r.get(told.email))) for r in rows]
    if told.phone:
        numbers = [phone_of(r.get(told.phone)) for r in rows]
        if told.form == "meta":
            numbers = [n and n.removeprefix("+") for n in numbers]
        columns[heading[1]] = [hashed(n) for n in numbers]
    table = pd.DataFrame(columns, dtype="object").sort_values(list(columns), ignore_index=True)
    with atomic_path(path) as temporary:
        write_csv(table, temporary)


def file_name(word: str) -> str:
    """Return a word of the plan as a part of a file's name."""
    return re.sub(r"[^\w-]", "_", word)
