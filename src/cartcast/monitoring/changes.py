"""Changes of the champion are told: who, why, on what evidence, and how to go back.

A promotion, a rollback, a challenger that was refused and one that is proven and waits for somebody
to promote it go by the ways by which alarms go. What
is to be told is kept first, in the state of the watch, so that what no receiver took is tried
again at the next look or change, under the same id. Nothing here undoes or fails the change.
"""

from __future__ import annotations

import json
import shlex
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cartcast.config import read_settings
from cartcast.errors import CartcastError, UsageError
from cartcast.monitoring.compare import Comparison
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.send import Message, post
from cartcast.monitoring.store import Store, open_store
from cartcast.plaindata import plain
from cartcast.runs.registry import ROLLED_BACK, Promotion, Registry
from cartcast.webhook import TRIES, SendError

__all__ = ["Change", "announce", "prove", "refuse", "send_changes"]


What = Literal["promoted", "rolled back", "refused", "proven"]


@dataclass(frozen=True)
class Change:
    """What was done with a champion or a challenger.

    Attributes:
        what: `promoted`, `rolled back`, `refused`, or `proven` where `--promote never` holds it.
        target: whose champion it is.
        run: the run that was given the alias, was refused, or is proven.
        before: the run that was champion before; None for the first.
        at, who, why: as in the registry.
        figures: of the comparison, in a sentence; None for a change by hand.
        evidence: the same as data, see `Comparison.as_dict`.
        undo: the command that takes it back (for `proven`: that promotes it), or None where there
            is nothing to go back to.
    """

    what: What
    target: str
    run: str
    before: str | None
    at: str
    who: str
    why: str
    figures: str | None = None
    evidence: dict[str, Any] | None = None
    undo: str | None = None

    def message(self, identity: str) -> Message:
        """Return it as a message; `identity` is the same however often it is sent."""
        said = {
            "promoted": f"{self.run} is champion",
            "rolled back": f"rolled back to {self.run}",
            "refused": f"{self.run} is refused",
            "proven": f"{self.run} is proven and waits to be promoted",
        }
        subject = f"Cartcast: {self.target}: {said[self.what]}"
        stays, waits = self.what in ("refused", "proven"), self.what == "proven"
        lines = [
            f"{subject}.",
            f"  champion: {self.before if stays else self.run}"
            + ("" if stays else f" (before: {self.before or 'none'})"),
            f"  who:      {self.who}, {self.at}",
            f"  why:      {self.why or 'no reason was given'}",
            f"  evidence: {self.figures or 'no comparison; it was done by hand'}",
            f"  {'promote' if waits else 'undo'}: ".ljust(12)
            + (self.undo or "there is no earlier champion"),
        ]
        text = "\n".join(lines) + "\n"
        payload = {"type": "cartcast.champion", "text": text, "change": vars(self)}
        return Message(subject, text, payload, identity)


def announce(
    registry: Registry, target: str, alias: str = "champion", found: Comparison | None = None
) -> str | None:
    """Tell of the newest change of a champion; return what is to be said of the telling.

    Args:
        registry: where the change was made; the ways are those of its project's settings.
        target: whose champion.
        alias: which one was given; nobody is told of a challenger.
        found: the comparison that the change stands on.

    Returns:
        None if there is nobody to tell.
    """
    if alias != "champion":
        return None
    try:
        given = _given(registry, target, alias)
    except CartcastError as error:  # what was changed stands, whether or not it can be told
        return f"not told: {error}"
    now, before = given[0], given[1].run_id if len(given) > 1 else None
    if now.reason.startswith(ROLLED_BACK):
        undo = f"cartcast models promote {shlex.quote(before or '')}"
        return _tell(registry, "rolled back", now, now.run_id, before, found, undo)
    undo = f"cartcast models rollback champion --target {shlex.quote(target)}"
    first = before in (None, now.run_id)
    return _tell(registry, "promoted", now, now.run_id, before, found, None if first else undo)


def refuse(registry: Registry, target: str, run: str, found: Comparison) -> str | None:
    """Tell that a challenger was refused and lost its alias to the champion; as `announce`."""
    try:
        now = _given(registry, target, "challenger")[0]
    except CartcastError as error:
        return f"not told: {error}"
    undo = f"cartcast models promote {shlex.quote(run)} --alias challenger"
    return _tell(registry, "refused", now, run, now.run_id, found, undo)


def prove(registry: Registry, target: str, run: str, found: Comparison) -> str | None:
    """Tell, once for each run, that it would be champion but for `--promote never`."""
    try:
        now = _given(registry, target, "challenger")[0]
        champion = _given(registry, target, "champion")[0].run_id
    except CartcastError as error:
        return f"not told: {error}"
    why = "proven, and `--promote never` leaves the promotion to you"
    made = replace(now, at=datetime.now(UTC).isoformat(timespec="seconds"), reason=why)
    promote = f"cartcast models promote {shlex.quote(run)}"
    identity = f"msg_{uuid.uuid5(uuid.NAMESPACE_OID, f'proven {target} {run}').hex}"
    return _tell(registry, "proven", made, run, champion, found, promote, identity)


def _given(registry: Registry, target: str, alias: str) -> list[Promotion]:
    return [p for p in registry.promotions() if (p.target, p.alias) == (target, alias)]


def _tell(
    registry: Registry, what: What, made: Promotion,
    run: str, before: str | None, found: Comparison | None, undo: str | None,
    identity: str | None = None,
) -> str | None:  # fmt: skip
    """Keep what is to be told, and send it; what was kept under `identity` before is not told."""
    figures = None if found is None else found.describe()
    change = Change(
        what, made.target, run, before, made.at, made.who,
        made.reason.removesuffix(f"; {figures}"), figures,
        None if found is None else plain(found.as_dict()), undo,
    )  # fmt: skip
    try:
        plan = plan_from(read_settings(registry.folder).monitoring)
        if not plan.webhook and not plan.email:
            return None
        store = open_store(registry.folder)
        with store.transaction() as con:
            name = identity or f"msg_{uuid.uuid4().hex}"
            if con.execute("SELECT 1 FROM changes WHERE id = ?", (name,)).fetchone():
                return None
            con.execute(
                "INSERT INTO changes (id, told) VALUES (?, ?)",
                (name, json.dumps(vars(change), allow_nan=False)),
            )
        ways, problem = send_changes(store, plan, tries=1)
    except CartcastError as error:
        return f"not told: {error}"
    if problem:
        return f"not told yet: {problem} It is tried again at the next look."
    return f"told by {', '.join(ways)}"


def send_changes(store: Store, plan: Plan, *, tries: int = TRIES) -> tuple[list[str], str | None]:
    """Send what was not taken yet, oldest first, up to the first failure.

    Returns:
        The ways used, and why sending failed, or None.
    """
    if not plan.webhook and not plan.email:
        return [], None
    with store.transaction() as con:
        due = con.execute("SELECT id, told FROM changes WHERE sent IS NULL ORDER BY rowid")
        rows = due.fetchall()
    used: list[str] = []
    for identity, told in rows:
        try:
            ways = post(plan, Change(**json.loads(told)).message(identity), tries=tries)
        except (SendError, UsageError) as error:  # a look must not fail for wrong ways either
            return used, str(error)
        with store.transaction() as con:
            con.execute("UPDATE changes SET sent = ? WHERE id = ?", (", ".join(ways), identity))
        used = list(dict.fromkeys([*used, *ways]))
    return used, None
