"""The text screen as the command line uses it: looked at now and then, keys typed, text waited for.

For guests without a serial console. A look costs a millisecond, so it is taken every few million instructions;
where exactly depends on the count alone, so that a run on the virtual clock stays the same every time.
"""

from collections.abc import Callable

__all__ = ["LOOK_EVERY", "ScreenWatch", "run_watching"]

LOOK_EVERY = 2_000_000
"""Instructions; 10 ms of the guest's time."""
SEEN = "text seen on the screen"

Run = Callable[[int | None], tuple[str, str, int]]
"""Runs that many instructions: reason, message, instructions in all."""


class ScreenWatch:
    """Types `keys` once `after` is on the screen; then waits for `until`.

    What was there when the keys were typed does not count for `until`, unless it then appears once more.
    """

    def __init__(
        self, screen: Callable[[], list[str]], type_keys: Callable[[bytes], None],
        *, keys: bytes = b"", after: str = "", until: str = "",
    ) -> None:  # fmt: skip
        self._screen, self._type_keys = screen, type_keys
        self._keys, self._after, self._until = keys, after, until
        self._before = 0
        self.typed = not keys
        self.seen = False

    def look(self) -> bool:
        """Look at the screen; whether keys were typed for it."""
        lines = [line.rstrip() + " " for line in self._screen()]  # a prompt may end in a space
        if not self.typed:
            if not any(self._after in line for line in lines):
                return False
            self.typed = True
            self._before = self._count(lines)
            self._type_keys(self._keys)
            return True
        self.seen = bool(self._until) and self._count(lines) > self._before
        return False

    def _count(self, lines: list[str]) -> int:
        return sum(line.count(self._until) for line in lines) if self._until else 0


def run_watching(run: Run, limit: int | None, watch: ScreenWatch) -> tuple[str, str, int]:
    """Run up to `limit` instructions in all, looking at the screen now and then."""
    total = 0
    while True:
        step = LOOK_EVERY if limit is None else min(LOOK_EVERY, limit - total)
        reason, message, total = run(step)
        typed = watch.look()
        if watch.seen:
            return "requested", SEEN, total
        if reason == "idle" and typed:
            continue
        if reason != "instructions" or (limit is not None and total >= limit):
            return reason, message, total
