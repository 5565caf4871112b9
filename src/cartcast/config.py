"""Settings: every default of Cartcast in one frozen object, read from `cartcast.yaml`."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartcast.errors import DefinitionError, NotFoundError, UsageError, did_you_mean
from cartcast.sessions import SessionRules
from cartcast.yamlfile import read_yaml

__all__ = [
    "DEFAULTS",
    "PROJECT_FILE",
    "STATE_FOLDER",
    "Settings",
    "check_zone",
    "find_project",
    "parse_duration",
    "parse_size",
    "read_settings",
]

PROJECT_FILE = "cartcast.yaml"
STATE_FOLDER = ".cartcast"
ACCESS = ("private", "shared_group")
BACKUP = ("to", "every", "keep", "redis")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


@dataclass(frozen=True)
class Settings:
    """The settings of one project; each has a default that works.

    Attributes:
        sources: files or tables of the event log.
        orders: file of outcomes kept apart from the clicks, or None.
        layout: name or YAML path of the layout; None means guess.
        session_gap: seconds without an event after which a new session starts.
        session_breaks: further reasons for a new session: `midnight`, `campaign`, `purchase`.
        zone: the shop's clock, such as Europe/Berlin; None is that of the layout, else UTC.
        rates: what each currency is worth in one of them, or the file that says so; empty refuses
            logs in several.
        max_reject_share: share of rejected rows (0 to 1) above which the log is refused.
        target: name of the target, as on the command line.
        targets: proxies declared by name, each with at_least, column and value, or rule.
        features: name of a built-in feature set, or path of a YAML declaration.
        moment: when somebody acts on a score: `during` a session, `after` it, or on a `day`.
        horizon: how long an outcome counts, such as 7d; None is that of the target.
        every: seconds from one list to the next; None is an hour, a day or a week, by moment.
        seen: seconds; a list of a day holds visitors seen within them.
        anchors: clicks after which a training row is written, during a session.
        models: names of models to train; `default` is a short good list.
        budget: seconds for a whole training (infinite: `none`), what is left of them for tuning;
            None for ten minutes and no tuning.
        split: shares of the sessions that models learn from, that folds judge one after the
            other before they are learnt from, too, and that the figures are of.
        seed: seed of everything random.
        costs: money per contact and value per purchase, for thresholds by profit.
        currency: ISO 4217 code used when the source has none.
        auth: access settings of the app; empty means off (loopback only).
        access: who may read `.cartcast`: `private` (its owner) or `shared_group` (its group too).
        catalogue: URL of the catalogue database, or `$NAME` of a variable that holds one; None is
            the file in `.cartcast/`.
        store: folder or s3:// URL in which a team keeps its runs; None keeps them here alone.
        privacy: `pseudonymise`: columns whose ids are replaced by a keyed hash on entry.
        warehouses: PostgreSQL URLs, or `$NAME` of variables that hold one, for the app.
        upload_megabytes: largest upload that the app accepts.
        live: URL of the live service that the app's page Live looks at.
        experiments: files and folders of plans whose arms the live service tells.
        monitoring: budget of false alarms, accepted margins, webhook, e-mail; see
            docs/monitoring.md.
        backup: `to` (folder), `every` (a duration, which `cartcast doctor` holds you to), `keep`
            (a number or a duration), `redis: elsewhere` where a live state in Redis has a backup
            of its own.
    """

    sources: tuple[str, ...] = ()
    orders: str | None = None
    layout: str | None = None
    session_gap: float = SessionRules.gap
    session_breaks: tuple[str, ...] = ()
    zone: str | None = None
    rates: Mapping[str, Any] | str = field(default_factory=dict)
    max_reject_share: float = 0.01
    target: str = "purchase"
    targets: Mapping[str, Any] = field(default_factory=dict)
    features: str = "auto"
    moment: str = "during"
    horizon: str | None = None
    every: float | None = None
    seen: float = 30 * 86_400.0
    anchors: tuple[int, ...] = (1, 2, 3, 5, 8, 13, 21)
    models: tuple[str, ...] = ("default",)
    budget: float | None = None
    split: tuple[float, float, float] = (0.4, 0.4, 0.2)
    seed: int = 42
    costs: Mapping[str, float] = field(default_factory=dict)
    currency: str | None = None
    auth: Mapping[str, Any] = field(default_factory=dict)
    access: str = "private"
    catalogue: str | None = None
    store: str | None = None
    privacy: Mapping[str, Any] = field(default_factory=dict)
    warehouses: tuple[str, ...] = ()
    upload_megabytes: int = 500
    live: str | None = None
    experiments: tuple[str, ...] = ()
    monitoring: Mapping[str, Any] = field(default_factory=dict)
    backup: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sessions(self) -> SessionRules:
        """Where sessions end.

        Raises:
            UsageError: the gap is not positive, or a break does not exist.
        """
        return SessionRules(self.session_gap, self.session_breaks)


DEFAULTS = Settings()


def parse_duration(text: str | float) -> float:
    """Return seconds for `90`, `90s`, `30m`, `12h`, `7d` or `2w`.

    Raises:
        UsageError: the text is not a positive duration.

    >>> parse_duration("30m"), parse_duration("7d"), parse_duration(90)
    (1800.0, 604800.0, 90.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*", str(text))
    if not match or float(match[1]) <= 0:
        raise UsageError(f"a duration must look like 30m, 12h or 7d and be positive, got {text!r}.")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_size(text: str | int) -> int:
    """Return bytes for `2GB`, `500 MB` or a number of bytes.

    Raises:
        UsageError: the text is not a positive size.

    >>> parse_size("2GB")
    2000000000
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)\s*", str(text).lower())
    unit = match[2].replace("i", "") if match else "?"
    unit = unit if unit in _BYTES else unit + "b"
    if not match or unit not in _BYTES or float(match[1]) <= 0:
        raise UsageError(f"a size must look like 2GB or 500MB, got {text!r}.")
    return int(float(match[1]) * _BYTES[unit])


def find_project(start: Path | None = None) -> Path | None:
    """Return the nearest folder at or above `start` that holds `cartcast.yaml`, or None."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return None


def read_settings(folder: Path) -> Settings:
    """Read `cartcast.yaml` in `folder`.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is not YAML, or names a setting that does not exist.
    """
    path = folder / PROJECT_FILE
    if not path.is_file():
        raise NotFoundError(f"{path}: no project here; make one with `cartcast init`.")
    data = read_yaml(path) or {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}: must hold `name: value` lines, got {type(data).__name__}.")
    settings = settings_from(data, str(path))
    if isinstance(settings.rates, str):
        settings = dataclasses.replace(settings, rates=str(folder / settings.rates))
    plans = tuple(str(folder / path) for path in settings.experiments)
    settings = dataclasses.replace(settings, experiments=plans)
    if settings.layout is not None and (folder / settings.layout).is_file():
        settings = dataclasses.replace(settings, layout=str(folder / settings.layout))
    return settings


def settings_from(data: Mapping[str, Any], where: str = PROJECT_FILE) -> Settings:
    """Return settings from plain data, checking names, durations and shares.

    Raises:
        UsageError: a name is unknown or a value breaks its rule.
    """
    known = {f.name for f in dataclasses.fields(Settings)}
    for name in data:
        if name not in known:
            raise UsageError(f"{where}: unknown setting {name!r}.{did_you_mean(str(name), known)}")
    values: dict[str, Any] = {k: v for k, v in data.items() if v is not None}
    if values.get("budget") == "none":
        values["budget"] = math.inf
    for name in ("session_gap", "budget", "every", "seen"):
        if name in values and values[name] != math.inf:
            values[name] = parse_duration(values[name])
    for name in ("sources", "session_breaks", "anchors", "models", "split", "warehouses",
                 "experiments"):  # fmt: skip
        if name in values:
            value = values[name]
            values[name] = tuple(value) if isinstance(value, list | tuple) else (value,)
    settings = Settings(**values)
    try:
        _ = settings.sessions
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    check_zone(settings.zone, where)
    if settings.access not in ACCESS:
        raise UsageError(
            f"{where}: access must be one of {', '.join(ACCESS)}, got {settings.access!r}."
            f"{did_you_mean(str(settings.access), ACCESS)}"
        )
    if not 0 <= settings.max_reject_share <= 1:
        raise UsageError(
            f"{where}: max_reject_share must fulfil 0 <= share <= 1, got "
            f"{settings.max_reject_share}."
        )
    if settings.live is not None and not re.match(r"https?://[^/\s]", str(settings.live)):
        raise UsageError(f"{where}: live must be an http(s):// address, got {settings.live!r}.")
    for name in settings.backup:
        if name not in BACKUP:
            raise UsageError(f"{where}: backup: unknown {name!r}.{did_you_mean(str(name), BACKUP)}")
    if settings.backup.get("redis", "elsewhere") != "elsewhere":
        raise UsageError(f"{where}: backup: redis must be elsewhere, or left out.")
    if "every" in settings.backup:
        parse_duration(settings.backup["every"])
    if any(int(a) != a or a < 1 for a in settings.anchors):
        raise UsageError(f"{where}: anchors must be whole clicks >= 1, got {settings.anchors}.")
    if len(settings.split) != 3 or abs(sum(settings.split) - 1) > 1e-9 or min(settings.split) <= 0:
        raise UsageError(
            f"{where}: split must be three positive shares that add up to 1, got {settings.split}."
        )
    return settings


def check_zone(zone: Any, where: str) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        DefinitionError: naming the nearest one.
    """
    if zone is None:
        return
    from zoneinfo import available_timezones

    # A machine without a database of zones knows none; the first use of the zone says so.
    if (known := available_timezones()) and zone not in known:
        raise DefinitionError(
            f"{where}: unknown time zone {zone!r}.{did_you_mean(str(zone), known)}"
        )
