"""Evaluation: pure functions over arrays and tables, which can be trusted alone.

`scores` (one number), `share` (how sure a share is), `intervals` (bootstrap over visitors),
`curves` (reliability, ROC, gain, profit), `by_click`, `slices`, `thresholds`, `revenue`,
`segments`.
"""
