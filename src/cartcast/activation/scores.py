"""Scores from a file, with columns of other tables beside them: those that a rule speaks of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from cartcast.activation.plan import Activation
from cartcast.errors import DataError, NotFoundError, UsageError, did_you_mean
from cartcast.events.engine import connect, translate
from cartcast.events.ids import id_sql
from cartcast.events.sql import file_literal, identifier, literal, read_parquet
from cartcast.rules import names_in, require_kinds, to_sql

__all__ = ["Scores", "open_scores"]

_KEYS = ("visitor_id", "user_id", "session_id")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
            "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")  # fmt: skip
_CANDIDATES = ["NULL", "BIGINT", "DOUBLE", "TIMESTAMP", "TIMESTAMPTZ", "DATE", "VARCHAR"]
# What `cartcast.spreadsheet` puts in front of a cell that would be a formula.
_NEUTRAL = r"^'['\s]*[=+\-@]"


@dataclass(frozen=True)
class Scores:
    """Scores that are open.

    Attributes:
        rows: of the file.
        units: with an id, each counted once, by its newest score.
        dated: whether the scores tell their moment (`as_of`).
        connection: the engine that holds them as `judged`.
        when: the rule as SQL.
    """

    rows: int
    units: int
    dated: bool
    connection: duckdb.DuckDBPyConnection
    when: str

    def fitting(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that the rule may hold for, by id; `judge` has the last word.

        The engine takes what is no number for a large one. That decides parts which are open to
        `judge`, so it lets more rows pass, never fewer.
        """
        found = self.connection.execute(f"SELECT * FROM judged WHERE {self.when} ORDER BY 1")
        for batch in found.to_arrow_reader(10_000):
            yield from batch.to_pylist()


@contextlib.contextmanager
def open_scores(
    activation: Activation, scores: Any, tables: Sequence[Any] = ()
) -> Iterator[Scores]:
    """Open the scores of a CSV or Parquet file (or an Arrow table or data frame).

    `tables` are joined by the unit's column, else by the session, and must have one row for each.

    Raises:
        NotFoundError: a file is not there.
        UsageError: its kind is not known.
        DefinitionError: the rule speaks of columns that are not there, or of another kind.
        DataError: a table cannot be read, has no ids, or several rows for one.
    """
    con = connect()
    try:
        given = [_table(con, f"t{i}", t, activation) for i, t in enumerate((scores, *tables))]
        own, unit = given[0], identifier(activation.unit)
        if activation.unit not in own:
            raise DataError(
                f"the scores have no column {activation.unit!r}, which holds the ids."
                f"{did_you_mean(activation.unit, own)}"
            )
        if own[activation.unit] != "text":
            raise DataError(f"{activation.unit}: ids are texts or whole numbers.")
        joins = "".join(_join(con, i, given, activation.unit) for i in range(1, len(given)))
        kinds, wanted = _columns(activation, given)
        rules = [activation.when, *([activation.consent] if activation.consent else [])]
        for rule in rules:
            require_kinds(rule, {n: k for n, k in kinds.items() if n in names_in(rule)})
        order = [f"t0.{identifier(c)} DESC NULLS LAST" for c in ("as_of", "click") if c in own]
        rows, known, units = con.execute(
            f"SELECT count(*), count({unit}), count(DISTINCT {unit}) FROM t0"
        ).fetchall()[0]
        if known > units and "as_of" not in own:
            raise DataError(
                f"{known - units} ids have several scores, and no as_of tells the newest."
            )
        con.execute(
            f"CREATE TEMP TABLE judged AS SELECT {', '.join(wanted)} FROM t0{joins} "
            f"WHERE t0.{unit} IS NOT NULL QUALIFY row_number() OVER (PARTITION BY t0.{unit} "
            f"ORDER BY {', '.join(order) or '1'}) = 1"
        )
        # A column without any value has no type that an engine could compare.
        asked = all(kinds[n] for n in names_in(activation.when))
        when = to_sql(activation.when) if asked else "TRUE"
        yield Scores(int(rows), int(units), "as_of" in own, con, when)
    except duckdb.Error as error:
        raise translate(error, "the scores") from error
    finally:
        con.close()


def _columns(
    activation: Activation, given: Sequence[dict[str, str | None]]
) -> tuple[dict[str, str | None], list[str]]:
    """Return the kinds of the columns that are needed, and SQL that takes each from its table."""
    kinds: dict[str, str | None] = {}
    wanted = [f"t0.{identifier(activation.unit)} AS {identifier(activation.unit)}"]
    names = [*activation.needs(), *(["as_of"] if "as_of" in given[0] else [])]
    for name in dict.fromkeys(n for n in names if n != activation.unit):
        homes = [i for i, table in enumerate(given) if name in table]
        if not homes:
            known = {n for table in given for n in table}
            raise DataError(
                f"{activation.key}: no table has the column {name!r}.{did_you_mean(name, known)}"
            )
        if len(homes) > 1 and name not in _KEYS and name != "as_of":
            raise DataError(f"{name}: several tables have this column; leave it in one of them.")
        kinds[name] = given[homes[0]][name]
        wanted.append(f"t{homes[0]}.{identifier(name)} AS {identifier(name)}")
        if kinds[name] not in ("number", "text", "truth", "time", None):
            raise DataError(f"{name}: a column of {kinds[name]} cannot be asked or sent.")
    return {activation.unit: given[0][activation.unit], **kinds}, wanted


