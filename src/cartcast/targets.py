"""Targets: what is predicted, what it reads, and how its label follows from the log.

A target is *observed* (the log records the outcome: purchase, revenue, add to cart, checkout) or
a *proxy* (a declared rule that stands in for an outcome that the log does not record). A proxy
carries its rule wherever it shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from cartcast.config import parse_duration
from cartcast.errors import DefinitionError, UsageError, did_you_mean
from cartcast.features.declared import Declaring

__all__ = [
    "AddToCart",
    "Checkout",
    "Proxy",
    "Purchase",
    "Reads",
    "Revenue",
    "Target",
    "asked_as",
    "parse_target",
]

Kind = Literal["observed", "proxy"]


class Reads(NamedTuple):
    """What a label looks at: columns, event types (None: all), and the window in the session."""

    columns: frozenset[str]
    event_types: frozenset[str] | None
    window: Literal["after the anchor", "whole session"]


@dataclass(frozen=True)
class Target(metaclass=Declaring):
    """A target on the log: the first event of `event_type` after the anchor, within `horizon`.

    `horizon` is `session` (until the session ends) or a duration such as `7d` (any session of
    the same visitor within that time).

    Raises:
        DefinitionError: the horizon is neither `session` nor a duration.
    """

    horizon: str = "session"
    event_type: ClassVar[str] = ""
    name: ClassVar[str] = ""
    money: ClassVar[bool] = False
    kind: ClassVar[Kind] = "observed"

    def __post_init__(self) -> None:
        if self.horizon != "session":
            try:
                parse_duration(self.horizon)
            except UsageError as error:
                raise DefinitionError(
                    f"target {self.name}: horizon must be 'session' or a duration such as 7d, "
                    f"got {self.horizon!r}."
                ) from error

    @property
    def seconds(self) -> float | None:
        """Length of the horizon in seconds; None for `session`."""
        return None if self.horizon == "session" else parse_duration(self.horizon)

    @property
    def reads(self) -> Reads:
        """What the label looks at."""
        columns = {"event_type", "event_time", "order_id"}
        if self.money:
            columns |= {"price", "quantity"}
        return Reads(frozenset(columns), frozenset({self.event_type}), "after the anchor")

    def describe(self) -> str:
        """Return the target in words, for reports."""
        window = (
            "before the session ends"
            if self.horizon == "session"
            else f"by the same visitor within {self.horizon}"
        )
        return f"{self._outcome()} {window}"

    def _outcome(self) -> str:
        return f"a later {self.event_type.replace('_', ' ')}"


@dataclass(frozen=True)
class Purchase(Target):
    """Will this visitor buy?

    >>> Purchase(horizon="7d").describe()
    'a later purchase by the same visitor within 7d'
    """

    event_type: ClassVar[str] = "purchase"
    name: ClassVar[str] = "purchase"


@dataclass(frozen=True)
class Revenue(Target):
    """How much money will follow? The label is the money; 0 where nothing is bought."""

    event_type: ClassVar[str] = "purchase"
    name: ClassVar[str] = "revenue"
    money: ClassVar[bool] = True

    def _outcome(self) -> str:
        return "the money of later purchases"


@dataclass(frozen=True)
class AddToCart(Target):
    """Will something be put into the cart?"""

    event_type: ClassVar[str] = "add_to_cart"
    name: ClassVar[str] = "add_to_cart"


@dataclass(frozen=True)
class Checkout(Target):
    """Will the checkout begin?"""

    event_type: ClassVar[str] = "begin_checkout"
    name: ClassVar[str] = "checkout"


@dataclass(frozen=True)
class Proxy(metaclass=Declaring):
    """A declared rule that stands in for an outcome that the log does not record.

    Either a rule on the future: at least `at_least` later events of the session, where `column`
    has `value` if given. Or a `rule` on the finished session, over the names of the `usual`
    feature set, for example `session_length > 5 and total_spend > 50`; such a label is known from
    the features themselves, so the audit blocks it. It exists to show that, not to be trusted.

    Raises:
        DefinitionError: the parts do not fit together.

    >>> Proxy("browsing", at_least=5).describe()
    'PROXY browsing: at least 5 more events in the session'
    """

    name: str
    at_least: int = 1
    column: str | None = None
    value: str | None = None
    rule: str | None = None
    horizon: ClassVar[str] = "session"
    seconds: ClassVar[None] = None
    kind: ClassVar[Kind] = "proxy"
    money: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise DefinitionError(f"proxy {self.name}: at_least must be >= 1, got {self.at_least}.")
        if (self.column is None) != (self.value is None):
            raise DefinitionError(f"proxy {self.name}: column and value belong together.")
        if self.rule is not None:
            if self.column is not None or self.at_least != 1:
                raise DefinitionError(f"proxy {self.name}: give a rule or later events, not both.")
            from cartcast.rules import names_in

            names_in(self.rule)

    @property
    def reads(self) -> Reads:
        """What the label looks at."""
        if self.rule is not None:
            from cartcast.features import load_set
            from cartcast.rules import names_in

            usual = load_set("usual").features
            columns: set[str] = set()
            for name in names_in(self.rule):
                if name not in usual:
                    raise DefinitionError(
                        f"proxy {self.name}: the rule names {name!r}, which the usual feature "
                        f"set does not have.{did_you_mean(name, usual)}"
                    )
                columns |= usual[name].lineage.columns
            return Reads(frozenset(columns), None, "whole session")
        columns = {self.column} if self.column else set()
        return Reads(frozenset(columns), None, "after the anchor")

    def describe(self) -> str:
        """Return the rule in words; starts with PROXY."""
        if self.rule is not None:
            return f"PROXY {self.name}: {self.rule}"
        events = "event" if self.at_least == 1 else "events"
        where = f" with {self.column} = {self.value}" if self.column else ""
        return f"PROXY {self.name}: at least {self.at_least} more {events}{where} in the session"


_OBSERVED: dict[str, type[Target]] = {
    "purchase": Purchase,
    "revenue": Revenue,
    "add_to_cart": AddToCart,
    "checkout": Checkout,
}


def parse_target(
    text: str | Target | Proxy, declared: dict[str, dict[str, object]] | None = None
) -> Target | Proxy:
    """Return the target that a word of the command line or of `cartcast.yaml` names, or itself.

    `purchase`, `revenue`, `add_to_cart`, `checkout`, each with an optional horizon as in
    `purchase:7d`; `proxy:browsing` (at least 5 more events); `proxy:browsing:3`;
    `proxy:reach:COLUMN=VALUE`; `proxy:NAME` for one declared under `targets` in `cartcast.yaml`.

    Raises:
        UsageError: no such target.

    >>> parse_target("purchase:7d")
    Purchase(horizon='7d')
    >>> parse_target("proxy:reach:category=sale").describe()
    'PROXY reach: at least 1 more event with category = sale in the session'
    """
    if isinstance(text, Target | Proxy):
        return text
    if not isinstance(text, str):
        raise UsageError(
            f"a target must be a word such as purchase:7d, or Purchase('7d'), got {text!r}."
        )
    declared = declared or {}
    if text.startswith("proxy:"):
        return _parse_proxy(text.removeprefix("proxy:"), declared)
    name, _, horizon = text.partition(":")
    if name not in _OBSERVED:
        known = [*_OBSERVED, "proxy:browsing", *(f"proxy:{n}" for n in declared)]
        raise UsageError(f"unknown target {text!r}.{did_you_mean(name, known)}")
    return _OBSERVED[name](horizon=horizon or "session")


def asked_as(target: Target | Proxy, asked: str) -> str:
    """Return the words that name a target with its horizon; `asked` are those of a proxy.

    >>> asked_as(Purchase("7d"), "purchase")
    'purchase:7d'
    """
    if isinstance(target, Proxy):
        return asked
    return target.name if target.horizon == "session" else f"{target.name}:{target.horizon}"


def _parse_proxy(text: str, declared: dict[str, dict[str, object]]) -> Proxy:
    if text in declared:
        try:
            return Proxy(name=text, **declared[text])  # type: ignore[arg-type]
        except TypeError as error:
            raise DefinitionError(
                f"target {text!r} in cartcast.yaml: {error}; a proxy has at_least, column, "
                "value or rule."
            ) from error
    if match := re.fullmatch(r"browsing(?::(\d+))?", text):
        return Proxy("browsing", at_least=int(match[1] or 5))
    if match := re.fullmatch(r"reach:([^=]+)=(.+)", text):
        return Proxy("reach", column=match[1], value=match[2])
    known = ["browsing", "reach:COLUMN=VALUE", *declared]
    raise UsageError(f"unknown proxy {text!r}.{did_you_mean(text, known)}")
