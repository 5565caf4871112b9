"""Monitoring: the thing that costs money is watched, with a stated budget of false alarms.

`check` looks at a run with a new log and keeps days and alarms; `open_store` gives the alarms.
"""

from cartcast.monitoring.alarms import Alarm, Silence
from cartcast.monitoring.check import Look, check, open_store
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.store import Store

__all__ = ["Alarm", "Look", "Plan", "Silence", "Store", "check", "open_store", "plan_from"]
