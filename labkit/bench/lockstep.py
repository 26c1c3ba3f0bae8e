"""Two engines in lockstep: the same guest to the same execution points, everything the guest can see compared there.

    hw   |----1M----|----1M----|----1M----|          equal, equal, different in the third stretch:
    bt   |----1M----|----1M----|----1M----|          both run anew to its start, with the same stops, and the
                               |-|-||                 stretch is halved until one instruction is left

Each half is tried in a forked process, so that the engines keep all that they have cached: a difference that
depends on where they stopped before is still there. Without `os.fork` the stretch is all that is told.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from labkit.bench.figure import Progress
from labkit.bench.state_difference import code_around, differences
from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage
from labkit.vm.monitor import Monitor, Stop, StopReason

__all__ = ["Difference", "Pair", "Plan", "Result", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the engines part: both are equal at `equal`, not at `different` (instructions)."""

    equal: int
    different: int
    what: tuple[str, ...]
    """One line for each register, stretch of RAM or output that differs, "hw / bt"."""
    code: tuple[str, ...]
    """The instructions around the last equal point."""

    def __str__(self) -> str:
        head = f"equal at instruction {self.equal}, different at {self.different}:"
        return "\n".join((head, *(f"  {line}" for line in self.what), *self.code))


@dataclass(frozen=True, slots=True)
class Result:
    """How far the engines were compared, at how many points, and where they differ if they do."""

    guest: str
    instructions: int
    points: int
    ended: str
    difference: Difference | None = None
    ram: str = ""
    registers: str = ""


class Pair:
    """The guest twice: on the hardware-assisted engine, and on the binary translator."""

    def __init__(self, image: BootImage, memory: int) -> None:
        self.hw, self.bt = (Machine(memory=memory) for _ in range(2))
        for machine in (self.hw, self.bt):
            machine.load(image)
        self._monitors = Monitor(self.hw), Monitor(self.bt, engine=BinaryTranslator(self.bt.processor))
        self._ends: tuple[Stop, ...] = ()
        self.done: list[int | bytes] = []
        """What was done with it so far: instructions run, text typed."""

    def advance(self, instructions: int) -> None:
        """Run both that much further."""
        self._ends = tuple(monitor.run(instructions) for monitor in self._monitors)
        self.done.append(instructions)

    def type(self, text: bytes) -> None:
        """Type on both consoles."""
        for machine in (self.hw, self.bt):
            machine.board.serial.type(text)
        self.done.append(text)

    def repeat(self, done: list[int | bytes]) -> None:
        """Do what was done with another."""
        for act in done:
            if isinstance(act, bytes):
                self.type(act)
            else:
                self.advance(act)

    @property
    def clock(self) -> int:
        """Retired instructions of the first."""
        return self.hw.processor.clock

    @property
    def ended(self) -> str:
        """How the guest has ended before the point that was asked for; empty if it has not."""
        ends = [str(end) for end in self._ends if end.reason is not StopReason.INSTRUCTIONS]
        return ends[0] if ends else ""

    def differences(self) -> list[str]:
        """What differs, a line each; none while they are equal."""
        texts = [str(end) for end in self._ends]
        ends = [f"end: {' / '.join(texts)}"] if len(set(texts)) > 1 else []
        return [*ends, *differences(self.hw, self.bt)]

    @property
    def printed(self) -> bytes:
        """The first one's console."""
        return bytes(self.hw.board.serial.output)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to compare: at `first`, from then on `every` so many instructions, up to `limit`.

    Once the console has printed `prompt`, `typed` is typed (empty: the end), and the next prompt is the end.
    """

    first: int = 0
    every: int = 1_000_000
    limit: int | None = None
    prompt: bytes = b""
    typed: bytes = b""

    def step(self, clock: int) -> int:
        """Instructions to the next point; 0 at the end."""
        step = self.first - clock if clock < self.first else self.every
        return step if self.limit is None else min(step, self.limit - clock)


def compare(
    make: Callable[[], Pair], name: str, plan: Plan, say: Progress = lambda _line: None,
    told: Callable[[int], None] = lambda _clock: None,
) -> Result:  # fmt: skip
    """Compare the engines as planned; `told` is called with the clock of each point where they were equal."""
    pair, points, typed_at = make(), 0, 0
    while step := plan.step(pair.clock):
        done, before = list(pair.done), pair.clock
        pair.advance(step)
        points += 1
        if pair.differences():
            say(f"{name}: equal at {before}, different at {pair.clock}: looking for the first point")
            found = _locate(make, done, step, Difference(before, pair.clock, tuple(pair.differences()), ()))
            return Result(name, pair.clock, points, "different", found)
        told(pair.clock)
        if plan.prompt and plan.prompt in pair.printed[typed_at:]:
            if not plan.typed or typed_at:
                return _equal(name, pair, points, "the console has printed the text")
            typed_at = len(pair.printed)
            pair.type(plan.typed)
        if pair.ended:
            return _equal(name, pair, points, pair.ended)
    return _equal(name, pair, points, "all instructions that were asked for")


def _equal(name: str, pair: Pair, points: int, ended: str) -> Result:
    ram, registers = pair.hw.ram_sha256(), pair.hw.registers_sha256()
    return Result(name, pair.clock, points, ended, None, ram, registers)


def _locate(make: Callable[[], Pair], done: list[int | bytes], step: int, coarse: Difference) -> Difference:
    """The first instruction after which they differ."""
    if not hasattr(os, "fork"):
        return coarse
    pair = make()
    pair.repeat(done)
    found = _halve(pair, step)
    return found if found.what else coarse


def _halve(pair: Pair, length: int) -> Difference:
    """The pair is equal, and different `length` instructions on."""
    while length > 1:
        half = length // 2
        told = _in_a_child(pair, half, length - half)
        if told:
            equal, different, what, code = json.loads(told)
            return Difference(equal, different, tuple(what), tuple(code))
        length = half
    equal, code = pair.clock, tuple(code_around(pair.hw))
    pair.advance(1)
    return Difference(equal, pair.clock, tuple(pair.differences()), code)


def _in_a_child(pair: Pair, half: int, rest: int) -> bytes:
    """Run the first half in a process of its own: what it has found in the rest, nothing if it differs already."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _answer(pair, half, rest, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        told = file.read()
    os.waitpid(child, 0)
    return told


def _answer(pair: Pair, half: int, rest: int, writer: int) -> None:
    status = 1
    try:
        pair.advance(half)
        if not pair.differences():
            found = _halve(pair, rest)
            with os.fdopen(writer, "wb") as file:
                file.write(json.dumps([found.equal, found.different, found.what, found.code]).encode())
        status = 0
    finally:
        os._exit(status)  # nothing of the parent's is cleaned up here
