"""The report and the model card of a run, made from its folder alone.

write_report(run_dir) -> run_dir/report.html     self-contained, opens without a network
write_card(run_dir)   -> run_dir/card.md         and run_dir/card.html
"""

from __future__ import annotations

from cartcast.report.card import write_card
from cartcast.report.report import write_report

__all__ = ["write_card", "write_report"]
