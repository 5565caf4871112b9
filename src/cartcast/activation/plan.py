"""The plan of an activation: whom to contact, under which conditions, and how; from YAML.

An activation is an experiment that acts: its first arm is the holdout, which is chosen as the
others are and not contacted. So each activation names an experiment of the same file, by which
`cartcast experiment analyze` measures it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartcast.config import parse_duration
from cartcast.errors import DefinitionError, NotFoundError, UsageError, did_you_mean
from cartcast.experiments.plan import Plan, plan_from
from cartcast.rules import names_in
from cartcast.webhook import Endpoint
from cartcast.yamlfile import read_yaml

__all__ = [
    "Activation",
    "Audience",
    "Cap",
    "activation_from",
    "read_activation",
    "read_activations",
]

FORMS = ("google", "meta", "mail")
MOST = 100
"""Activations of one file."""


@dataclass(frozen=True)
class Cap:
    """How often somebody is contacted at most.

    Attributes:
        times: contacts that are allowed within the period.
        within: length of the period in seconds.
        across: whether contacts of all activations count; else of this one only.
    """

    times: int
    within: float
    across: bool = False

    @classmethod
    def of(cls, where: str, data: Any) -> Cap:
        """Return the cap of `{times: 1, within: 7d, across: all}`."""
        _require_words(where, data, ("times", "within", "across"))
        times, across = data.get("times", 1), data.get("across")
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise DefinitionError(f"{where}: times must be 1 or more, got {times!r}.")
        if "within" not in data:
            raise DefinitionError(f"{where}: needs within, such as 7d.")
        if across not in (None, "all"):
            raise DefinitionError(f"{where}: across can be all, or left out; got {across!r}.")
        return cls(times, parse_duration(data["within"]), across == "all")


@dataclass(frozen=True)
class Audience:
    """A file of those to contact, for another tool.

    Attributes:
        form: `google` or `meta` (CSV, addresses hashed), or `mail` (JSON, addresses as they are).
        email: column of the e-mail address, or None.
        phone: column of the phone number, or None.
    """

    form: str
    email: str | None = None
    phone: str | None = None

    @classmethod
    def of(cls, where: str, data: Any) -> Audience:
        """Return the audience of `{for: google, email: email, phone: phone}`."""
        _require_words(where, data, ("for", "email", "phone"))
        form = data.get("for")
        if form not in FORMS:
            raise DefinitionError(f"{where}: for must be one of {', '.join(FORMS)}, got {form!r}.")
        if not data.get("email") and not data.get("phone"):
            raise DefinitionError(f"{where}: needs the column of an email or a phone.")
        return cls(form, data.get("email"), data.get("phone"))


@dataclass(frozen=True)
class Activation:
    """One activation as declared.

    Attributes:
        key: its name.
        experiment: arms, holdout, unit and metrics; the first arm is not contacted.
        when: the rule over the columns of a score (see `cartcast.rules`).
        consent: the rule that says who agreed; None where `no_consent` gives the reason.
        no_consent: why no consent is needed; empty where there is a rule.
        caps: how often somebody is contacted at most.
        fresh: seconds for which a score holds.
        send: columns that go along.
        webhook: where messages go, or None.
        audience: the file to write, or None.
        page: what the visitor's page is given while it is there, or None.
        opt_outs: file of ids that are not contacted, or None.

    Raises:
        DefinitionError: a condition is missing or wrong, or there is not one way to deliver.
    """

    key: str
    experiment: Plan
    when: str
    consent: str | None
    caps: tuple[Cap, ...]
    no_consent: str = ""
    fresh: float = 86_400.0
    send: tuple[str, ...] = ()
    webhook: Endpoint | None = field(default=None)
    audience: Audience | None = None
    page: Mapping[str, Any] | None = None
    opt_outs: Path | None = None

    def __post_init__(self) -> None:
        names_in(self.when)
        if not self.caps:
            raise DefinitionError(
                f"{self.key}: needs at_most, how often somebody is contacted, "
                "such as {times: 1, within: 7d}."
            )
        if self.consent is not None and not names_in(self.consent):
            raise DefinitionError(f"{self.key}: consent must name a column of who agreed.")
        if self.consent is None and not self.no_consent.strip():
            raise DefinitionError(
                f"{self.key}: needs consent, the rule that tells who agreed; where none is needed, "
                "consent: {not_needed: the reason}."
            )
        if sum(way is not None for way in (self.webhook, self.audience, self.page)) != 1:
            raise DefinitionError(f"{self.key}: needs one of webhook, audience and page.")

    @property
    def holdout(self) -> str:
        """The arm that is not contacted."""
        return self.experiment.control

    @property
    def unit(self) -> str:
        """Column of the scores that holds the id, which is hashed."""
        return self.experiment.unit

    @property
    def memory(self) -> float:
        """Seconds for which contacts count."""
        return max(cap.within for cap in self.caps)

    def needs(self) -> tuple[str, ...]:
        """Return the columns that are read, besides the unit's."""
        used = [*names_in(self.when), *(names_in(self.consent) if self.consent else ()), *self.send]
        if self.audience is not None:
            used += [c for c in (self.audience.email, self.audience.phone) if c]
        return tuple(dict.fromkeys(used))


