"""Activation: from a score to a message or an audience, with a holdout built in.

activation = read_activation("shop.yaml", "rescue-cart")
outbox = Outbox(".cartcast/activation/outbox.db")
activate(activation, "scores.parquet", outbox, tables=["contacts.csv"])   # a list
activate_one(activation, {"visitor_id": "v-1", "p_buy": 0.2}, outbox)     # one live score
deliver(activation, outbox)                                               # signed webhooks
"""

from __future__ import annotations

from cartcast.activation.deliver import Delivered, deliver
from cartcast.activation.judge import Contact, Verdict, judge
from cartcast.activation.outbox import Outbox
from cartcast.activation.plan import (
    Activation,
    Audience,
    Cap,
    activation_from,
    read_activation,
    read_activations,
)
from cartcast.activation.run import Activated, activate, activate_one

__all__ = [
    "Activated",
    "Activation",
    "Audience",
    "Cap",
    "Contact",
    "Delivered",
    "Outbox",
    "Verdict",
    "activate",
    "activate_one",
    "activation_from",
    "deliver",
    "judge",
    "read_activation",
    "read_activations",
]
