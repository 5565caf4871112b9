"""Monitoring: the thing that costs money is watched, with a stated budget of false alarms.

`check` looks at a run with a new log and keeps days and alarms; `open_store` gives the alarms;
`retrain` trains a challenger, compares it, and promotes it when it is proven better; `announce`
tells of a change of the champion.
"""

from cartcast.monitoring.alarms import Alarm, Silence
from cartcast.monitoring.changes import announce
from cartcast.monitoring.check import Look, check
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.retrain import Retrained, retrain
from cartcast.monitoring.store import Store, open_store

__all__ = [
    "Alarm",
    "Look",
    "Plan",
    "Retrained",
    "Silence",
    "Store",
    "announce",
    "check",
    "open_store",
    "plan_from",
    "retrain",
]
