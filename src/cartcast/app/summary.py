"""What the saved views say of the last days, as a message: by e-mail, webhook or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cartcast.app import handout
from cartcast.app.frames import by_clock
from cartcast.app.headless import DrawingError, Drawn, draw
from cartcast.app.periods import BEFORE, NEARLY, USUAL, last_days
from cartcast.app.saved_views import FILE, SavedView, read_views
from cartcast.app.state import Data, Progress, Project
from cartcast.errors import UsageError
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.send import Message, post
from cartcast.numbers import day
from cartcast.report.document import Document, Section, plain_text
from cartcast.scratch import scratch

__all__ = ["Summary", "send", "summarise", "ways"]


@dataclass(frozen=True)
class Summary:
    """The saved views of a project over the last days of a log.

    Attributes:
        project: its name.
        views: the saved views, in order.
        drawn: what each says.
        links: where each is in the app: whole where the app's address is known, else its path.
        notes: what to know first: which days, and what is wrong with them.
    """

    project: str
    views: tuple[SavedView, ...]
    drawn: tuple[Drawn, ...]
    links: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def answer(self) -> str:
        """What the first view that could be counted says."""
        return next(d.headline for d in self.drawn if d.problem is None)

    @property
    def text(self) -> str:
        """The summary for a terminal, and for an e-mail."""
        sections = [Section("What is summed up", self.notes)]
        for view, d, link in zip(self.views, self.drawn, self.links, strict=True):
            told = [d.headline, d.about, d.compared or "It is not compared with days before.", d.of]
            if d.problem is not None:
                told = [f"Not counted: {d.problem}"]
            rows = [] if d.problem is not None else list(d.figures)
            told.append(link)
            sections.append(Section(view.name, [t for t in told if t], rows=rows))
        return plain_text(Document(f"Cartcast summary of {self.project}", self.answer, sections))

    @property
    def html(self) -> str:
        """The summary as one page, with its charts."""
        return handout.page(
            self.project, self.views, self.drawn, lead=" ".join(self.notes),
            links=[link if "://" in link else "" for link in self.links],
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, without its charts."""
        views = [
            {
                "name": view.name, "link": link, "problem": d.problem, "headline": d.headline,
                "about": d.about, "of": d.of, "compared": d.compared,
                "figures": [{"label": a, "value": b, "change": c} for a, b, c in d.figures],
            }
            for view, d, link in zip(self.views, self.drawn, self.links, strict=True)
        ]  # fmt: skip
        return {"type": "cartcast.summary", "project": self.project, "notes": list(self.notes),
                "views": views}  # fmt: skip


def summarise(
    folder: Path,
    sources: Sequence[str] = (),
    *,
    days: int = 7,
    app: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Read a log and return what the saved views say of its last days, against those before.

    A view keeps a period of its own; one that cannot be compared is of the whole log.

    Args:
        folder: the project.
        sources: the log; default: the project's own sources.
        days: 7, 28 or 90.
        app: the app's address; default: that of `auth.redirect_uri`.
        progress: called with what is being done.

    Raises:
        UsageError: nothing is saved, no log is named, or `days` is none of the three.
        DataError, NotFoundError: the log cannot be read.
        DrawingError: no view could be counted.
    """
    if days not in USUAL:
        raise UsageError(f"days must be 7, 28 or 90, got {days}.")
    project = Project.open(folder)
    views = read_views(project.folder)
    if not views:
        raise UsageError(
            f"{project.folder / FILE}: no view is saved; save one in the app "
            "(Save or share this view)."
        )
    named = list(sources) or project.source_paths()
    if not named:
        raise UsageError("no log is named; give FILES, or set sources: in cartcast.yaml.")
    with scratch(project.state) as folder:
        orders = None if sources else project.orders_path()
        data = project.read(named, orders=orders, progress=progress, state=folder)
        drawn = draw(project, data, views, days)
        notes = _notes(data, days)
    counted = [d for d in drawn if d.problem is None]
    if not counted:
        raise DrawingError(f"no saved view could be counted: {drawn[0].problem}")
    base = (app or _address(project)).rstrip("/")
    links = tuple(base + v.path for v in views)
    return Summary(project.folder.name, tuple(views), tuple(drawn), links, notes)


def _address(project: Project) -> str:
    """Return the app's address as the sign-in service knows it; empty when it is not known."""
    url = urlsplit(str(project.settings.auth.get("redirect_uri") or ""))
    return f"{url.scheme}://{url.netloc}" if url.netloc else ""


def _notes(data: Data, days: int) -> tuple[str, ...]:
    """Return which days are summed up, and what is wrong with them."""
    end = data.log.summary.end
    if end is None:
        return ("The log has no calendar: each view is of the whole log.",)
    # As the filters go: by the shop's clock.
    until = by_clock(end, data.log.zone)
    told = [
        f"The {last_days(days)} of {data.name}, to {day(until.isoformat())}, against {BEFORE}; a "
        "view with a period of its own keeps it."
    ]
    midnight = datetime.combine(until.date() + timedelta(days=1), time())
    if until < midnight - timedelta(days=NEARLY):
        told.append(f"Of the last day only the time until {until:%H:%M} is in the log.")
    old = (datetime.now(UTC).replace(tzinfo=None) - by_clock(end, None)).days
    if old > 1:
        told.append(f"The log ends {old:,} days ago: what came since is not in it.")
    return tuple(told)


def ways(project: Project) -> Plan:
    """Return the ways that messages of a project go.

    Raises:
        UsageError: none is set.
    """
    plan = plan_from(project.settings.monitoring)
    if not plan.webhook and not plan.email:
        raise UsageError(
            "there is nowhere to send to: set webhook: or email: under monitoring: in "
            "cartcast.yaml."
        )
    return plan


def send(plan: Plan, summary: Summary) -> tuple[list[str], list[str]]:
    """Send a summary by every way of a plan; return the ways that took it, and those that did not.

    Raises:
        SendError: no way delivered.
    """
    subject = f"Cartcast summary of {summary.project}: {summary.answer}"
    sent = post(plan, Message(subject, summary.text, summary.as_dict()))
    meant = [name for name in ("webhook", "email") if getattr(plan, name)]
    return sent, [name for name in meant if name not in sent]
