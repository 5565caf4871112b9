"""A simulated shop with known truth, and public data sets fetched by checksum."""

from cartcast.datasets.simulate_model import Shop
from cartcast.datasets.simulate_shop import Arm, Simulation, simulate

__all__ = ["Arm", "Shop", "Simulation", "simulate"]
