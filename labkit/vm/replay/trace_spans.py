"""Stretches of a run: windows that are shown, and the spans that are run through to see them."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Window", "merged", "spans"]

NEAR = 3_000_000
"""Instructions between two windows that are gone through rather than jumped: switching costs as much."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Clocks `start` up to `end`."""

    start: int
    end: int


def merged(parts: Sequence[Window], gap: int = 0) -> list[Window]:
    """In order, those that touch or lie no further apart than `gap` made one."""
    found: list[Window] = []
    for part in sorted(parts):
        if found and part.start <= found[-1].end + gap:
            found[-1] = Window(found[-1].start, max(found[-1].end, part.end))
        else:
            found.append(part)
    return found


def spans(wanted: Sequence[Window]) -> list[Window]:
    """What is run through to see all windows."""
    return merged(wanted, NEAR)
