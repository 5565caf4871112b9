"""The passes of reading on Spark, in order, and what the driver decides between them.

1. `TypeFile`: each file is opened and typed, and answers what files can answer.
2. `LinkFile`: sessions and logins that several visitors share are found, so that what belongs
   together is brought together.
3. `CutFile`: the good rows are cut by visitor, and moved.
4. `CleanVisitors`: repeats, sessions, order, money and counts, by the code of one machine. What
   only the whole log decides is assumed to be usual; where the answers say otherwise, this pass is
   done again as they say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.atomic import atomic_folder
from cartcast.errors import DataError, UsageError
from cartcast.events.cleaning import Cleaned, Cleaning, Plan, Settled
from cartcast.events.identity import MOST_DEVICES
from cartcast.events.kin import MOST_KIN, kin_of
from cartcast.events.layouts import Layout
from cartcast.events.reading import Read, one_clock, open_by, require_columns
from cartcast.events.rejects import REJECTED_ROWS
from cartcast.events.spark.files import CutFile, Decided, FileFacts, LinkFile, TypeFile
from cartcast.events.spark.keys import answered
from cartcast.events.spark.links import LINKED, Links, linked
from cartcast.events.spark.pieces import COLUMNS, Piece, collected, object_in, parquet, run
from cartcast.events.spark.session import by_key, holding, session, small_batches
from cartcast.events.spark.visitors import CleanVisitors, PartFacts, without_rows
from cartcast.events.staged import Staged
from cartcast.events.summed import ROWS, Answer, Whole, add_answers, tallying
from cartcast.progress import Progress

__all__ = ["SparkReading", "keep_only", "new_folder", "require_files"]

_USUAL: dict[str, Any] = {"files of pairs": [], "event ids are codes": False}
"""Decisions that are taken only where rows give cause, and what they are without."""

_ROUNDS = 6
"""Times that the decisions of a log are tried; each rests on those before it, and they are few."""

_SMALLEST = 1 << 24
"""Bytes of raw files for which a part is worth a task (100,000 events of CSV)."""


@dataclass
class SparkReading:
    """Reads files on Spark into a canonical log, as `Cleaning` does on one machine.

    Attributes:
        con: the driver's engine; it never holds a row but the rejects.
        work: the driver's folder.
        files: paths, on a disk that all machines share.
        layout: of the files; None guesses it, file by file.
        plan: how the log is cleaned; a zone that the layouts state is added.
        memory: limit of each task's engine.
        say: called with what is being done.
        parts: into how many parts the visitors are cut; Spark's default, or fewer, when None.
    """

    con: duckdb.DuckDBPyConnection
    work: Path
    files: Sequence[Path]
    layout: Layout | None
    plan: Plan
    memory: str | int | None
    say: Progress
    parts: int | None = None
    cleaning: Cleaning = field(init=False)

    def run(self, out: Path | None) -> Cleaned:
        """Return the clean log's figures; its rows are written to the folder `out`.

        Raises:
            DataError: a file cannot be read, there are no rows, or several currencies.
        """
        spark = session()
        with small_batches(spark), holding() as held:
            parts = self.parts or _parts(spark, self.files)
            self.say(f"typing {len(self.files)} files on Spark", None)
            typed = held(self._typed(spark, parts))
            facts = sorted(
                (object_in(p) for p in collected(typed, "facts")), key=lambda f: f.number
            )
            answers = add_answers(f.answers for f in facts)
            questions = {n: q for f in facts for n, q in f.questions.items()}
            answers |= answered(typed, questions, parts)
            read = self._read(facts)
            zone = next((r.layout.zone for r in read.resolved if r.layout.zone), None)
            self.plan = replace(self.plan, zone=self.plan.zone or zone)
            self.cleaning = Cleaning(self.con, read, self.plan, self.say)
            decided = self._decided(answers)
            self.say("linking visitors", None)
            links, answers["shared logins"] = self._links(typed, decided, parts)
            self.say("bringing visitors together", None)
            cut = held(
                run(_kinds(typed, "facts", "typed"), CutFile(decided, links, self.memory, parts))
            )
            answers |= add_answers(object_in(p) for p in collected(cut, "told"))
            with tallying(Whole(answers)):
                settled = self.cleaning.rules()
            self._rejects(typed, "typing")
            self._rejects(cut, "cutting")
            rows = held(_kinds(cut, "rows").repartitionById(parts, by_key()))
            return self._cleaned(rows, answers, settled, parts, out)

    def _typed(self, spark: Any, parts: int) -> Any:
        files = [
            Piece(number, "file", str(path.absolute()).encode())
            for number, path in enumerate(self.files)
        ]
        frame = spark.createDataFrame(files, COLUMNS)
        first = self.files[:MOST_KIN] if len(self.files) > 1 else ()
        kin = kin_of([open_by(self.con, path, self.layout, self.work) for path in first])
        task = TypeFile(self.layout, kin, self.plan.privacy, self.memory, parts)
        return run(frame.repartitionById(len(files), by_key()), task)

    def _read(self, facts: Sequence[FileFacts]) -> Read:
        """Return the sources as `read_sources` does, with no rows on the driver's engine."""
        read = Read([f.source for f in facts], [f.resolved for f in facts])
        read.findings = [found for f in facts for found in f.findings]
        read.clock = one_clock(read)
        stage = read.stage
        for f in facts:
            stage.sources.append(Staged(None, f.present))
            stage.event_ids |= f.event_ids
            for name, kind in f.extras.items():
                stage.extras[name] = kind if stage.extras.get(name, kind) == kind else "VARCHAR"
        if self.plan.privacy is not None:
            require_columns(read, self.plan.privacy)
        return without_rows(self.con, read)

    def _decided(self, answers: Mapping[str, Answer]) -> Decided:
        """Return what all files together decide."""
        whole, stage = Whole(answers), self.cleaning.read.stage
        with tallying(whole):
            settled = self.cleaning.rules()
        return Decided(
            stage.extras, stage.event_ids, settled.doubled, tuple(settled.directions),
            dict(answers), whole.decisions,
        )  # fmt: skip

    def _rejects(self, pieces: Any, name: str) -> None:
        """Fill the driver's table of rejects with those of a pass."""
        files: dict[int, Path] = {}
        for piece in collected(pieces, "rejects", large=True):
            path = files.setdefault(piece.key, self.work / f"{name}-{piece.key}.parquet")
            with path.open("ab") as out:
                out.write(piece.payload)
        if files:
            self.con.execute(f"INSERT INTO {REJECTED_ROWS} SELECT * FROM {parquet(files.values())}")

    def _links(self, typed: Any, decided: Decided, parts: int) -> tuple[Links, Answer]:
        """Return who is linked, and the logins that are used on too many devices to link any."""
        pairs = run(_kinds(typed, "facts", "typed"), LinkFile(decided, self.memory, parts))
        found = answered(pairs, {"links": (LINKED, f"SELECT * FROM {ROWS}")}, parts)
        rows = found["links"].rows if found else []
        shared = {(login, n) for login, n, _, _ in rows if login is not None and n > MOST_DEVICES}
        return linked([(a, b) for _, n, a, b in rows if n <= MOST_DEVICES]), Answer(
            sorted(shared), 1
        )

    def _cleaned(
        self, rows: Any, answers: Mapping[str, Answer], settled: Settled, parts: int,
        out: Path | None,
    ) -> Cleaned:  # fmt: skip
        """Clean the visitors until the whole log decides what was taken for decided."""
        read = self.cleaning.read
        answers = dict(answers)
        guess = _guessed(read, answers.pop("span"))
        decisions = {**_USUAL, **self._people(answers | guess, settled)[1]}
        known = {"shared logins": answers["shared logins"]}
        for _ in range(_ROUNDS):
            self.say("sessions, order and money", None)
            task = CleanVisitors(
                read, self.cleaning.plan, settled, decisions, known, out, self.memory, parts
            )
            with holding() as held:
                done = held(run(rows, task))
                told: list[PartFacts] = [object_in(p) for p in collected(done, "part")]
                questions = {n: q for t in told for n, q in t.questions.items()}
                total = add_answers(t.answers for t in told) | answered(done, questions, parts)
            cleaned, found = self._people(total | answers, settled)
            wrong = {n: v for n, v in found.items() if decisions.get(n) != v}
            keep_only(out, () if wrong else {t.written for t in told})
            if not wrong:
                return cleaned
            decisions |= wrong
        raise DataError(
            f"{read.shown}: {', '.join(wrong)} cannot be decided in parts; read it on one machine "
            "(without --engine spark)."
        )

    def _people(
        self, answers: Mapping[str, Answer], settled: Settled
    ) -> tuple[Cleaned, dict[str, Any]]:
        """Return the figures of the whole log by its answers, and what they decide."""
        whole = Whole(answers)
        with tallying(whole):
            return self.cleaning.people(settled), whole.decisions


