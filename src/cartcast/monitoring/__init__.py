"""Monitoring: the thing that costs money is watched, with a stated budget of false alarms.

- `check.check`: looks at a run with a new log, and keeps days and alarms.
- `store.open_store`: the alarms that are kept; it loads no model.
- `retrain.retrain`: trains a challenger, compares it, and promotes it when it is proven better.
- `changes.announce`: tells of a change of the champion.
"""
