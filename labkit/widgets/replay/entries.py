"""Entries of a log in words: their lane, their place in the run, what they say, and how they lie in the file."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.vm.machine.clock import NS_PER_INSTRUCTION
from labkit.vm.replay.entries import Anchor, Coder, Entry, Given, Read, Vector
from labkit.widgets.notation import decimal, hexadecimal, hexh

__all__ = ["LANES", "Lane", "Placed", "details", "lane_of", "placed", "what"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of marks. `given`: what the replay is told; the others it works out, and they are compared."""

    name: str
    ink: str
    given: bool


LANES = (
    Lane("host time", "monitor", given=True),
    Lane("console input", "new", given=True),
    Lane("keyboard", "pending", given=True),
    Lane("network", "new", given=True),
    Lane("interrupts", "guest", given=False),
    Lane("device reads", "hardware", given=False),
)
SHOWN = 24


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry with its number, lane, and the clocks between which it lies: the same but for device reads.

    A read has no clock of its own in the log: its order is its place. `at` is where it is drawn.
    """

    number: int
    entry: Entry
    lane: int
    low: int
    high: int
    at: int
    data: bytes
    """Its bytes in the log, before compression."""


def lane_of(entry: Entry) -> int:
    """Index of the lane of an entry."""
    if isinstance(entry, Given):
        return {"serial": 1, "keys": 2, "packet": 3}[entry.kind]
    return {Anchor: 0, Vector: 4, Read: 5}[type(entry)]


def placed(entries: Sequence[Entry], end: int) -> list[Placed]:
    """All entries with their places; `end` is the last clock of the recording."""
    found: list[Placed] = []
    coder, low = Coder(), 0
    coded = [coder.code([entry]) for entry in entries]
    waiting: list[int] = []

    def place_reads(high: int) -> None:
        for k, number in enumerate(waiting):
            at = low + (high - low) * (k + 1) // (len(waiting) + 1)
            found.append(Placed(number, entries[number], lane_of(entries[number]), low, high, at, coded[number]))
        waiting.clear()

    for number, entry in enumerate(entries):
        if isinstance(entry, Read):
            waiting.append(number)
            continue
        place_reads(entry.clock)
        low = entry.clock
        found.append(Placed(number, entry, lane_of(entry), low, low, low, coded[number]))
    place_reads(max(end, low))
    return found


def _text(data: bytes) -> str:
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else {10: "⏎", 13: "⏎"}.get(byte, "·") for byte in data[:SHOWN])
    return f"{shown}{'…' if len(data) > SHOWN else ''}"


def what(entry: Entry) -> str:
    """An entry in a few words."""
    if isinstance(entry, Anchor):
        return f"guest time is {entry.ticks * NS_PER_INSTRUCTION / 1e6:.3f} ms"
    if isinstance(entry, Given):
        count = f"{len(entry.data)} byte{'s' * (len(entry.data) != 1)}"
        return f"{count}: {_text(entry.data)}" if entry.kind == "serial" else f"{count}: {entry.data[:8].hex(' ')}"
    if isinstance(entry, Vector):
        return f"interrupt {hexh(entry.vector)} is delivered"
    return f"IN of {entry.size} from port {hexh(entry.port)} gives {hexh(entry.value)}"


def details(one: Placed, total: int) -> list[tuple[str, str]]:
    """What is shown of a selected entry: name and value."""
    entry, lane = one.entry, LANES[one.lane]
    told = [
        ("entry", f"{decimal(one.number + 1)} of {decimal(total)}"),
        ("kind", lane.name),
        ("what", what(entry)),
    ]
    if isinstance(entry, Read):
        between = f"between instructions {decimal(one.low)} and {decimal(one.high)}"
        told.append(("point", f"{between}: its order is its place"))
    else:
        told.append(("point", f"instruction {decimal(one.low)}"))
    if isinstance(entry, Anchor | Vector):
        told.append(("there", f"{decimal(entry.branches)} branches, eip {hexadecimal(entry.eip)}"))
    if isinstance(entry, Anchor):
        told.append(("time", f"{entry.rate / 65536 * NS_PER_INSTRUCTION:.2f} ns for each instruction from here on"))
    told.append(("in the replay", "given to the machine" if lane.given else "worked out by the machine, and compared"))
    count = len(one.data)
    tail = " …" if count > SHOWN else ""
    told.append(("in the log", f"{count} byte{'s' * (count != 1)}: {one.data[:SHOWN].hex(' ')}{tail}"))
    return told
