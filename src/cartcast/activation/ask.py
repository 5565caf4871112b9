"""Decisions on the wire: what is asked, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from cartcast.activation.plan import MOST
from cartcast.live.event import Id

__all__ = ["Decide", "Decided", "Decision"]

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Value = float | bool | Annotated[str, Meta(max_length=1_000)] | None


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """Of whose open session activations are asked.

    `columns` are what rules and consent need and the service does not know, such as consent or
    uplift; a page's key may tell consent only. Without `activations` all are asked. With `keep`
    (the default) what is decided counts as a contact; set it to false to look ahead.
    """

    visitor_id: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    columns: Annotated[dict[_Name, _Value], Meta(max_length=100)] = {}
    activations: Annotated[list[str], Meta(min_length=1, max_length=MOST)] | None = None
    keep: bool = True


class Decision(msgspec.Struct, omit_defaults=True):
    """What one activation says.

    `reason` is `contact`, `holdout` (the arm that is not contacted), or why neither: `rule`,
    `old score`, `no consent`, `opted out`, `contacted lately`, `global holdout`,
    `other experiment`, `not covered`, `blocked`, `no id`, `not started`, `ended`, or
    `does not fit` with the `why`. `conditions` tells of each condition whether it holds, null where
    that is not known. `page` and `values` are what a page to contact is given.
    """

    arm: str | None
    reason: str
    unit: str | None = None
    conditions: dict[str, bool | None] | None = None
    page: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    why: str | None = None


class Decided(msgspec.Struct):
    """Decisions by activation; none where no session is open."""

    session_id: str | None
    decisions: dict[str, Decision]
