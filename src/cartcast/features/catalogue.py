"""The catalogue: each feature of a set with its unit, null rule and lineage; rows or Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cartcast.features.featureset import FeatureSet

__all__ = ["markdown", "rows"]


def rows(features: FeatureSet) -> list[dict[str, Any]]:
    """Return one row per feature: name, definition, unit, null, dtype, columns, event types.

    >>> from cartcast.features import FeatureSet, Count
    >>> rows(FeatureSet(n=Count()))[0]["null"]
    'never null; 0 when no event counts'
    """
    return [
        {
            "name": name,
            "definition": repr(f),
            "unit": f.unit,
            "null": f.null_rule,
            "dtype": f.dtype,
            "columns": sorted(f.lineage.columns),
            "event_types": None if f.lineage.event_types is None else sorted(f.lineage.event_types),
            "window": f.lineage.window,
        }
        for name, f in features.features.items()
    ]


def markdown(features: FeatureSet) -> str:
    """Return the catalogue of a set as a Markdown table."""
    lines = [
        "| feature | definition | unit | null | reads | window |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows(features):
        reads = ", ".join(f"`{c}`" for c in row["columns"]) or "every event"
        lines.append(
            f"| `{row['name']}` | `{row['definition']}` | {row['unit']} | {row['null']} | {reads} "
            f"| {row['window']} |"
        )
    return "\n".join(lines) + "\n"
