"""Evaluation: pure functions over arrays and tables, which can be trusted alone.

`scores` (one number), `intervals` (bootstrap over visitors), `curves` (reliability, ROC, gain,
profit), `by_click`, `slices`, `thresholds`, `revenue`, `segments`.
"""
