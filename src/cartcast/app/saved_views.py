"""Views that a project keeps: `views.yaml`, a list of names and addresses in the order shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from cartcast.atomic import write_text
from cartcast.config import STATE_FOLDER
from cartcast.errors import DefinitionError, NotFoundError, StorageError, UsageError, did_you_mean
from cartcast.lock import alone
from cartcast.yamlfile import read_yaml

__all__ = ["FILE", "SavedView", "address_of", "move_view", "read_views", "remove_view", "save_view"]

FILE = "views.yaml"
_MOST, _LONGEST = 50, 4000


@dataclass(frozen=True)
class SavedView:
    """A page of the app with its whole state, under a name.

    Attributes:
        name: what people call it, one line.
        address: page and state, as `analysis?topic=Funnel&device=mobile`.

    Raises:
        DefinitionError: the name or the address cannot be.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 80 or not self.name.isprintable():
            raise DefinitionError(
                f"a view's name has 1 to 80 letters on one line, got {self.name!r:.100}."
            )
        plain = self.address.isascii() and self.address.isprintable()
        if not plain or not self.page.isidentifier() or len(self.address) > _LONGEST:
            raise DefinitionError(
                f"view {self.name!r}: the address must be page?state of at most {_LONGEST:,} "
                f"letters as a browser writes it, such as analysis?topic=Funnel, got "
                f"{self.address!a:.100}."
            )

    @property
    def page(self) -> str:
        """The page's name."""
        return self.address.partition("?")[0]

    @property
    def state(self) -> dict[str, list[str]]:
        """The state of its controls, by their keys."""
        return parse_qs(self.address.partition("?")[2], keep_blank_values=True)

    @property
    def path(self) -> str:
        """Path and query below the app's own address: the dashboard is its root.

        >>> SavedView("phones", "dashboard?device=mobile").path
        '/?device=mobile'
        """
        return "/" + self.address.removeprefix("dashboard" if self.page == "dashboard" else "")


def address_of(page: str, state: Mapping[str, list[str]]) -> str:
    """Return the address of a page in a state.

    >>> address_of("analysis", {"topic": ["Funnel"], "steps": ["cart", "product page"]})
    'analysis?topic=Funnel&steps=cart&steps=product+page'
    """
    return f"{page}?{urlencode(state, doseq=True)}" if state else page


def read_views(project: Path) -> list[SavedView]:
    """Return the views of a project, in order.

    Raises:
        DefinitionError: the file breaks a rule.
    """
    path = project / FILE
    if not path.is_file():
        return []
    rows = read_yaml(path) or []
    if not isinstance(rows, list) or not all(
        isinstance(r, dict) and set(r) == {"name", "address"} for r in rows
    ):
        raise DefinitionError(f"{path}: must be a list of views, each with `name` and `address`.")
    if len(rows) > _MOST:
        raise DefinitionError(f"{path}: must have at most {_MOST} views, has {len(rows):,}.")
    try:
        views = [SavedView(str(r["name"]), str(r["address"])) for r in rows]
    except DefinitionError as error:
        raise DefinitionError(f"{path}: {error}") from error
    if len({v.name for v in views}) < len(views):
        raise DefinitionError(f"{path}: two views have the same name.")
    return views


def save_view(project: Path, view: SavedView) -> None:
    """Save a view; one of that name keeps its place, a new one comes last.

    Raises:
        UsageError: there are too many.
        StorageError: the project cannot be written.
    """

    def put(views: list[SavedView]) -> list[SavedView]:
        if view.name in {v.name for v in views}:
            return [view if v.name == view.name else v for v in views]
        if len(views) >= _MOST:
            raise UsageError(f"a project has at most {_MOST} saved views; remove one first.")
        return [*views, view]

    _change(project, put)


def remove_view(project: Path, name: str) -> None:
    """Remove a view.

    Raises:
        NotFoundError: there is none of that name.
    """
    _change(project, lambda views: [v for k, v in enumerate(views) if k != _place(views, name)])


def move_view(project: Path, name: str, by: int) -> None:
    """Move a view up (by < 0) or down; at an end it stays.

    Raises:
        NotFoundError: there is none of that name.
    """

    def put(views: list[SavedView]) -> list[SavedView]:
        at = _place(views, name)
        rest = [v for v in views if v.name != name]
        rest.insert(max(at + by, 0), views[at])
        return rest

    _change(project, put)


def _place(views: list[SavedView], name: str) -> int:
    names = [v.name for v in views]
    if name not in names:
        raise NotFoundError(f"no saved view {name!r}.{did_you_mean(name, names)}")
    return names.index(name)


def _change(project: Path, put: Callable[[list[SavedView]], list[SavedView]]) -> None:
    """Write the list that `put` makes of it; two people's changes follow one another."""
    import yaml

    busy = UsageError("somebody else is changing the saved views; try again.")
    try:
        with alone(project / STATE_FOLDER / "views.lock", busy, wait=10.0):
            rows = [{"name": v.name, "address": v.address} for v in put(read_views(project))]
            text = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=_LONGEST)
            write_text(project / FILE, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{project / FILE}: cannot be changed ({reason}).") from error
