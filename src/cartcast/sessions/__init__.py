"""Sessions: the one declaration of where they end, in SQL for logs, event by event for streams."""

from cartcast.sessions.live import LiveRules
from cartcast.sessions.rules import BREAKS, USUAL, SessionRules
from cartcast.sessions.sql import visits_sql

__all__ = ["BREAKS", "USUAL", "LiveRules", "SessionRules", "visits_sql"]
