"""Events in: read any source, hold it to the contract, and write one canonical log."""

from cartcast.events.load import RejectedError, load
from cartcast.events.log import Log, open_log
from cartcast.events.privacy import Privacy, privacy_from
from cartcast.events.propose import Proposal, propose
from cartcast.events.schema import COLUMNS, EVENT_TYPES, METADATA_KEY, Clock
from cartcast.events.summary import Summary

__all__ = [
    "COLUMNS",
    "EVENT_TYPES",
    "METADATA_KEY",
    "Clock",
    "Log",
    "Privacy",
    "Proposal",
    "RejectedError",
    "Summary",
    "load",
    "open_log",
    "privacy_from",
    "propose",
]