def _table(
    con: duckdb.DuckDBPyConnection, name: str, source: Any, activation: Activation
) -> dict[str, str | None]:
    """Copy what is used of a table, in plain kinds; return the kind of each column."""
    csv = False
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file.")
        if path.suffix not in (".parquet", ".csv"):
            raise UsageError(f"{path}: scores and tables are .parquet or .csv files.")
        csv = path.suffix == ".csv"
        rows = _csv(con, path, activation) if csv else read_parquet(path)
    else:
        con.register(f"{name}_given", source)
        rows = f"{name}_given"
    told = con.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    kinds: dict[str, str | None] = {}
    wanted, used = [], {*_KEYS, activation.unit, "as_of", "click", *activation.needs()}
    for column, kind in ((str(r[0]), str(r[1])) for r in told):
        quoted = identifier(column)
        whole = "INT" in kind and "INTERVAL" not in kind
        if column in (*_KEYS, activation.unit) and whole:
            kinds[column], made = "text", f"CAST({quoted} AS VARCHAR)"
        elif kind.split("(")[0] in _NUMBERS:
            kinds[column], made = "number", f"CAST({quoted} AS DOUBLE)"
        elif kind.startswith(("TIMESTAMP", "DATE")):
            kinds[column], made = "time", f"CAST({quoted} AS TIMESTAMP)"
        elif kind in ("VARCHAR", "UUID") or kind.startswith("ENUM"):
            text = f"nullif(CAST({quoted} AS VARCHAR), '')"
            kinds[column], made = "text", (
                f"CASE WHEN regexp_matches({quoted}, {literal(_NEUTRAL)}) THEN {quoted}[2:] "
                f"ELSE {text} END" if csv else text)  # fmt: skip
            if column in (*_KEYS, activation.unit):
                made = id_sql(made, "VARCHAR", "visitor_id")
        else:
            kinds[column], made = "truth" if kind == "BOOLEAN" else kind.lower(), quoted
        if column in used:
            wanted.append(f"{made} AS {quoted}")
    con.execute(f"CREATE TEMP TABLE {name} AS SELECT {', '.join(wanted or ['1'])} FROM {rows}")
    for column in (used & kinds.keys()) - {*_KEYS, activation.unit}:
        # What has no value has no kind. In CSV "yes" stays a word; "true" is none.
        quoted = identifier(column)
        held, truths = con.execute(
            f"SELECT count({quoted}), "
            f"count_if(lower(CAST({quoted} AS VARCHAR)) IN ('true', 'false')) FROM {name}"
        ).fetchall()[0]
        if not held:
            kinds[column] = None
        elif csv and held == truths:
            con.execute(f"ALTER TABLE {name} ALTER {quoted} TYPE BOOLEAN")
            kinds[column] = "truth"
    return kinds


def _csv(con: duckdb.DuckDBPyConnection, path: Path, activation: Activation) -> str:
    """Return SQL that reads a CSV file; ids and addresses keep their zeros and signs."""
    reading = (
        f"read_csv({file_literal(path)}, hive_partitioning = false, sample_size = -1, "
        f"auto_type_candidates = {_CANDIDATES}"
    )
    held = {str(r[0]) for r in con.execute(f"DESCRIBE SELECT * FROM {reading})").fetchall()}
    told = activation.audience
    texts = {*_KEYS, activation.unit, *((told.email, told.phone) if told else ())} & held
    types = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in sorted(t for t in texts if t))
    return f"{reading}, types = {{{types}}})" if types else f"{reading})"


def _join(
    con: duckdb.DuckDBPyConnection, at: int, given: Sequence[dict[str, str | None]], unit: str
) -> str:
    """Return SQL that joins a table beside the scores."""
    key = next((k for k in (unit, "session_id") if k in given[0] and k in given[at]), None)
    if key is None:
        raise DataError(f"a table beside the scores needs the column {unit!r} or 'session_id'.")
    quoted = identifier(key)
    (twice,) = con.execute(
        f"SELECT count({quoted}) - count(DISTINCT {quoted}) FROM t{at}"
    ).fetchall()[0]
    if twice:
        raise DataError(f"{twice} rows of a table repeat a {key}; it must have one row for each.")
    return f" LEFT JOIN t{at} ON t{at}.{quoted} = t0.{quoted}"