def _parts(spark: Any, files: Sequence[Path]) -> int:
    """Return Spark's number of partitions; fewer where parts would be small."""
    usual = int(spark.conf.get("spark.sql.shuffle.partitions"))
    size = sum(path.stat().st_size for path in files)
    return min(usual, max(int(spark.sparkContext.defaultParallelism), size // _SMALLEST))


def _guessed(read: Read, span: Answer) -> dict[str, Answer]:
    """Return answers that good rows foretell: the log's edges, and whether it states its order."""
    ((_, _, rows),) = span.rows
    own = rows if all("event_order" in r.mapped for r in read.resolved) else 0
    return {
        "span": span,
        "rows": Answer([(rows,)]),
        "own order": Answer([(own, rows)]),
        "own order twice": Answer([(0,)]),
    }


def keep_only(out: Path | None, names: Collection[str | None]) -> None:
    """Remove what tasks wrote that were run twice, or must run again."""
    for path in out.iterdir() if out is not None else ():
        if path.name not in names:
            path.unlink()


def require_files(found: Sequence[Any], orders: Any) -> list[Path]:
    """Return the files that Spark's machines can read.

    Raises:
        UsageError: there are other sources, or a table of orders.
    """
    if orders is not None:
        raise UsageError(
            "--engine spark reads no table of orders; read it on one machine, or give the orders "
            "as purchase events among the files."
        )
    for source in found:
        if not isinstance(source, Path):
            shown = source if isinstance(source, str) else type(source).__name__
            raise UsageError(
                f"--engine spark reads files on a disk that all machines share, got {shown}; write "
                "it as Parquet."
            )
    return list(found)


@contextmanager
def new_folder(path: Path | None) -> Iterator[Path | None]:
    """Yield a folder that becomes `path` in the end, or not at all; None for none.

    Raises:
        UsageError: it exists.
    """
    if path is None:
        yield None
        return
    if path.exists():
        raise UsageError(f"{path}: exists; Spark writes a new folder, give another name.")
    with atomic_folder(path) as folder:
        yield folder


def _kinds(pieces: Any, *kinds: str) -> Any:
    """Return the pieces of some kinds, and the errors."""
    from pyspark.sql import functions as fn

    return pieces.where(fn.col("kind").isin(*kinds))
