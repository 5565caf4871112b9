"""The second simulated shop: people look for one item, over several visits and days.

Unlike the first shop, what a person wants lasts beyond the visit, attention comes in bursts and
pauses, prices are cut by turns, items come into and go out of fashion, and some people never buy.
Its truth is exact, too: what is hidden is finite, and the filter runs through a visitor's visits.
"""

from cartcast.datasets.missions.settings import Missions

__all__ = ["Missions"]
