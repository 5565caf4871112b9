"""Every form by name."""

from __future__ import annotations

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms import (
    amplitude,
    diginetica,
    ga4_flat,
    ga4_nested,
    ga360,
    matomo,
    mixpanel,
    otto,
    plain,
    posthog,
    rees46,
    retailrocket,
    segment,
    shopify,
    snowplow,
    woocommerce,
    yoochoose,
)

__all__ = ["FORMS"]

_GROUPS = (
    plain, ga4_nested, ga4_flat, ga360, segment, posthog, snowplow, matomo, amplitude, mixpanel,
    shopify, woocommerce, retailrocket, rees46, yoochoose, diginetica, otto,
)  # fmt: skip

FORMS: dict[str, Form] = {form.name: form for group in _GROUPS for form in group.FORMS}
"""Every form by name."""
