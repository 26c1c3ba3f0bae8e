"""A person at the terminal: keys go to the guest's serial console while it runs."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["INPUT", "Keyboard", "at_terminal"]

INPUT = "input"
"""The message of a stop that is only there to hand over keys."""


def at_terminal() -> bool:
    """Whether a person sits at both ends: stdin and stdout are a terminal, and it can be set key by key."""
    try:
        import termios  # noqa: F401 (not on every system)
    except ImportError:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


class Keyboard:
    """While entered, reads the terminal key by key without echo; `ask` is called when keys have arrived.

    Ctrl-C stays with labkit. Keys are handed over between runs (`take`): no other thread touches the machine.
    """

    def __init__(self, ask: Callable[[str], None], descriptor: int | None = None) -> None:
        self._ask = ask
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._keys: deque[bytes] = deque()
        self._arrived = threading.Event()
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        import termios
        import tty

        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal its settings back."""
        import termios

        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def take(self) -> bytes:
        """The keys that have arrived since the last call."""
        self._arrived.clear()
        keys = b""
        while self._keys:
            keys += self._keys.popleft()
        return keys

    def wait(self, seconds: float) -> bool:
        """Wait for keys; whether some have arrived."""
        return self._arrived.wait(seconds)

    def _read(self) -> None:
        while keys := self._next():
            self._keys.append(keys)
            self._arrived.set()
            self._ask(INPUT)

    def _next(self) -> bytes:
        try:
            return os.read(self._descriptor, 256)
        except OSError:  # the terminal has gone
            return b""
