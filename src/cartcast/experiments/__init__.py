"""Experiments: design, assignment, analysis, and the choice of whom to treat.

plan = read_plan("shop.yaml", "free-shipping")
plan.allocation.assign("visitor-7").arm       # the arm, from the id alone
analysis = look("events.parquet", plan)       # measured, judged, compared
decide(analysis, plan, "revenue").action
"""

from __future__ import annotations

from cartcast.experiments.allocation import Allocation, Assigned, Holdout, Kept, Layer
from cartcast.experiments.analysis import analyze
from cartcast.experiments.assign_file import assign_file
from cartcast.experiments.assign_spark import assign_spark
from cartcast.experiments.bayes import Prior
from cartcast.experiments.decision import Decision, Since, decide, relative_of, since
from cartcast.experiments.design import Design, design
from cartcast.experiments.difference import Difference, Estimate
from cartcast.experiments.draft import OUTCOMES, draft, outcomes
from cartcast.experiments.exposures import read_exposures
from cartcast.experiments.journal import Journal
from cartcast.experiments.measure import Measured, effect_over_time, measure
from cartcast.experiments.measure_spark import measure_spark
from cartcast.experiments.metrics import Mean, Proportion, Quantile, Ratio
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan, plan_from, read_plan, read_plans
from cartcast.experiments.quantities import Quantity
from cartcast.experiments.results import Analysis, Comparison
from cartcast.experiments.run import look, measured_of, past_of, table_of, units_of
from cartcast.experiments.statistics import analyze_statistics

__all__ = [
    "OUTCOMES",
    "Allocation",
    "Analysis",
    "Assigned",
    "Comparison",
    "Decision",
    "Design",
    "Difference",
    "Estimate",
    "Holdout",
    "Journal",
    "Kept",
    "Layer",
    "Mean",
    "Measured",
    "Moments",
    "Plan",
    "Prior",
    "Proportion",
    "Quantile",
    "Quantity",
    "Ratio",
    "Since",
    "analyze",
    "analyze_statistics",
    "assign_file",
    "assign_spark",
    "decide",
    "design",
    "draft",
    "effect_over_time",
    "look",
    "measure",
    "measure_spark",
    "measured_of",
    "outcomes",
    "past_of",
    "plan_from",
    "read_exposures",
    "read_plan",
    "read_plans",
    "relative_of",
    "since",
    "table_of",
    "units_of",
]
