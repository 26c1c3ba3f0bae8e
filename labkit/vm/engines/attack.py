"""Random attacks on the monitor by a guest under binary translation: its kernel, and its programs.

    0000 1000  GDT       0001 0000  code, 16 bytes an instruction      0020 0000  2 MB of the guest's own
    FFC0 0000  the guest's own as well, by its page tables, as all the space is; the monitor's by ours

Code is blocks of random instructions that read, write, do both, push, pop, copy and load segment registers; each may
fault, and then the next one is tried. Segments and addresses are drawn so that most accesses come to the monitor's
range, to its edge, or beyond the end of the space. Two witnesses, neither of which knows of segments: the access log
over all of the monitor's memory but its words, and canaries.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from labkit.vm.engines.engine import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.access_log import AccessLog
from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.exit import ExitKind
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.processor import NEVER
from labkit.vm.machine.registers import CS, DS, ES, FS, GDT, GS, SS
from labkit.vm.machine.shadow_segments import LeftOut

__all__ = ["Assault", "Assaulted"]

RAM = 16 << 20
TABLE, CODE, DATA, DIRECTORY, TOP_FRAMES = 0x1000, 0x10000, 0x200000, 0x100000, 0x800000
FRAMES, ELSEWHERE = {0: 0, 1: 0x400000, 1023: TOP_FRAMES}, 0xC00000
"""By 4 MB page: all of the linear space is the guest's to use, so that what is refused is refused by the monitor."""
PAGES = b"".join((FRAMES.get(at, ELSEWHERE) | 0x87).to_bytes(4, "little") for at in range(1024))
CANARIES = c.TC_COPIES + 0x31000
SLOT, LENGTH = 16, 48
MONITOR = c.TC_BASE
RANGE = 1 << 32
CODE0, DATA0, CODE3, DATA3, FIRST = 0x08, 0x10, 0x1B, 0x23, 0x28
REGISTERS = (ES, SS, DS, FS, GS)
PREFIXES = (b"", b"", b"\x26", b"\x36", b"\x3e", b"\x64", b"\x65", b"\x2e")
READS = ("8b03", "8a06", "0fb607", "668b4500", "0303", "3b06", "0f1003", "db2f", "8b4424fc", "f606ff", "a1fcffffff")
WRITES = ("8903", "8807", "66894500", "c60611", "c7070badc0de", "0f1103", "dd1b", "89442404", "0f9403")
BOTH = ("ff03", "0107", "8703", "f00106", "0fb10b", "d127", "f71e", "0fab03")
STRINGS = ("a4", "a5", "aa", "ab", "ac", "ad", "ae", "a7", "f3ab", "f3a4", "f3ad")
STACK = ("50", "58", "ff33", "8f07", "6a05", "60", "9c", "c9", "1e", "06", "0fa0", "0fa8", "0e", "16")
LOADS = ("8ec0", "8ec3", "8ed8", "8ee0", "8ee8", "8cd8", "8cc8", "8ce8", "66b8{}8ec0", "66b8{}8ee8", "0f0106", "0f02c3",
         "0f03c3", "0f00e0", "c403", "c507", "0fb203")  # fmt: skip
KINDS = (READS, READS, WRITES, WRITES, BOTH, STRINGS, STACK, LOADS)
PSE, PROTECTED_PAGED_WP = 0x10, 0x80010001
OSFXSR, HFLAG_OSFXSR = 0x200, 1 << 22



@dataclass(frozen=True, slots=True)
class Assaulted:
    """What came of it."""

    user: bool
    accesses: int
    hidden: int
    reflected: int
    loads: int
    stores: int
    damaged: int

    @property
    def leaks(self) -> int:
        """Guest accesses that came to the monitor's memory."""
        return self.loads + self.stores + self.damaged

    def __str__(self) -> str:
        who = "program, direct" if self.user else "kernel, translated"
        return (
            f"{who:18} {self.accesses:9,} instructions, {self.hidden:8,} faults hidden, {self.reflected:8,} reflected: "
            f"{self.loads} loads, {self.stores} stores, {self.damaged} bytes damaged"
        )


