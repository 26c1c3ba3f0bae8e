"""Random scripts for the guest `acts`: what guest code tries on a protection unit, and what must come of it.

A script begins with the guest's own pages and keys, which it leaves alone from then on, and switches translation on.
Then come accesses to pages near each other, with all access rights, levels and bits, at whatever level the guest is at:
reads, writes, both in one instruction, executed code, each also across two pages;
between them changes of level by every way, probes, and the privileged operations: mostly at level 0, after a call of
the kernel, and sometimes where they are refused; each between two accesses to what it changes.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from labkit.vm.keys.acts import (
    ACROSS,
    DATA,
    EXECUTES,
    FIRST_FRAME,
    KINDS,
    MOST_FRAMES,
    MOVES,
    NOTES,
    PROMOTES,
    STACK,
    TABLE,
    Act,
    Words,
    address_of,
    fresh_frames,
    pages_of,
)  # fmt: skip
from labkit.vm.keys.foretold import Foretold, Note
from labkit.vm.keys.operations import Operation
from labkit.vm.keys.reference import Reference
from labkit.vm.machine.tlb import Fault

__all__ = ["Script", "write"]

KERNEL, COMMON, OWN = 1, 2, 3
"""The guest's own keys, in its registers 0 to 2."""
OWN_REGISTERS, FIRST_KEY = 3, 16
HANDLER_STACK = STACK
TRANSLATED, CHECKED = 1, 2
GOOD = 0xE0  # present, dirty, accessed


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """Acts, the frames before and after them, and what the guest must note."""

    acts: list[Act]
    frames: Words
    frames_after: Words
    notes: list[Note]
    registers: int

    @property
    def accesses(self) -> int:
        """How many of the acts are accesses."""
        return sum(act.what in KINDS for act in self.acts)

    @property
    def verdicts(self) -> Counter[Fault]:
        """The accesses by what must come of them."""
        pairs = zip(self.acts, self.notes, strict=False)
        return Counter(Fault(note[0] & 0xFF) for act, note in pairs if act.what in KINDS)


def write(seed: int, accesses: int, keys: int = 8, registers: int = 16, pages: int = 128) -> Script:
    """A script of so many accesses or one more, with `keys` different keys, for a guest that has `registers` of them.

    Raises `ValueError` for more pages than there are frames for.
    """
    if pages > MOST_FRAMES:
        raise ValueError(f"{pages} pages: at most {MOST_FRAMES}")
    frames = fresh_frames(pages, seed)
    reference = Reference(registers)
    reference.translate = False
    script = _Writer(random.Random(seed), Foretold(reference, frames.copy()), keys, pages)  # noqa: S311  (a test's)
    script.begin(accesses)
    while script.accesses < accesses:
        script.go_on()
    script.at_level(0)
    script.acts.append(Act(Operation.STOP))
    return Script(script.acts, frames, script.foretold.memory, script.foretold.notes, registers)


