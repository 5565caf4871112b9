"""The layouts that Cartcast knows, declared as data: one file a family of sources."""

from __future__ import annotations

from cartcast.events.builtin import (
    adobe,
    amplitude,
    cartcast,
    google,
    matomo,
    mixpanel,
    posthog,
    public,
    segment,
    shops,
    snowplow,
)
from cartcast.events.layouts import Layout

__all__ = ["LAYOUTS"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for family in (
        google, adobe, segment, posthog, snowplow, matomo, amplitude, mixpanel, shops, public,
        cartcast,
    )
    for layout in family.LAYOUTS
}  # fmt: skip
"""Every built-in layout by name."""
