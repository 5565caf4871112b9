"""Decisions while the visitor is still there: rules over open sessions, kept before they are told.

A session is one occasion: asked again, it is told the same, and counts once. What is decided goes
to the outbox that lists write to, so that consent, caps and arms hold across both. Messages are
sent from there by `cartcast activate`, so that no receiver can hold up an answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from prometheus_client import Metric

from cartcast.activation.ask import Decide, Decided, Decision
from cartcast.activation.judge import Condition, Verdict, conditions, message
from cartcast.activation.keeper import Asked, Keeper
from cartcast.activation.outbox import Outbox
from cartcast.activation.plan import Activation, read_activations
from cartcast.errors import CartcastError, UsageError, did_you_mean
from cartcast.events.ids import PERSON_COLUMNS
from cartcast.live.changes import follow, stamps
from cartcast.live.event import Event
from cartcast.live.experiments import meant, require_meaning
from cartcast.live.own import is_own, is_secret
from cartcast.live.problems import Problem
from cartcast.live.service import Answer, Live
from cartcast.live.session import Session, ids_in
from cartcast.rules import names_in
from cartcast.score.without import Without

__all__ = ["Decisions"]


_DECIDE = msgspec.json.Decoder(Decide)


class Declared(NamedTuple):
    """Activations that can be decided live, and the ids that opted out of each."""

    activations: dict[str, Activation]
    opted_out: dict[str, frozenset[str]]


class Decisions:
    """The activations of one service.

    Args:
        path: YAML with `activations:` and `experiments:`.
        outbox: where contacts, exposures and messages are kept.
        live: knows the open sessions.

    Raises:
        NotFoundError, DefinitionError, UsageError: see `declared`.
    """

    def __init__(self, path: Path | str, outbox: Outbox, live: Live) -> None:
        self.path = Path(path)
        self._seen = stamps([self.path])
        self.declared = declared(self.path)
        self._seen |= stamps(self._files())
        self.keeper = Keeper(outbox)
        self.read = _DECIDE.decode
        self._live = live

    async def decide(self, asked: Decide, own: bool = False) -> Decided:
        """Return what activations say of an open session; what is decided is durable by then.

        With `own` a page asks: of the session of its own device alone, and of what is for pages.

        Raises:
            Problem: 422 without an id, for a column that may not be given, or for an unknown
                activation; 503, when decisions cannot be kept.
        """
        given = {n: v for n in PERSON_COLUMNS if (v := getattr(asked, n)) is not None}
        if not given:
            detail = f"visitor_id: one of {', '.join(PERSON_COLUMNS)} must be given"
            raise Problem(422, detail, field="visitor_id", rule="must name who it is")
        ids = {name: require_meaning(name, value) for name, value in given.items()}
        for place, key in enumerate(asked.activations or ()):
            self._require_known(f"activations[{place}]", key)
        if own:
            rule = "must be of consent alone: a page's key is known to everybody"
            _refuse(sorted(asked.columns.keys() - self._tellable()), rule)
        session = await self._find(ids, own)
        if session is None:
            return Decided(None, {})
        facts = {**self._facts(session), **ids, "session_id": session.id}
        rule = "must be left out: the service knows it itself"
        _refuse(sorted(asked.columns.keys() & {*facts, *PERSON_COLUMNS, "p_buy"}), rule)
        found = await self._of({**asked.columns, **facts}, asked.activations, own, asked.keep)
        return Decided(session.id, found)

    async def tell(self, events: Sequence[Event], answers: Sequence[Answer], own: bool) -> None:
        """Add decisions to the last answer of each session; columns are the event's own.

        Raises:
            Problem: 503, when decisions cannot be kept.
        """
        last = {a.session_id: (e, a) for e, a in zip(events, answers, strict=True)}
        for identity, (event, answer) in last.items():
            session = await self._live.store.find(identity) if identity is not None else None
            if session is None or (own and not is_own(session, event)):
                continue
            ids = meant({n: getattr(event, n) for n in PERSON_COLUMNS})
            told = event.extra or {}
            columns = {n: v for n, v in told.items() if not own or n in self._tellable()}
            row = {**columns, **self._facts(session), **ids, "session_id": session.id}
            answer.decisions = dict(await self._of(row, None, own))

    async def _find(self, ids: Mapping[str, str], own: bool) -> Session | None:
        store = self._live.store
        if "session_id" in ids and not own:
            return await store.find(ids["session_id"])
        event = Event("other", visitor_id=ids.get("visitor_id"), user_id=ids.get("user_id"))
        if own and not is_secret(event.visitor_id):
            return None
        session = await store.find_visitor(event)
        return None if session is None or (own and not is_own(session, event)) else session

    async def _of(
        self, row: Mapping[str, Any], named: Sequence[str] | None, own: bool, keep: bool = True
    ) -> dict[str, Decision]:
        """Ask activations of one session: first what needs no outbox, then caps and arms in it."""
        at = dt.datetime.fromtimestamp(self._live.clock.now() / 1e6, dt.UTC)
        found: dict[str, Decision] = {}
        asked = Asked({}, at, str(row["session_id"]), keep)
        rows: dict[str, tuple[Activation, Mapping[str, Any]]] = {}
        for key in self.declared.activations if named is None else named:
            one = self.declared.activations[key]
            if own and one.page is None:
                continue
            if (closed := one.experiment.closed(at)) is not None:
                found[key] = Decision(None, closed)
                continue
            # A word for nobody, such as `guest`, is no id.
            unit = meant({one.unit: row.get(one.unit)}).get(one.unit)
            whole = {**dict.fromkeys(one.needs()), **row, one.unit: unit}
            try:
                held = self._conditions(one, whole, at)
            except CartcastError as error:
                found[key] = Decision(None, "does not fit", why=str(error))
                continue
            failed = next((c for c in held if not c.holds), None)
            found[key] = Decision(None, failed.otherwise if failed else "", unit)
            found[key].conditions = {c.name: c.holds for c in held}
            if failed is None:
                rows[key] = one, whole
        if rows:
            asked.rows = rows
            await self.keeper.settle(asked)
            for key, verdict in asked.verdicts.items():
                _add(found[key], verdict, *rows[key], at)
        for key, decision in found.items():
            if own:
                decision.conditions = decision.why = None
            if keep:
                self.keeper.count(key, decision.reason)
        return found

    def _conditions(
        self, one: Activation, row: Mapping[str, Any], at: dt.datetime
    ) -> list[Condition]:
        names = {str(row[n]) for n in (*PERSON_COLUMNS, one.unit) if row.get(n) is not None}
        gone = not names.isdisjoint(self.declared.opted_out[one.key])
        return list(conditions(one, row, at, gone))

    def _facts(self, session: Session) -> dict[str, Any]:
        """Return what the service knows of a session, by the names of a list's columns."""
        live = self._live
        score = live.scorer.score(session.state)
        # A client's clock may be ahead by what is allowed; a score is never of a later moment.
        moment = min(session.last_time, live.clock.now()) / 1e6
        return {
            **live.scorer.values(session.state), **ids_in(session), "click": session.clicks,
            "probability": score.p_buy, "expected_revenue": score.revenue,
            "segment": score.segment, "as_of": dt.datetime.fromtimestamp(moment, dt.UTC),
        }  # fmt: skip

    def _require_known(self, where: str, key: str) -> None:
        if key not in self.declared.activations:
            rule = "must be an activation that the service decides"
            like = did_you_mean(key[:80], self.declared.activations)
            raise Problem(422, f"{where} {rule}, got {key[:80]!r}.{like}", field=where, rule=rule)

    def _tellable(self) -> set[str]:
        """Return the columns that a page may tell: who agreed, and nothing else that counts."""
        shown = [a for a in self.declared.activations.values() if a.page is not None]
        agreed = {n for a in shown for n in (names_in(a.consent) if a.consent else ())}
        return agreed - {n for a in shown for n in (*names_in(a.when), *a.send, a.unit)}

    def _files(self) -> list[Path]:
        lists = (a.opt_outs for a in self.declared.activations.values())
        return [self.path, *(path for path in lists if path is not None)]

    async def watch(self) -> None:
        """Take up changed plans and lists of opt-outs; write counts down now and then."""

        def take(new: Declared) -> str:
            self.declared = new
            return f"{len(new.activations)} activations"

        await asyncio.gather(
            follow(self._files, self._seen, lambda: declared(self.path), take),
            self.keeper.save_counts(),
        )

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus may know; reads the outbox, so not for the loop."""
        return self.keeper.collect(list(self.declared.activations))


def _add(
    decision: Decision, verdict: Verdict | str, one: Activation, row: Mapping[str, Any],
    at: dt.datetime,
) -> None:  # fmt: skip
    """Put what the outbox said into a decision, and what a page to contact is given."""
    if isinstance(verdict, str):
        decision.reason, decision.why = "does not fit", verdict
        return
    decision.arm, decision.reason = verdict.arm, verdict.reason
    if decision.conditions is not None:
        decision.conditions["not contacted lately"] = verdict.reason != "contacted lately"
    if verdict.reason == "contact" and one.page is not None:
        decision.page = dict(one.page)
        decision.values = message(one, verdict, row, at)["data"]["values"] or None


def _refuse(names: Sequence[str], rule: str) -> None:
    if names:
        where = f"columns.{names[0][:80]}"
        raise Problem(422, f"{where} {rule}", field=where, rule=rule)


def declared(path: Path) -> Declared:
    """Read the activations that can be decided live, and the opt-outs that they name.

    Raises:
        NotFoundError, DefinitionError, UsageError: see `read_activations`; or all are for lists.
    """
    every = read_activations(path, posts=False)
    live = {key: one for key, one in every.items() if one.audience is None}
    if not live:
        raise UsageError(f"{path}: each activation writes an audience, which needs a list.")
    gone = {k: Without.of(a.opt_outs, None).ids if a.opt_outs else frozenset()
            for k, a in live.items()}  # fmt: skip
    return Declared(live, gone)
