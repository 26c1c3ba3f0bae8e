"""Attacks on the monitor's memory: random ones by the million, and six with names that show one safeguard each.

A random block holds instructions that read, write, do both, push, pop and copy, through every segment register, and
load segment registers with whatever they find. Descriptors and registers are drawn so that most accesses come to the
monitor's range, to its edge, or beyond the end of the space. Two witnesses, neither of which knows of segments: the
access log and the canaries.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.segments.guest_code import GuestCode
from labkit.vm.segments.modes import DATA_REGISTERS, Safeguard
from labkit.vm.segments.shared_memory import MONITOR
from labkit.vm.segments.shared_space import SharedSpace, flat
from labkit.vm.segments.strategies import Strategy

__all__ = ["ATTACKS", "Attack", "Campaign", "Report", "random_block", "random_segments"]

PREFIXES = {"ds": b"\x3e", "es": b"\x26", "ss": b"\x36", "fs": b"\x64", "gs": b"\x65", "cs": b"\x2e", "": b""}
READS = ("8b03", "8a06", "0fb607", "668b4500", "0303", "3b06", "0f1003", "0f1007", "db2f", "8b4424fc", "8b442d00",
         "0fbf03", "f606ff", "85040e")  # fmt: skip
WRITES = ("8903", "8807", "66894500", "c60611", "c7070badc0de", "0f1103", "0f1107", "dd1b", "89442404", "0f9403",
          "894c3300")  # fmt: skip
BOTH = ("ff03", "0107", "8703", "f00106", "0fb10b", "d127", "f71e", "0fab03")
STRINGS = ("a4", "a5", "aa", "ab", "ac", "ad", "ae", "a7", "f3ab", "f3a4", "f3ad")
STACK = ("50", "58", "ff33", "8f07", "6a05", "60", "9c", "c9")
LOADS = ("8ec0", "8ec3", "66b8{}8ec0")
LENGTH = 48
RANGE = 1 << 32
TOP = RANGE - MONITOR


def random_block(rng: random.Random, favourite: str) -> GuestCode:
    """A block of random accesses, most of them through one segment register."""
    made = b""
    for _ in range(LENGTH):
        kind = rng.choice((READS, READS, WRITES, WRITES, BOTH, STRINGS, STACK, LOADS))
        text = rng.choice(kind)
        if kind is LOADS:
            selector = rng.choice((*range(0x48), 0x08, 0x10, 0x18, 0x38, 0x3B))
            made += bytes.fromhex(text.format(selector.to_bytes(2, "little").hex()))
            continue
        name = favourite if rng.random() < 0.6 else rng.choice(("", *PREFIXES))
        made += PREFIXES[name] + bytes.fromhex(text)
    return GuestCode(made)


def random_segments(rng: random.Random) -> dict[str, SegmentDescriptor]:
    """Segments of every kind, most of which reach the monitor's range or wrap."""
    return {name: _segment(rng) for name in DATA_REGISTERS}


def _segment(rng: random.Random) -> SegmentDescriptor:
    kind = rng.random()
    if kind < 0.2:
        return flat()
    if kind < 0.4:  # thread-local storage: negative offsets wrap
        return flat(rng.choice((0x200000, 0x10, MONITOR - 0x1000, rng.randrange(0x300000))))
    if kind < 0.5:  # it begins inside
        return flat(MONITOR + rng.randrange(TOP), rng.choice((0xFFFFF, 0xFF, 0x3FF)))
    if kind < 0.65:  # it ends near the edge
        base = rng.choice((0, MONITOR - 0x8000, rng.randrange(MONITOR)))
        pages = (MONITOR - base >> 12) + rng.randrange(-2, 3)
        return flat(base, min(max(pages, 0), 0xFFFFF))
    if kind < 0.75:  # to the byte
        base = MONITOR - rng.randrange(0x10000)
        return flat(base, min(MONITOR - base + rng.randrange(-9, 9) & 0xFFFFF, 0xFFFFF), granular=False)
    if kind < 0.85:  # expand-down
        return flat(rng.choice((0, MONITOR, 0x200000)), rng.randrange(1 << 20), kind=7, granular=rng.random() < 0.7)
    return flat(rng.randrange(RANGE), rng.randrange(1 << 20), kind=rng.choice((1, 3, 5, 7, 9, 11, 13, 15)))


def _target(rng: random.Random) -> int:
    """A linear address worth an attack, or one of the guest's own."""
    kind = rng.random()
    if kind < 0.15:
        return MONITOR + rng.randrange(-20, 20)
    if kind < 0.2:
        return rng.randrange(-20, 20) & RANGE - 1
    if kind < 0.45:
        return MONITOR + rng.randrange(TOP)
    if kind < 0.5:
        return rng.randrange(RANGE)
    return rng.choice((0x200000, MONITOR - 0x100000)) + rng.randrange(0x80000)


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign came to."""

    strategy: Strategy
    translated: bool
    accesses: int
    hidden: int
    reflected: int
    loads: int
    stores: int
    damaged: int

    @property
    def leaks(self) -> int:
        """Guest accesses that came to the monitor's memory, and bytes changed there."""
        return self.loads + self.stores + self.damaged

    @property
    def leaked(self) -> bool:
        """Did the guest get at the monitor's memory?"""
        return self.leaks > 0

    def __str__(self) -> str:
        mode = "translated" if self.translated else "direct"
        verdict = "LEAKED" if self.leaked else "nothing of the monitor's"
        return (
            f"{mode:10} {self.strategy:10} {self.accesses:9,} accesses, {self.hidden:8,} faults hidden, "
            f"{self.reflected:8,} reflected: {verdict} ({self.loads} loads, {self.stores} stores, "
            f"{self.damaged} bytes damaged)"
        )


