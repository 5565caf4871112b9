"""Databases that a project may read tables from: files in its folder, and configured servers.

A server is named by `warehouses:` in `cartcast.yaml`, as a URL or as `$NAME` of an environment
variable that holds one; or by the variable CARTCAST_WAREHOUSE. A URL may hold a password, so it is
neither shown nor stored: people choose by host and database.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from cartcast.app.state import Project
from cartcast.errors import NotFoundError
from cartcast.events.databases import server_url, tables_in

__all__ = ["VARIABLE", "Warehouse", "find", "source", "tables", "warehouses"]

VARIABLE = "CARTCAST_WAREHOUSE"
_SUFFIXES = (".duckdb", ".ddb", ".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class Warehouse:
    """A database.

    Attributes:
        name: what people see: a path inside the project, or host and database.
        place: where it is; may hold a password.
    """

    name: str
    place: str = field(repr=False)


def warehouses(project: Project, environment: Mapping[str, str] | None = None) -> list[Warehouse]:
    """Return the databases of a project: files first, then servers.

    Raises:
        UsageError: a setting names no PostgreSQL URL, or a variable that is not set.
    """
    told = os.environ if environment is None else environment
    found = [
        Warehouse(str(path.relative_to(project.folder)), str(path))
        for path in sorted(project.folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and path.resolve().is_relative_to(project.folder.resolve())
        and not any(p.startswith(".") for p in path.relative_to(project.folder).parts)
    ]
    asked = [*project.settings.warehouses, *([f"${VARIABLE}"] if told.get(VARIABLE) else [])]
    return [*found, *dict.fromkeys(_server(text, told) for text in asked)]


def _server(text: str, environment: Mapping[str, str]) -> Warehouse:
    url = server_url(text, environment, "warehouses")
    parts = urlsplit(url)
    return Warehouse(f"{parts.hostname or 'localhost'}{parts.path}", url)


def find(project: Project, name: str) -> Warehouse:
    """Return the database that people see as `name`.

    Raises:
        NotFoundError: the project has none of this name.
    """
    for warehouse in warehouses(project):
        if warehouse.name == name:
            return warehouse
    raise NotFoundError(f"{name}: no such database in this project.")


def tables(warehouse: Warehouse) -> list[str]:
    """Return the names of its tables and views.

    Raises:
        NotFoundError, DataError: it is not there, or is no database.
    """
    return tables_in(warehouse.place)


def source(warehouse: Warehouse, table: str) -> str:
    """Return the table as a source of `cartcast.events.load`.

    Raises:
        NotFoundError: it has no such table.
    """
    if table not in tables(warehouse):
        raise NotFoundError(f"{warehouse.name}: no table {table!r}.")
    if "://" not in warehouse.place:
        return f"{warehouse.place}::{table}"
    joined = "&" if "?" in warehouse.place else "?"
    return f"{warehouse.place}{joined}table={quote(table)}"
