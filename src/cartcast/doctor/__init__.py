"""Is this installation well, and what is to be done if not."""

from cartcast.doctor.examine import PORTS, Examined, examine

__all__ = ["PORTS", "Examined", "examine"]
