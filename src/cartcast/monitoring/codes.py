"""MO1xx: what a watched model or feed can be found to do."""

from __future__ import annotations

from cartcast.findings import declare

__all__ = [
    "CALIBRATION",
    "CLOCK",
    "DOUBLED",
    "DRIFT",
    "FEED_SHARE",
    "HOLE",
    "LATE",
    "LOSS",
    "MACHINES",
    "MONEY_SCALE",
    "NO_LEVEL",
    "PURCHASES_DOWN",
    "PURCHASES_UP",
    "READING",
    "REVENUE_DOWN",
    "REVENUE_UP",
]

PURCHASES_DOWN = declare(
    "MO101",
    "warn",
    "fewer purchases than the model expects",
    "The same visits buy less than they did: the shop has changed, purchases are lost on their "
    "way here, or the model is stale. Realised loss falls at the same time, so it would not say.",
    "Compare purchases with the shop's own orders; look at what was released on that day; then "
    "train again.",
)
PURCHASES_UP = declare(
    "MO102",
    "warn",
    "far more purchases than the model expects",
    "The model no longer sees what leads to a purchase, or purchases are counted twice.",
    "Look for lost events before the purchase (carts, checkouts) and for doubled purchases.",
)
LOSS = declare(
    "MO103",
    "warn",
    "the model's loss lies above its own level",
    "With the day's rate granted, the model tells buyers from others worse than it did on its "
    "test part: a feature broke, or what leads to a purchase has changed.",
    "Look at the features that an alarm MO121 names; train a challenger on the newest data.",
)
REVENUE_DOWN = declare(
    "MO104",
    "warn",
    "less revenue than the model expects",
    "Baskets became smaller, purchases fewer, or prices arrive in another unit or currency.",
    "Compare with the shop's own orders; see whether MO101 or MO116 say why.",
)
REVENUE_UP = declare(
    "MO105",
    "warn",
    "far more revenue than the model expects",
    "Prices in cents, doubled orders, or a season that the model has not seen.",
    "Compare with the shop's own orders; see whether MO112 or MO116 say why.",
)
CALIBRATION = declare(
    "MO106",
    "note",
    "probabilities do not hold for a click or a segment",
    "The total may be right while a part of it is not; decisions are made on parts.",
    "Train again with data of that part, or decide there by rank only.",
)
NO_LEVEL = declare(
    "MO107",
    "note",
    "the run's own level is not known well",
    "Few visitors bought in its test part: a change smaller than that uncertainty is not seen.",
    "Train on a longer log.",
)
HOLE = declare(
    "MO111",
    "warn",
    "a hole in the feed",
    "An hour holds far fewer events than the same hour of the same weekday: the tracker, the "
    "stream or the site is down.",
    "Check the tracker and the stream; send the lost events later with their own time.",
)
DOUBLED = declare(
    "MO112",
    "warn",
    "events arrive twice",
    "Clicks, carts and money count double, and features describe what nobody did.",
    "Find the second sender; give events an `event_id`.",
)
LATE = declare(
    "MO113",
    "warn",
    "events become known late",
    "Live scores do without them.",
    "Look at the queue before Cartcast.",
)
FEED_SHARE = declare(
    "MO114",
    "warn",
    "the mix of the feed differs from its own past days",
    "Rejects, nulls, unseen words, carts or purchases have another share than usual.",
    "Look at the share that the alarm names, at the source of the events.",
)
CLOCK = declare(
    "MO115",
    "warn",
    "the clock of the events has moved",
    "The day's curve lies at other hours than usual: hours and days as features mean something "
    "else.",
    "Compare the sender's clock and zone with those of the layout.",
)
MONEY_SCALE = declare(
    "MO116",
    "warn",
    "prices are of another size than usual",
    "Cents, another currency or another tax rule; all money, predicted or measured, is wrong by "
    "that factor.",
    "Check the price's unit and currency; a layout can `divide: 100`.",
)
MACHINES = declare(
    "MO117",
    "warn",
    "more sessions at the speed of machines",
    "Bots count as visits, lower every rate and cost live scoring.",
    "Filter them at the tracker; leave them out of training.",
)
READING = declare(
    "MO118",
    "warn",
    "the log is unlike the one the run was trained on",
    "Its words, columns, money or prices differ from those of the training log.",
    "See the finding that it quotes.",
)
DRIFT = declare(
    "MO121",
    "note",
    "features have moved more than in the shop's own past weeks",
    "This explains an alarm and is none itself: most shifts of features harm no model.",
    "Look at the named features first, from the top.",
)
