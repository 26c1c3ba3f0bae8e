"""The pace of a machine: when, in instructions, the outside world reaches it: the host's time, and input.

    Skipping   virtual clock: nothing comes from outside, and time in HLT is skipped; the network answers by itself
    Live       guest time is drawn to the host's (following.py), and input arrives when somebody gives it

All that is not a function of the instruction count enters the machine in `arrive` or `wait`, at an exact
clock at which no event has been delivered yet: there a replay can stop and give the same (see labkit.vm.replay).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from labkit.vm.machine.board import Board
from labkit.vm.machine.clock import NS_PER_INSTRUCTION
from labkit.vm.machine.devices.network import answer
from labkit.vm.machine.following import Following
from labkit.vm.machine.guest_clock import GuestClock
from labkit.vm.machine.processor import NEVER, Processor

__all__ = ["KEYS", "PACKET", "SERIAL", "Live", "Pace", "Skipping", "give"]

IDLE_SLEEP = 0.005
LEAST_BREATH = 1000  # instructions until input arrives
VISITS = 16  # after so many services the host's clock is looked at, however few instructions have run
SERIAL, KEYS, PACKET = "serial", "keys", "packet"
"""Kinds of input: bytes on the serial console, scancodes of the PS/2 keyboard, a frame from the network."""


class Pace(Protocol):
    """What the monitor asks when it has the processor's attention."""

    def exact(self) -> int:
        """Clock at which `arrive` must be called, exactly."""
        ...

    def about(self) -> int:
        """Clock at about which it should be called."""
        ...

    def arrive(self, fresh: bool) -> None:
        """Let time and input in. `fresh`: no event has been delivered at this clock."""
        ...

    def wait(self) -> bool:
        """The processor is halted: let time pass; False if nothing will ever happen."""
        ...


def give(board: Board, kind: str, data: bytes) -> None:
    """Hand input to its device."""
    if kind == SERIAL:
        board.serial.type(data)
    elif kind == PACKET:
        board.nic.receive(data)
    else:
        board.keyboard.type(data)


def _had() -> int:
    """Ticks of the host's time that this thread had."""
    return time.thread_time_ns() // NS_PER_INSTRUCTION


class Skipping:
    """The virtual clock's pace."""

    def __init__(self, processor: Processor, board: Board, clock: GuestClock) -> None:
        self._processor, self._board, self._clock = processor, board, clock
        board.nic.peer = answer

    def exact(self) -> int:
        """Never."""
        return NEVER

    def about(self) -> int:
        """Never."""
        return NEVER

    def arrive(self, fresh: bool) -> None:
        """Nothing."""

    def wait(self) -> bool:
        """Skip the time to the next thing that a device does."""
        due = self._clock.clock_at(self._board.deadline())
        if due >= NEVER:
            return False
        self._processor.skip(max(0, due - self._processor.clock))
        return True


class Live:
    """The host's pace. `type`, `press` and `receive` may be called from any thread, and from a callback of a device."""

    def __init__(self, processor: Processor, board: Board, clock: GuestClock) -> None:
        self._processor, self._board, self._clock = processor, board, clock
        self._origin = time.monotonic_ns() - clock.now()
        self._given: deque[tuple[str, bytes]] = deque()
        self._woken = threading.Event()
        self._visits = 0
        self._following = Following(processor.clock, self._host(), _had())
        board.nic.peer = None  # the network is outside, like everything else
        board.nic.on_transmit.append(self._sent)
        self.on_anchor: Callable[[], None] | None = None
        """Called when guest time has been drawn to the host's."""
        self.on_input: Callable[[str, bytes], None] | None = None
        """Called when input has been given to its device."""

    def type(self, data: bytes) -> None:
        """Bytes for the serial console; they arrive within milliseconds."""
        self._give(SERIAL, data)

    def press(self, scancodes: bytes) -> None:
        """Scancodes (set 1) for the PS/2 keyboard."""
        self._give(KEYS, scancodes)

    def receive(self, frame: bytes) -> None:
        """A frame from the network."""
        self._give(PACKET, frame)

    def _sent(self, frame: bytes) -> None:
        for one in answer(frame):
            self.receive(one)

    def _give(self, kind: str, data: bytes) -> None:
        self._given.append((kind, bytes(data)))
        self._woken.set()

    def _host(self) -> int:
        return -((self._origin - time.monotonic_ns()) // NS_PER_INSTRUCTION)

    def exact(self) -> int:
        """Never."""
        return NEVER

    def about(self) -> int:
        """When about 2 ms of the host will have passed."""
        clock = self._processor.clock  # an event at this very clock lets nothing in: an instruction must run
        return clock + LEAST_BREATH if self._given else max(self._following.about, clock + 1)

    def arrive(self, fresh: bool) -> None:
        """Draw guest time to the host's, when it is time for that; hand over input."""
        self._visits += 1
        if self._processor.clock < self._following.about and not self._given and self._visits % VISITS:
            return
        if fresh:
            self._look()

    def _look(self) -> None:
        clock, host, following = self._processor.clock, self._host(), self._following
        if self._given or following.due(clock, host):
            off = following.look(clock, host, _had(), self._clock.ticks)
            if off or self._given:
                self._draw(host)

    def _draw(self, host: int) -> None:
        clock, guest = self._processor.clock, self._clock
        guest.anchor(*self._following.draw(clock, host, _had(), guest.ticks, guest.rate))
        if self.on_anchor is not None:
            self.on_anchor()
        while self._given:
            kind, data = self._given.popleft()
            give(self._board, kind, data)
            if self.on_input is not None:
                self.on_input(kind, data)

    def wait(self) -> bool:
        """Sleep until a device has something to do, or a while, or until there is input."""
        due, host = self._board.deadline(), self._host()
        due = None if due is None else -(-due // NS_PER_INSTRUCTION)
        if self._given or (due is not None and due <= host):
            self._draw(host)
            return True
        left = IDLE_SLEEP if due is None else (due - host) * NS_PER_INSTRUCTION / 1e9
        self._woken.clear()
        if not self._given:
            self._woken.wait(min(left, IDLE_SLEEP))
        return True