def read_activation(path: Path | str, name: str | None = None) -> Activation:
    """Read the activation called `name` (or the only one) under `activations:` of a YAML file.

    Raises:
        NotFoundError: there is no such file, activation or experiment.
        DefinitionError: it is declared wrongly.
        UsageError: the webhook's secret is not set.
    """
    path = Path(path)
    found, experiments = _declared(path)
    chosen = name or (next(iter(found)) if len(found) == 1 else None)
    if chosen is None or chosen not in found:
        told = f"no activation {chosen!r}" if chosen else "several activations; choose with --name"
        raise NotFoundError(f"{path}: {told}.{did_you_mean(str(chosen), found)}")
    return activation_from(chosen, found[chosen], experiments, folder=path.absolute().parent)


def read_activations(path: Path | str, posts: bool = True) -> dict[str, Activation]:
    """Read all activations of a YAML file, in its order, by name.

    Where this process only keeps messages, and does not post them, the secrets need not be set.

    Raises:
        NotFoundError, DefinitionError, UsageError: as `read_activation`, or there are too many.
    """
    path = Path(path)
    found, experiments = _declared(path)
    if len(found) > MOST:
        raise DefinitionError(f"{path}: at most {MOST} activations, got {len(found)}.")
    folder = path.absolute().parent
    return {k: activation_from(k, data, experiments, folder, posts) for k, data in found.items()}


def _declared(path: Path) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return what a file declares under `activations:` and under `experiments:`."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such plan.")
    data = read_yaml(path)
    found = data.get("activations") if isinstance(data, dict) else None
    if not isinstance(found, dict) or not found:
        raise DefinitionError(f"{path}: must hold activations: with a name and a plan for each.")
    return {str(key): one for key, one in found.items()}, data.get("experiments") or {}


_KNOWN = ("experiment", "when", "consent", "at_most", "fresh", "send", "webhook", "audience",
          "page", "without")  # fmt: skip


def activation_from(
    key: str, data: Mapping[str, Any], experiments: Mapping[str, Any], folder: Path | None = None,
    posts: bool = True,
) -> Activation:  # fmt: skip
    """Return an activation from plain data and the experiments declared beside it.

    `folder` is where files that it names lie; `posts` as in `read_activations`.

    Raises:
        NotFoundError, DefinitionError, UsageError: as `read_activation`.
    """
    _require_words(key, data, _KNOWN)
    of = str(data.get("experiment", key))
    if not isinstance(experiments, Mapping) or not isinstance(experiments.get(of), Mapping):
        raise NotFoundError(
            f"{key}: no experiment {of!r} under experiments:, which holds its arms (the first is "
            f"the holdout) and metrics.{did_you_mean(of, experiments or ())}"
        )
    consent, reason = data.get("consent"), ""
    if isinstance(consent, Mapping):
        _require_words(f"{key}: consent", consent, ("not_needed",))
        reason = _text(f"{key}: not_needed", consent.get("not_needed"))
    caps = data.get("at_most") or ()
    send = data.get("send") or ()
    if not isinstance(send, list | tuple):
        raise DefinitionError(f"{key}: send must be a list of columns, got {send!r}.")
    without = data.get("without")
    return Activation(
        key=key,
        experiment=plan_from({"key": of, **experiments[of]}),
        when=_text(f"{key}: when", data.get("when")),
        consent=None if consent is None or reason else _text(f"{key}: consent", consent),
        no_consent=reason,
        caps=tuple(Cap.of(f"{key}: at_most", c) for c in
                   ([caps] if isinstance(caps, Mapping) else _list(f"{key}: at_most", caps))),
        fresh=parse_duration(data.get("fresh", "1d")),
        send=tuple(_text(f"{key}: send", s) for s in send),
        webhook=_endpoint(key, data["webhook"], posts) if "webhook" in data else None,
        audience=Audience.of(f"{key}: audience", data["audience"]) if "audience" in data else None,
        page=_page(f"{key}: page", data["page"]) if "page" in data else None,
        opt_outs=None if without is None else (folder or Path()) / _text(key, without),
    )  # fmt: skip


def _endpoint(key: str, data: Any, posts: bool) -> Endpoint:
    _require_words(f"{key}: webhook", data, ("url", "secret", "allow_private"))
    if not str(data.get("secret", "")).startswith("$"):
        raise DefinitionError(
            f"{key}: webhook: secret must name a variable of the environment, as $SHOP_WEBHOOK."
        )
    try:
        return Endpoint.of(data, posts)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from error


def _page(where: str, data: Any) -> Mapping[str, Any]:
    """Return what a page is given, as JSON can carry it."""
    try:
        size = len(json.dumps(data, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where}: must be texts, numbers and lists ({error}).") from error
    if not isinstance(data, dict) or size > 10_000:
        raise DefinitionError(f"{where}: must hold `name: value` lines of at most 10 kB as JSON.")
    return data


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{where}: must be a text, got {value!r}.")
    return value


def _list(where: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise DefinitionError(f"{where}: must be one cap or a list of them, got {value!r}.")
    return value


def _require_words(where: str, data: Any, known: Sequence[str]) -> None:
    if not isinstance(data, Mapping):
        raise DefinitionError(f"{where}: must hold `name: value` lines, got {data!r}.")
    for word in data:
        if word not in known:
            raise DefinitionError(
                f"{where}: unknown word {word!r}.{did_you_mean(str(word), known)}"
            )