class Assault:
    """A guest of one level, its engine, and the witnesses. `checked`: with the segmentation unit."""

    def __init__(
        self, seed: int = 1, *, user: bool = False, left_out: LeftOut = LeftOut.NOTHING, checked: bool = False
    ) -> None:
        self._rng, self._user = random.Random(seed), user  # noqa: S311  (repeatable)
        self.machine = Machine(memory=RAM, segmentation=checked)
        self.processor = self.machine.processor
        self.engine = BinaryTranslator(self.processor)
        shadows = self.engine.shadows
        assert shadows is not None  # noqa: S101  (it is the default)
        shadows.leave_out(left_out)
        self._canaries()
        first = c.TC_PHYSICAL
        words = range(first + c.TC_WORDS, first + c.TC_BYTES)
        self._log = AccessLog(self.processor, range(first, words.start), words)
        self.accesses = self.reflected = 0

    def _put(self, address: int, data: bytes) -> None:
        self.processor.write_physical(address, data)

    def _canaries(self) -> None:
        """Between the tables and the monitor's words, where nothing lies."""
        memory, start, end = self.engine.memory, CANARIES, c.TC_WORDS
        self._where, self._kept = (start, end), self._rng.randbytes(end - start)
        memory[start:end] = self._kept

    def run(self, accesses: int, say: Callable[[int], None] = lambda _done: None) -> Assaulted:
        """At least that many instructions that were tried."""
        while self.accesses < accesses:
            self._block()
            say(self.accesses)
        start, end = self._where
        now = self.engine.memory[start:end]
        damaged = sum(a != b for a, b in zip(now, self._kept, strict=True)) if now != self._kept else 0
        counts = self.engine.counts
        return Assaulted(
            self._user, self.accesses, counts["limit faults hidden"] + counts["page faults hidden"], self.reflected,
            self._log.loads, self._log.stores, damaged,
        )  # fmt: skip

    # --- a block

    def _block(self) -> None:
        registers = self.processor.registers
        segments = {register: self._segment() for register in REGISTERS}
        level = 3 if self._user else 0
        flat = [SegmentDescriptor(0, 0xFFFFF, kind, system=False, dpl=dpl, present=True, granular=True, wide=True)
                for kind, dpl in ((11, 0), (3, 0), (11, 3), (3, 3))]  # fmt: skip
        table = [(0, 0), *(one.encode() for one in (*flat, *segments.values()))]
        self._put(TABLE, b"".join(low.to_bytes(4, "little") + high.to_bytes(4, "little") for low, high in table))
        code = b"".join(self._instruction().ljust(SLOT, b"\x90") for _ in range(LENGTH))
        self._put(CODE, code + b"\xcc")
        self._put(DIRECTORY, PAGES)  # stores may have hit it
        for _ in range(4):
            registers.segments[GDT].base, registers.segments[GDT].limit = TABLE, 8 * len(table) - 1
            registers.load_segment(CS, CODE3 if self._user else CODE0, *table[3 if self._user else 1])
            for number, register in enumerate(REGISTERS):
                registers.load_segment(register, FIRST + 8 * number | level, *table[5 + number])
            if not segments[SS].type & 2 or segments[SS].code:
                registers.load_segment(SS, DATA3 if self._user else DATA0, *table[4 if self._user else 2])
            registers.cr3, registers.cr4, registers.cr0 = DIRECTORY, PSE | OSFXSR, PROTECTED_PAGED_WP
            registers.eflags = 2
            registers.derive(level)
            registers.hflags |= HFLAG_OSFXSR
            self.processor.tlb.forget()
            self._go(segments)

    def _go(self, segments: dict[int, SegmentDescriptor]) -> None:
        """Run the block once, fault by fault."""
        rng, processor, registers = self._rng, self.processor, self.processor.registers
        registers.eip = CODE
        limit, end = processor.clock + 40 * LENGTH * SLOT, CODE + SLOT * LENGTH
        self._draw(segments)
        while True:
            before = int(registers.eip)
            found = self.engine.run(limit, NEVER)
            after = int(registers.eip)
            if found.kind is ExitKind.FALLBACK:
                continue
            self.accesses += max((min(after, end) - before) // SLOT, 0) + 1
            if found.kind in (ExitKind.DEADLINE, ExitKind.PAUSE) or not CODE <= after < end:
                return
            self.reflected += 1
            registers.eip = after // SLOT * SLOT + SLOT
            if rng.random() < 0.3:
                self._draw(segments)

    def _draw(self, segments: dict[int, SegmentDescriptor]) -> None:
        rng, general = self._rng, self.processor.registers.general
        for register in (3, 4, 5, 6, 7):
            general[register] = self._target() - segments[rng.choice(REGISTERS)].base & RANGE - 1
        general[0], general[1] = rng.randrange(RANGE), rng.randrange(8)

    def _instruction(self) -> bytes:
        rng = self._rng
        kind = rng.choice(KINDS)
        selector = rng.choice((*range(0x60), FIRST, FIRST | 3, 0xFFF8, 0xFFF9, 0xFFFB)).to_bytes(2, "little").hex()
        made = bytes.fromhex(rng.choice(kind).format(selector))
        return made if kind is LOADS else rng.choice(PREFIXES) + made

    def _segment(self) -> SegmentDescriptor:
        rng = self._rng
        dpl = 3 if self._user else rng.choice((0, 0, 3))
        base = rng.choice((0, 0, DATA, MONITOR - 0x1000, MONITOR + rng.randrange(0x400000), rng.randrange(RANGE)))
        near = (MONITOR - base >> 12) + rng.randrange(-2, 3) & 0xFFFFF
        limit = rng.choice((0xFFFFF, 0xFFFFF, near, rng.randrange(1 << 20)))
        kind = rng.choice((3, 3, 3, 3, 1, 7, 5, 11))
        return SegmentDescriptor(
            base, limit, kind, system=False, dpl=dpl, present=True, granular=rng.random() < 0.8, wide=True
        )

    def _target(self) -> int:
        rng, kind = self._rng, self._rng.random()
        if kind < 0.2:
            return MONITOR + rng.randrange(-20, 20)
        if kind < 0.25:
            return rng.randrange(-20, 20) & RANGE - 1
        if kind < 0.6:
            return MONITOR + rng.randrange(RANGE - MONITOR)
        return DATA + rng.randrange(0x80000)
