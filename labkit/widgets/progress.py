"""Progress of what takes long: a share done and the time left, as words; in a notebook, a bar.

    with Progress("Linux boots", 140_000_000) as progress:
        timeline.run(until_text="/ # ", on_progress=progress)

What takes less than half a second shows nothing.
"""

import time
from collections.abc import Callable
from html import escape
from typing import Any, Self

__all__ = ["Progress", "busy", "in_notebook", "told"]

EVERY = 0.2
"""Seconds between two tellings."""
PATIENCE = 0.5
"""Seconds in which nothing is told: what is done by then needs no progress."""


class _Clock:
    """How far we are, on the way to the clock `expected`, which may lie before; told not too often."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self._began = self._told = time.monotonic()
        self._first: int | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def share(self, clock: int) -> float:
        """How much is done, 0 to 1: from the first clock that was told to the expected one."""
        first = clock if self._first is None else self._first
        return min(abs(clock - first) / max(abs(self.expected - first), 1), 1)

    def words(self, clock: int) -> str:
        """`42 %, 3 s left`, or nothing while it is too early to tell."""
        now = time.monotonic()
        if self._first is None:
            self._first = clock
        if now - self._began < PATIENCE or now - self._told < EVERY:
            return ""
        self._told = now
        done, whole = abs(clock - self._first), abs(self.expected - self._first)
        if not 0 < done < whole:
            return f"{self.seconds:.0f} s so far"
        left = (now - self._began) * (whole - done) / done
        return f"{100 * done // whole} %, {left:.0f} s left"


def told(expected: int, tell: Callable[[str], None]) -> Callable[[int], None]:
    """A callback for a clock that tells in words how far it is."""
    clock = _Clock(expected)

    def show(now: int) -> None:
        if words := clock.words(now):
            tell(words)

    return show


def busy(what: str, expected: int, tell: Callable[[str], None]) -> Callable[[int], None]:
    """The same, which says what it is that goes on."""
    return told(expected, lambda words: tell(f"{what}: {words}"))


def in_notebook() -> bool:
    """Whether there is a front-end that shows what is displayed."""
    from IPython import get_ipython  # noqa: PLC0415 (only a notebook has it loaded)

    return hasattr(get_ipython(), "kernel")


class Progress:
    """A bar under the running cell, as a context manager; outside a notebook, nothing. Call it with the clock.

    `expected` is where the clock will be at the end, as far as one knows.
    """

    def __init__(self, what: str = "", expected: int = 0) -> None:
        self.what = what
        self._clock = _Clock(expected)
        self._handle: Any = None

    def __call__(self, clock: int) -> None:
        """The work has come to that clock."""
        words = self._clock.words(clock)
        if not words:
            return
        share = self._clock.share(clock)
        text = f"{self.what}: {words}"
        self._show({
            "text/plain": text,
            "text/html": f'<progress value="{share:.3f}" aria-label="{escape(self.what)}"></progress> {escape(text)}',
        })  # fmt: skip

    def part(self, what: str, done: int, whole: int) -> None:
        """The work has come to so much of a part, which has a name; what `guests.fetch` calls."""
        if what != self.what:
            self.what, self._clock = what, _Clock(whole)
        self(done)

    def done(self, how: str = "done in") -> None:
        """Put a line in the bar's place that says how it ended, and how long it took."""
        if self._handle is not None:
            told = f"{self.what}: {how} {self._clock.seconds:.0f} s"
            self._handle.update({"text/plain": told, "text/html": f"<small>{escape(told)}</small>"}, raw=True)
            self._handle = None

    def _show(self, bundle: dict[str, str]) -> None:
        if not in_notebook():
            return
        if self._handle is None:
            from IPython import display  # noqa: PLC0415

            handle: Any = display.DisplayHandle
            self._handle = handle()
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.done("done in" if kind is None else "stopped after")
