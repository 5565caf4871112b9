"""Monitoring: the thing that costs money is watched, with a stated budget of false alarms."""
