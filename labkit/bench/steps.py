"""Progress of a benchmark whose steps are of unlike length: each is told with the share done and the time left."""

import time
from collections.abc import Iterable

from labkit.bench.figure import Progress

__all__ = ["Steps"]

TRUST = 10.0
"""Seconds of the plan that count as if they had been measured here: the first short steps say little of the pace."""


class Steps:
    """A `Progress` before each step; `plan` is what each took elsewhere, in seconds, in their order.

    Steps beyond the plan are told without a time.
    """

    def __init__(self, plan: Iterable[float], say: Progress) -> None:
        self._plan, self._say = tuple(plan), say
        self._began = time.monotonic()
        self._at = 0

    def __call__(self, line: str) -> None:
        done, left = sum(self._plan[: self._at]), sum(self._plan[self._at :])
        self._at += 1
        if not left:
            self._say(line)
            return
        pace = (time.monotonic() - self._began + TRUST) / (done + TRUST)
        self._say(f"{line} ({100 * done / (done + left):.0f} %, {_in_words(left * pace)} left)")


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