class Campaign:
    """Random attacks with one strategy, translated or direct.

    Before each translated episode comes a direct one, so that segments have been whole.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        translated: bool,
        seed: int = 1,
        left_out: frozenset[Safeguard] = frozenset(),
        segmentation: bool = True,
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311  (repeatable)
        self._translated = translated
        self.space = SharedSpace({}, strategy, left_out, segmentation=segmentation)
        self.accesses = 0
        self._own = 0

    def run(self, accesses: int, rounds: int = 12) -> Report:
        """At least that many, in blocks that are each run some rounds on new registers."""
        space, rng = self.space, self._rng
        while self.accesses < accesses:
            space.describe(random_segments(rng))
            favourite = rng.choice(DATA_REGISTERS)
            code = random_block(rng, favourite)
            space.load(code)
            for _ in range(rounds):
                if self._translated:
                    self._make_whole()
                    space.load(code)
                space.run(translated=self._translated, registers=self._registers(favourite))
                self.accesses += sum(bool(one.segments) for one in code.instructions)
        counts, log = space.counts, space.memory.log
        return Report(
            space.strategy, self._translated, self.accesses, counts.hidden, counts.reflected, log.loads, log.stores,
            space.memory.damaged,
        )  # fmt: skip

    def _make_whole(self) -> None:
        """A short direct episode that leaves whole segments behind, where the strategy makes any."""
        self.space.load(GuestCode(WRAPPING))
        self.space.run(registers={"ebx": 0xFFFFFFF0})

    def _registers(self, favourite: str) -> Mapping[str, int]:
        rng, segments = self._rng, self.space.segments
        made = {}
        for name in ("ebx", "esi", "edi", "ebp", "esp"):
            through = favourite if rng.random() < 0.9 else rng.choice(DATA_REGISTERS)
            made[name] = _target(rng) - segments[through].base & RANGE - 1
        return {**made, "eax": rng.randrange(RANGE), "ecx": rng.randrange(8)}


WRAPPING = bytes.fromhex("8b03 268b03 368b03 648b03 658b03")
INSIDE = MONITOR + 0x2345 & ~3
WORDS = INSIDE.to_bytes(4, "little").hex()


@dataclass(frozen=True)
class Attack:
    """An attack with a name: code, segments, where it runs, and the safeguard without which it succeeds."""

    name: str
    code: bytes
    safeguard: Safeguard
    translated: bool = True
    after_direct: bool = False
    """A direct episode with whole segments goes before."""
    segments: Mapping[str, SegmentDescriptor] | None = None
    strategy: Strategy = Strategy.TWO_TABLES
    data: bytes = b""
    """Put at DATA first."""

    def run(self, *, without: bool = False, segmentation: bool = True) -> SharedSpace:
        """Try it; `without` leaves its safeguard out. What came of it is in the space's counts, log and canaries."""
        left_out = frozenset((self.safeguard,)) if without else frozenset()
        space = SharedSpace(self.segments or {}, self.strategy, left_out, segmentation=segmentation)
        if self.data:
            space.memory.fill(DATA, self.data)
        if self.after_direct:
            space.load(GuestCode(WRAPPING))
            space.run(registers={"ebx": 0x200000})
        space.load(GuestCode(self.code))
        space.run(translated=self.translated)
        return space


DATA = 0x200000
FLAT_ENTRY = bytes.fromhex("ffff000000f3cf00")
TABLE_OF_ITS_OWN = b"\x0f\x00" + (DATA + 8).to_bytes(4, "little") + b"\0\0" + bytes(8) + FLAT_ENTRY

ATTACKS = (
    Attack("a store through ds, in translated code, after a direct episode",
           bytes.fromhex(f"c705{WORDS}0badc0de"), Safeguard.RELOAD, after_direct=True),
    Attack("the same in direct execution, on whole segments",
           bytes.fromhex(f"c705{WORDS}0badc0de"), Safeguard.SUPERVISOR, translated=False),
    Attack("a load that wraps beyond 4 GB into the range, in translated code",
           bytes.fromhex("bbffffffff 8b9bd1ffffff"), Safeguard.RELOAD, after_direct=True,
           segments={"ds": flat(MONITOR + 0x10000)}),
    Attack("gs: in translated code, where gs is the monitor's",
           bytes.fromhex("65c705452300000badc0de"), Safeguard.RESERVE_GS),
    Attack("LGDT of a table of its own, a load of es from it, a store",
           bytes.fromhex(f"0f0115{DATA.to_bytes(4, 'little').hex()} 66b80800 8ec0 26c705{WORDS}0badc0de"),
           Safeguard.RAISE_DPL, data=TABLE_OF_ITS_OWN),
    Attack("a store into its own translation, by the address that call pushes",
           bytes.fromhex(f"c705{(MONITOR + 0x100000).to_bytes(4, 'little').hex()}cccccccc"), Safeguard.RELOAD,
           after_direct=True),
)  # fmt: skip
