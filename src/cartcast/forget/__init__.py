"""Forgetting a person, telling what is known of one, and keeping nothing longer than asked."""

from cartcast.forget.forget import Forgetting, Place, apply, expire, export, finish, forget
from cartcast.forget.marks import Mark, Marks
from cartcast.forget.person import Person

__all__ = [
    "Forgetting", "Mark", "Marks", "Person", "Place", "apply", "expire", "export", "finish",
    "forget",
]  # fmt: skip