@dataclass
class _Writer:
    """Writes acts one by one, and knows what has come of those before."""

    source: random.Random
    foretold: Foretold
    keys: int
    pages: int
    acts: list[Act] = field(default_factory=list)
    near: int = 0
    accesses: int = 0

    def do(self, what: int, b: int = 0, c: int = 0, d: int = 0) -> None:
        act = Act(what, b, c, d)
        self.acts.append(act)
        self.foretold.act(act)

    def at_level(self, level: int) -> None:
        """By a call of the kernel."""
        if self.foretold.reference.level != level:
            self.do(Operation.CALL, c=level)

    def begin(self, accesses: int) -> None:
        size = 16 * (2 * accesses + 1000 + 4 * self.pages)
        for pages, rights, level, key in (
            (pages_of(address_of("_start"), 1), 1, 0, KERNEL), (pages_of(address_of("next"), 1), 1, 3, COMMON),
            (pages_of(STACK, 4096), 2, 3, OWN), (pages_of(TABLE, size), 0, 3, OWN), (pages_of(NOTES, size), 2, 3, OWN),
        ):  # fmt: skip
            for page in pages:
                self.do(Operation.INSERT, page, page, rights | level << 3 | GOOD | key << 8)
        for number, key in enumerate((KERNEL, COMMON, OWN)):
            self.do(Operation.WRITE_KEY, number, key << 8 | 1)
        for page in range(self.pages):
            self.insert(page)
        for number in range(
            OWN_REGISTERS, min(len(self.foretold.reference.registers), OWN_REGISTERS + self.keys)
        ):
            self.do(Operation.WRITE_KEY, number, (FIRST_KEY + number - OWN_REGISTERS) << 8 | 1)
        self.do(Operation.VECTOR, address_of("interrupted"), HANDLER_STACK)
        self.do(Operation.MODE, TRANSLATED | CHECKED)

    def go_on(self) -> None:
        what = self.source.random()
        if what < 0.89:
            self.access()
        elif what < 0.91:
            kind = self.source.choice((1, 2, 4, 1, 2, 4, 3))
            self.do(Operation.PROBE, self.page(), kind, self.source.randrange(4))
        elif what < 0.95:
            self.change_level()
        else:
            if self.source.random() < 0.9:
                self.at_level(0)
            self.access()
            self.change(what)
            self.access(near=True)
            if self.source.random() < 0.8:
                self.at_level(self.source.randrange(4))

    def page(self) -> int:
        return FIRST_FRAME + self.source.randrange(self.pages)

    def access(self, *, near: bool = False) -> None:
        """To the page as before, or one near it, or any; or across it and the next."""
        source = self.source
        if not near:
            self.near = (
                self.near + source.choice((0, 0, 0, 1, 1, 2, source.randrange(self.pages)))
            ) % self.pages
        address, what = (FIRST_FRAME + self.near) << 12, source.choice(tuple(KINDS))
        across = self.near + 1 < self.pages and source.random() < 0.15
        self.accesses += 1
        if what == EXECUTES:
            self.do(what, address + (ACROSS - 1 if across else source.choice((MOVES, MOVES, PROMOTES))))
        else:
            offset = ACROSS if across else DATA + 4 * source.randrange(16)
            self.do(what, address + offset, source.getrandbits(32))

    def change_level(self) -> None:
        what = self.source.random()
        if what < 0.6:
            self.do(Operation.CALL, c=self.source.randrange(4))
        elif what < 0.9:
            self.do(Operation.DEMOTE, self.source.randrange(5))
        else:
            self.do(Operation.PROMOTE)

    def change(self, what: float) -> None:
        """Of what is used just before and just after, mostly: else a change of level would hide what was missed."""
        source, count = self.source, len(self.foretold.reference.registers)
        if what < 0.975:
            disabled = source.choice((0, 0, 0, 0, 0, 0, 2, 4, 8, 6, 12, 14))
            held = self.foretold.reference.translations.get(FIRST_FRAME + self.near)
            key = held.key if held and source.random() < 0.5 else FIRST_KEY + source.randrange(self.keys)
            word = key << 8 | disabled | (source.random() < 0.95)
            self.do(
                Operation.WRITE_KEY, source.randrange(OWN_REGISTERS, count + (source.random() < 0.1)), word
            )
        elif what < 0.98:
            self.do(Operation.READ_KEY, source.randrange(count + 1))
            self.do(Operation.KEY_OF, FIRST_FRAME + self.near)
        elif what < 0.988:
            self.insert(self.near)
        elif what < 0.992:
            self.do(Operation.PURGE, FIRST_FRAME + self.near)
        elif what < 0.993:
            self.do(source.choice((0, 16, 31)), self.page())
        elif what < 0.994:
            self.do(source.choice((Operation.INSERT, Operation.PURGE)), 1 << 20 | self.page(), self.page(), GOOD)
        else:
            self.do(Operation.MODE, source.choice((0, 1, 1, 2, 3, 3, 3, 3)))

    def insert(self, page: int) -> None:
        """With random rights, level, key and bits, to a random frame: two pages may share one."""
        source = self.source
        bits = sum(bit for bit in (0x20, 0x40, 0x80) if source.random() < 0.96)
        rights, level, key = (
            source.randrange(8),
            source.choice((0, 1, 2, 3, 3, 3)),
            source.randrange(self.keys),
        )
        frame, word = source.randrange(self.pages), rights | level << 3 | bits | (FIRST_KEY + key) << 8
        self.do(Operation.INSERT, FIRST_FRAME + page, FIRST_FRAME + frame, word)
