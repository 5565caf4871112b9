"""What the whole log shows: figures, funnels, paths, cohorts, breakdowns, explanations.

Everything is counted by DuckDB over all events, not over a sample.
"""

from __future__ import annotations

from cartcast.insights.breakdown import breakdown
from cartcast.insights.cohorts import cohorts
from cartcast.insights.compare import compare
from cartcast.insights.compare_shares import compare_breakdowns, compare_funnels
from cartcast.insights.distributions import correlations, distribution
from cartcast.insights.funnel import funnel
from cartcast.insights.heatmap import heat_map
from cartcast.insights.items import compare_items, items
from cartcast.insights.listing import list_sessions, list_visitors, timeline
from cartcast.insights.overview import overview
from cartcast.insights.paths import paths
from cartcast.insights.sessions import write_sessions
from cartcast.insights.source import Slice
from cartcast.insights.together import bought_together

__all__ = [
    "Slice",
    "bought_together",
    "breakdown",
    "cohorts",
    "compare",
    "compare_breakdowns",
    "compare_funnels",
    "compare_items",
    "correlations",
    "distribution",
    "funnel",
    "heat_map",
    "items",
    "list_sessions",
    "list_visitors",
    "overview",
    "paths",
    "timeline",
    "write_sessions",
]
