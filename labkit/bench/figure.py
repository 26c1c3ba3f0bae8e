"""A measured figure: value, unit, how it was measured, and the goal where there is one."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

__all__ = ["Figure", "Progress", "median", "spread"]

Progress = Callable[[str], None]
"""Called with one line of text before each step that takes a while."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what it takes to read it."""

    name: str
    value: float
    unit: str
    method: str
    spread: float = 0.0
    """Half the distance from the best to the worst round, as a part of the value."""
    goal: float | None = None
    at_least: bool = True
    """Whether a greater value is better (the goal is a minimum)."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def document(self) -> dict[str, object]:
        """For machines: all of it, the goal as `goal` with `at_least` and `met`, or left out."""
        shown = {key: value for key, value in asdict(self).items() if key != "name"}
        if self.goal is None:
            del shown["goal"], shown["at_least"]
            return shown
        return {**shown, "met": self.met}


def median(rounds: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(rounds)


def spread(rounds: Sequence[float]) -> float:
    """Half the distance from the least to the greatest, as a part of the median."""
    return (max(rounds) - min(rounds)) / 2 / median(rounds)
