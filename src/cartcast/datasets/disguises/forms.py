"""Every form by name."""

from __future__ import annotations

from cartcast.datasets.disguises import ga4_flat, ga4_nested, plain
from cartcast.datasets.disguises.form import Form

__all__ = ["FORMS"]

FORMS: dict[str, Form] = {
    form.name: form for group in (plain.FORMS, ga4_nested.FORMS, ga4_flat.FORMS) for form in group
}
"""Every form by name."""
