"""Two simulated shops with known truth, and public data sets fetched by checksum."""

from cartcast.datasets.missions import Missions
from cartcast.datasets.opaque import Opaque, OpaqueTables, make_opaque, write_opaque
from cartcast.datasets.simulate_model import Shop
from cartcast.datasets.simulate_shop import Simulation, parse_arms, parse_day, simulate
from cartcast.datasets.simulate_stream import Arm

__all__ = [
    "Arm",
    "Missions",
    "Opaque",
    "OpaqueTables",
    "Shop",
    "Simulation",
    "make_opaque",
    "parse_arms",
    "parse_day",
    "simulate",
    "write_opaque",
]
