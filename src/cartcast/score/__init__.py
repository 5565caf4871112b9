"""Scoring: a stored run says of a new log, or of a new ready table, what it expects.

For a log there is one row for each visitor whom somebody can still act on at its end: the
probability of the outcome, the expected revenue with an interval given purchase, the segment, and
the run. A log of which the run cannot say anything is refused (`cartcast.runs.foreign`).
"""

from cartcast.score.predict import predict, predict_to, score_rows
from cartcast.score.write import write_table

__all__ = ["predict", "predict_to", "score_rows", "write_table"]
