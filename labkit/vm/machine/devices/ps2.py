"""PS/2 keyboard and mouse: what hangs on the cables of the i8042.

Source: IBM PS/2 technical reference, keyboard and mouse command sets.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.devices.scancodes import to_set2

__all__ = ["Keyboard", "KeyboardState", "Mouse", "MouseState"]

ACK, RESEND, ECHO, PASSED = 0xFA, 0xFE, 0xEE, 0xAA
QUEUE_LIMIT = 4096


class KeyboardState(NamedTuple):
    """Answers and keys not yet sent, the command that awaits its argument, and the settings."""

    replies: bytes
    keys: bytes
    pending: int
    scan_set: int
    scanning: bool
    leds: int


class Keyboard:
    """A keyboard; `spoke()` is called when it has something to say."""

    def __init__(self, spoke: Callable[[], None]) -> None:
        self._spoke = spoke
        self.replies: deque[int] = deque()
        self._keys: deque[int] = deque()
        self._pending = 0
        self.scan_set = 2
        self.scanning = True
        self.leds = 0

    def type(self, scancodes: bytes) -> None:
        """Press and release keys: `scancodes` in set 1, as a guest with the usual translation reads them.

        While the guest has scanning switched off the keys wait. At most 4096 codes wait; more are lost.
        """
        for code in scancodes:
            sent = bytes((code,)) if self.scan_set == 1 else to_set2(code)
            if len(self._keys) + len(sent) <= QUEUE_LIMIT:
                self._keys.extend(sent)
        self._spoke()

    def waiting(self) -> bool:
        """Whether there is a byte to send."""
        return bool(self.replies) or (self.scanning and bool(self._keys))

    def take(self) -> int:
        """The next byte to send; only if `waiting()`."""
        return self.replies.popleft() if self.replies else self._keys.popleft()

    def command(self, value: int) -> None:
        """A byte from the controller."""
        pending, self._pending = self._pending, 0
        if pending and value < 0xED:
            self._argument(pending, value)
        elif value in (0xED, 0xF0, 0xF3, 0xFB, 0xFC, 0xFD):
            self._pending = value
            self._reply(ACK)
        elif value == 0xEE:
            self._reply(ECHO)
        elif value == 0xF2:
            self._reply(ACK, 0xAB, 0x83)
        elif value in (0xF4, 0xF5, 0xF6):
            self._reset(scanning=value != 0xF5)
            self._reply(ACK)
        elif 0xF7 <= value <= 0xFA:
            self._reply(ACK)
        elif value == 0xFF:
            self._reset(scanning=True)
            self._reply(ACK, PASSED)
        else:
            self._reply(RESEND)

    def _argument(self, command: int, value: int) -> None:
        if command == 0xED:
            self.leds = value & 7
        elif command == 0xF0:
            if value == 0:
                self._reply(ACK, self.scan_set)
                return
            if value > 3:
                self._reply(RESEND)
                return
            self.scan_set = value
        self._reply(ACK)

    def _reset(self, scanning: bool) -> None:
        self.replies.clear()
        self.scanning = scanning

    def _reply(self, *values: int) -> None:
        self.replies.extend(values)
        self._spoke()

    def save(self) -> KeyboardState:
        """Everything."""
        return KeyboardState(
            bytes(self.replies), bytes(self._keys), self._pending, self.scan_set, self.scanning, self.leds
        )

    def load(self, state: KeyboardState) -> None:
        """Inverse of `save`."""
        self.replies = deque(state.replies)
        self._keys = deque(state.keys)
        self._pending, self.scan_set, self.scanning, self.leds = state[2:]


class MouseState(NamedTuple):
    """Bytes not yet sent, the command that awaits its argument, and the settings."""

    replies: bytes
    pending: int
    rate: int
    resolution: int
    double: bool
    reporting: bool
    remote: bool
    wrap: bool


class Mouse:
    """A two-button mouse at rest."""

    def __init__(self, spoke: Callable[[], None]) -> None:
        self._spoke = spoke
        self._pending = 0
        self.wrap = False
        self.replies: deque[int] = deque()
        self.load(MouseState(b"", 0, 100, 2, False, False, False, False))

    def command(self, value: int) -> None:
        """A byte from the controller."""
        pending, self._pending = self._pending, 0
        if pending:
            if pending == 0xF3:
                self.rate = value
            else:
                self.resolution = value & 3
            self._reply(ACK)
        elif self.wrap and value not in (0xEC, 0xFF):
            self._reply(value)
        else:
            self._perform(value)

    def _perform(self, value: int) -> None:
        if value in (0xE8, 0xF3):
            self._pending = value
        elif value in (0xE6, 0xE7):
            self.double = value == 0xE7
        elif value in (0xEA, 0xF0):
            self.remote = value == 0xF0
        elif value in (0xEC, 0xEE):
            self.wrap = value == 0xEE
        elif value in (0xF4, 0xF5):
            self.reporting = value == 0xF4
        elif value in (0xF6, 0xFF):
            self.load(MouseState(b"", 0, 100, 2, False, False, False, False))
        self._reply(*self._answer(value))

    def _answer(self, value: int) -> tuple[int, ...]:
        if value == 0xE9:
            status = self.remote << 6 | self.reporting << 5 | self.double << 4
            return (ACK, status, self.resolution, self.rate)
        if value == 0xEB:
            return (ACK, 0x08, 0, 0)
        if value == 0xF2:
            return (ACK, 0)
        if value == 0xFF:
            return (ACK, PASSED, 0)
        return (ACK,) if 0xE6 <= value <= 0xF6 else (RESEND,)

    def _reply(self, *values: int) -> None:
        self.replies.extend(values)
        self._spoke()

    def save(self) -> MouseState:
        """Everything."""
        return MouseState(
            bytes(self.replies), self._pending, self.rate, self.resolution, self.double, self.reporting,
            self.remote, self.wrap,
        )  # fmt: skip

    def load(self, state: MouseState) -> None:
        """Inverse of `save`."""
        self.replies.clear()
        self.replies.extend(state.replies)
        (
            self._pending, self.rate, self.resolution, self.double, self.reporting, self.remote, self.wrap,
        ) = state[1:]  # fmt: skip
