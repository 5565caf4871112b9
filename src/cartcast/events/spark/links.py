"""Who must lie together: rows of one visitor, one session, or one login's devices.

A row stands for its visitor, else its login, else its session. Sessions and logins that several of
these share link them; what is linked lies in one part of the log. Ids are compared by their hashes:
where two fall on one, more lies together than must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cartcast.events.identity import MOST_DEVICES

__all__ = ["LINKED", "PAIRS", "Links", "linked"]

_NODE = "CAST(hash(coalesce(visitor_id, user_id, session_id)) >> 1 AS BIGINT)"

PAIRS = f"""
SELECT DISTINCT 's' || session_id AS key, CAST(NULL AS VARCHAR) AS login, {_NODE} AS node,
       false AS device FROM settled WHERE session_id IS NOT NULL
UNION ALL
SELECT DISTINCT 'u' || user_id, user_id, {_NODE}, visitor_id IS NOT NULL
FROM settled WHERE user_id IS NOT NULL
"""
"""SQL of the sessions and logins of a file's rows, and whom these rows stand for."""

LINKED = f"""
SELECT * FROM (
    SELECT any_value(login) AS login, count(DISTINCT node) FILTER (device) AS devices,
           min(node) AS a, unnest(list(DISTINCT node)) AS b
    FROM {{rows}} GROUP BY key HAVING min(node) <> max(node))
WHERE devices <= {MOST_DEVICES} OR a = b
"""
"""SQL of those that one session or login links; a login on too many devices links none."""


@dataclass(frozen=True)
class Links:
    """Whom others stand for: `nodes` and, in the same places, the one that they are linked to."""

    nodes: pa.Table

    def joined(self, con: duckdb.DuckDBPyConnection, rows: str) -> tuple[str, str]:
        """Return SQL of the rows (`r`), and of the number that all linked rows share."""
        con.register("linked", self.nodes)
        return f"{rows} r LEFT JOIN linked ON linked.node = {_NODE}", f"coalesce(root, {_NODE})"


def linked(edges: Sequence[tuple[int, int]]) -> Links:
    """Return the links of pairs of nodes.

    >>> linked([(1, 2), (2, 3), (7, 8)]).nodes.to_pydict()
    {'node': [2, 3, 8], 'root': [1, 1, 7]}
    """
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    nodes, places = np.unique(pairs, return_inverse=True)
    a, b = places.reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs), bool), (a, b)), (len(nodes), len(nodes)))
    _, group = connected_components(graph, directed=False)
    # The nodes are sorted, so that the first of a group is its least.
    _, first = np.unique(group, return_index=True)
    roots = nodes[first][group]
    moved = nodes != roots
    return Links(pa.table({"node": nodes[moved], "root": roots[moved]}))
