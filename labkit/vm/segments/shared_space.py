"""The mechanism on the processor: guest code runs in the monitor's own linear space, and every fault is answered.

    translated   level 1, in the monitor's range, on shadow segments          a cut that is hit: emulated
    direct       level 3, the guest's own code, on shadow segments            ... by the strategy: emulated, or the
                 or whole ones, with the monitor's pages the supervisor's     segment is made whole and tried again
                                                                              a page of the monitor's: emulated

Emulated means: the one instruction, a repeated one to its end, runs on the guest's own descriptors and page tables,
where the monitor is not. What faults there, too, is the guest's own fault: it is reflected, and the guest's handler
here skips the instruction.

The segmentation unit has to be on: without it no limit is checked, and nothing protects at level 1.
"""

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.memory import Memory
from labkit.vm.machine.processor import Processor
from labkit.vm.machine.registers import CS, DS, ES, FS, GDT, GS, SS
from labkit.vm.machine.shadow_descriptors import shadow_of
from labkit.vm.machine.truncation import Cut, truncate
from labkit.vm.segments.guest_code import PROLOGUE, GuestCode, Instruction
from labkit.vm.segments.modes import DATA_REGISTERS, Hidden, Mode, Protection, Safeguard
from labkit.vm.segments.shared_memory import CODE, CODE_SIZE, MONITOR, RAM, TABLE, TRANSLATIONS, SharedMemory
from labkit.vm.segments.strategies import Costs, Outcome, Strategy

__all__ = ["Counts", "SharedSpace", "flat"]

INDEX = {"es": ES, "ss": SS, "ds": DS, "fs": FS, "gs": GS}
SELECTOR = {name: number << 3 | 3 for number, name in enumerate(DATA_REGISTERS, 1)}
NAME = {selector >> 3: name for name, selector in SELECTOR.items()}
CODE_SELECTOR, MONITOR_SELECTOR = 6 << 3, 7 << 3
ENTRIES = 8
FLAT_CODE, FLAT_DATA = 0x00CF9B00, 0x00CF9300
PROTECTED_PAGED_WP = 0x80010001
OSFXSR, HFLAG_OSFXSR = 0x200, 1 << 22
GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
STACK_FAULT, PROTECTION_FAULT, PAGE_FAULT, BREAKPOINT = 12, 13, 14, 3
LONGEST_EPISODE = 1_000_000
ALONE, SLOT = CODE + CODE_SIZE // 2, 32
"""Where each instruction of the guest's stands by itself before an INT3, to be emulated."""


def flat(base: int = 0, limit: int = 0xFFFFF, *, granular: bool = True, kind: int = 3) -> SegmentDescriptor:
    """A data segment at level 3, writable and of 4 GB where nothing else is said."""
    return SegmentDescriptor(base, limit, kind, system=False, dpl=3, present=True, granular=granular, wide=True)


@dataclass
class Counts:
    """What happened so far."""

    translated: int = 0
    direct: int = 0
    by_segment: int = 0
    """Accesses emulated because a limit was hit that the guest has not set."""
    by_page: int = 0
    """Accesses emulated because they came to the monitor's pages."""
    callouts: int = 0
    detruncations: int = 0
    reflected: int = 0
    lost: int = 0
    """Episodes that left the guest's code."""
    reloads: int = 0
    tables: int = 0

    @property
    def hidden(self) -> int:
        """Faults that the guest does not see."""
        return self.by_segment + self.by_page + self.detruncations

    def __str__(self) -> str:
        return (
            f"{self.translated} episodes translated, {self.direct} direct; {self.hidden} faults hidden "
            f"({self.by_segment} limits and {self.by_page} pages emulated, {self.detruncations} detruncations), "
            f"{self.reflected} reflected"
        )


class SharedSpace:
    """A processor, the guest's segments by register, a strategy, and the safeguards that are left out.

    `segmentation=False` leaves out the processor's check of limits. Raises `ValueError` for a name that is no data
    segment register.
    """

    def __init__(
        self,
        segments: Mapping[str, SegmentDescriptor],
        strategy: Strategy = Strategy.LAZY,
        left_out: frozenset[Safeguard] = frozenset(),
        *,
        threshold: int = 3,
        segmentation: bool = True,
    ) -> None:
        unknown = set(segments) - set(DATA_REGISTERS)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: a segment register is one of {', '.join(DATA_REGISTERS)}")
        self.strategy, self.threshold = strategy, threshold
        self.processor = Processor(memory := Memory(RAM), segmentation=segmentation)
        self.memory = SharedMemory(self.processor, memory, supervisor=Safeguard.SUPERVISOR not in left_out)
        self.protection = Protection().without(*left_out)
        self.counts = Counts()
        self.seen: list[Mode] = [Mode.MONITOR]
        """The modes of the last episode, in order."""
        self.code = GuestCode(b"")
        self._holds: dict[str, str | None] = {name: name for name in DATA_REGISTERS}
        self._table = b""
        self.describe(segments)
        registers = self.processor.registers
        registers.set_flat(CODE_SELECTOR, MONITOR_SELECTOR)
        registers.cr3, registers.cr0, registers.cr4 = self.memory.shadow, PROTECTED_PAGED_WP, OSFXSR
        registers.hflags |= HFLAG_OSFXSR
        self.processor.flush_tlb()

    def describe(self, segments: Mapping[str, SegmentDescriptor]) -> None:
        """Give the guest other segments; those that are not named are flat."""
        self.segments = {name: segments.get(name, flat()) for name in DATA_REGISTERS}
        self._words = {name: segment.encode() for name, segment in self.segments.items()}
        self._loses = {
            name for name, segment in self.segments.items()
            if segment.present and not segment.system and truncate(segment).cut is not Cut.NONE
        }  # fmt: skip
        self._eager: set[str] = set()
        self._used, self._unused = Counter[str](), Counter[str]()

    def load(self, code: GuestCode) -> None:
        """Put guest code and its translation in place."""
        self.code = code
        reserve = Safeguard.RESERVE_GS not in self.protection.left_out
        self.memory.put(CODE, code.code + b"\xcc")
        slots = b"".join((one.code + b"\xcc").ljust(SLOT, b"\xcc") for one in code.instructions)
        self.memory.put(ALONE, slots)
        self._slots = {one.offset: ALONE + SLOT * number for number, one in enumerate(code.instructions)}
        self.memory.put(TRANSLATIONS, PROLOGUE + code.translate(reserve_gs=reserve) + b"\xcc")

    def close(self) -> None:
        """Free the processor."""
        self.processor.close()

    # --- episodes

    def run(self, *, translated: bool = False, registers: Mapping[str, int] | None = None) -> None:
        """Run the code once, to its end, translated or directly; the general registers stay but for `registers`."""
        for name, value in (registers or {}).items():
            self.processor.registers.general[GENERAL.index(name)] = value
        self.seen = [Mode.MONITOR]
        self._holds = {name: name for name in DATA_REGISTERS}
        self._faulting: set[str] = set()
        if translated:
            self.counts.translated += 1
            self._enter(Mode.TRANSLATED)
            self._start = TRANSLATIONS + len(PROLOGUE)
            self._go(TRANSLATIONS)
        else:
            self.counts.direct += 1
            self._begin_direct()
            self._start = CODE
            self._go(CODE)
            self._end_direct()
        self._enter(Mode.MONITOR)

    def _begin_direct(self) -> None:
        if self.strategy is Strategy.TWO_TABLES:
            self._enter(Mode.DIRECT_DETRUNCATED)
            self.counts.reloads += 2 * len(DATA_REGISTERS)
            self.counts.tables += 2
            return
        self._enter(Mode.DIRECT_TRUNCATED)
        for name in sorted(self._eager):
            self._detruncate(name)
        self.counts.reloads += 2 * len(self._eager)

    def _end_direct(self) -> None:
        if self.strategy is not Strategy.COUNTING:
            return
        for name in self._faulting:
            self._used[name] += 1
            if self._used[name] >= self.threshold:
                self._eager.add(name)
                self._unused[name] = 0
        # use without a fault is seen by the accessed bit of a descriptor loaded anew only: whole ones stay
        # for `threshold` times as many episodes, then their use is tried again
        for name in self._eager - self._faulting:
            self._unused[name] += 1
            if self._unused[name] >= self.threshold * 8:
                self._eager.discard(name)
                self._used[name] = self.threshold - 1

    def _go(self, eip: int) -> None:
        """Run from `eip` until the end of the code, or until it is lost."""
        processor, registers = self.processor, self.processor.registers
        registers.eip = eip
        limit = processor.clock + LONGEST_EPISODE
        while True:
            found = processor.run(limit)
            if found.kind is not ExitKind.EXCEPTION:
                self.counts.lost += 1
                return
            offset = (registers.eip - self._start) & 0xFFFFFFFF
            if found.software and found.vector == BREAKPOINT:
                offset -= 1
                if offset == len(self.code.code):
                    return
                self.counts.callouts += 1
            one = self.code.at.get(offset)
            if one is not None:
                self._answer(found, one)
            elif registers.eip == TRANSLATIONS:  # the monitor's own instruction: gs is not the monitor's
                registers.eip = self._start
            else:
                self.counts.lost += 1
                return

    # --- faults

    def _answer(self, found: Exit, one: Instruction) -> None:
        """Make up for a fault, or skip the instruction."""
        if found.vector == BREAKPOINT:
            self._emulate(one, "callouts")
        elif found.vector in (STACK_FAULT, PROTECTION_FAULT) and not one.loads:
            cut = self._cut(one)
            if not cut:
                self._reflect(one)
            elif self.protection.mode is Mode.TRANSLATED or self.strategy is Strategy.NEVER:
                self._emulate(one, "by_segment")
            else:
                self.counts.detruncations += 1
                self.counts.reloads += 1
                self._faulting.add(cut[0])
                self._detruncate(cut[0])
        elif found.vector == PAGE_FAULT and found.address >= MONITOR and not one.loads:
            self._emulate(one, "by_page")
        else:
            self._reflect(one)

    def _cut(self, one: Instruction) -> list[str]:
        """The segment registers of an instruction whose hidden part is not the guest's segment, but what is left of it.

        The processor is asked, for the guest may have loaded a register again from the shadow table.
        """
        self._look()
        names = []
        for register in one.segments:
            holds = self._holds.get(register)
            if holds is None or holds not in self._loses:
                continue
            place = FS if register == "gs" and self.protection.mode is Mode.TRANSLATED else INDEX[register]
            found, whole = self.processor.registers.segments[place], self.segments[holds]
            if found.limit != whole.last or (found.flags >> 8 ^ whole.type) & 0xE:
                names.append(register)
        return names

    def _look(self) -> None:
        """What the guest has loaded into es itself."""
        selector = int(self.processor.registers.segments[ES].selector)
        self._holds["es"] = NAME.get(selector >> 3)

    def _reflect(self, one: Instruction) -> None:
        self.counts.reflected += 1
        self.processor.registers.eip = self._start + one.offset + len(one.code)

    def _emulate(self, one: Instruction, cause: str) -> None:
        """Run the instruction on the guest's own segments and page tables."""
        processor, registers = self.processor, self.processor.registers
        self._look()
        kept = [(s.selector, s.base, s.limit, s.flags) for s in registers.segments]
        for register, holds in self._holds.items():
            if holds is None:
                registers.clear_segment(INDEX[register])
            else:
                registers.load_segment(INDEX[register], SELECTOR[holds], *self._words[holds])
        registers.load_segment(CS, CODE_SELECTOR | 3, 0xFFFF, FLAT_CODE | 3 << 13)
        registers.derive(3)
        registers.cr3, registers.eip = self.memory.guest, self._slots[one.offset]
        processor.flush_tlb()
        found = processor.run(processor.clock + LONGEST_EPISODE)
        for segment, (selector, base, limit, flags) in zip(registers.segments, kept, strict=True):
            segment.selector, segment.base, segment.limit, segment.flags = selector, base, limit, flags
        registers.derive(self.protection.level)
        registers.cr3 = self.memory.shadow
        processor.flush_tlb()
        if found.software and found.vector == BREAKPOINT:
            setattr(self.counts, cause, getattr(self.counts, cause) + 1)
            registers.eip = self._start + one.offset + len(one.code)
        else:
            self._reflect(one)

    # --- modes

    def _enter(self, mode: Mode) -> None:
        before = self.protection
        self.protection = before.to(mode)
        self._note()
        if mode is Mode.MONITOR:
            return  # it is Python, and uses no segment
        registers = self.processor.registers
        if self.protection.reloads != before.reloads:
            self._write_table()
            for register in DATA_REGISTERS:
                self._load(register)
        level = self.protection.level
        registers.load_segment(CS, CODE_SELECTOR | level, 0xFFFF, FLAT_CODE | level << 13)
        registers.segments[GDT].base, registers.segments[GDT].limit = TABLE, 8 * ENTRIES - 1
        registers.derive(level)

    def _detruncate(self, register: str) -> None:
        """Rewrite one descriptor and load its register again."""
        self.protection = self.protection.detruncate(register)
        self._note()
        self._write_table()
        self._load(register)
        self.processor.registers.derive(self.protection.level)

    def _note(self) -> None:
        if self.seen[-1] is not self.protection.mode:
            self.seen.append(self.protection.mode)

    def _hidden(self, register: str) -> Hidden:
        return self.protection.hidden[DATA_REGISTERS.index(register)]

    def _descriptor(self, register: str, hidden: Hidden) -> SegmentDescriptor:
        raised = Safeguard.RAISE_DPL not in self.protection.left_out
        guest = self.segments[register]
        return shadow_of(guest, truncated=hidden is not Hidden.WHOLE, raised=raised)

    def _load(self, register: str) -> None:
        registers, hidden = self.processor.registers, self._hidden(register)
        if hidden is Hidden.MONITOR:
            registers.load_segment(INDEX[register], MONITOR_SELECTOR, (MONITOR & 0xFFFF) << 16 | 0xFFFF, self._own())
            return
        source = self._holds[register]
        if register == "fs" and self.protection.mode is Mode.TRANSLATED and self.code.uses_gs:
            source = "gs"
        if source is None:
            registers.clear_segment(INDEX[register])
            return
        words = self._descriptor(source, hidden).encode()
        registers.load_segment(INDEX[register], SELECTOR[source], *words)

    @staticmethod
    def _own() -> int:
        """Upper word of the monitor's data segment, which begins where its range does."""
        return FLAT_DATA | MONITOR & 0xFF000000 | MONITOR >> 16 & 0xFF

    def _write_table(self) -> None:
        """The shadow table, its entries as whole as their registers; the last entries are the monitor's."""
        words = [(0, 0)]
        for register in DATA_REGISTERS:
            hidden = self._hidden(register)
            shown = Hidden.TRUNCATED if hidden is Hidden.MONITOR else hidden
            words.append(self._descriptor(register, shown).encode())
        words += [(0xFFFF, FLAT_CODE), ((MONITOR & 0xFFFF) << 16 | 0xFFFF, self._own())]
        table = b"".join(struct.pack("<II", low, high | 0x100 * (high >> 12 & 1)) for low, high in words)
        if table != self._table:
            self._table = table
            self.memory.put(TABLE, table)

    # --- what came of it

    @property
    def leaked(self) -> int:
        """Guest accesses that came to the monitor's memory, by the access log and the canaries."""
        return self.memory.log.loads + self.memory.log.stores + self.memory.damaged

    def outcome(self, costs: Costs | None = None) -> Outcome:
        """The direct episodes as the pure model counts them."""
        counts = self.counts
        emulated = counts.by_segment + counts.by_page
        made = Outcome(
            self.strategy, counts.direct, emulated, counts.detruncations, counts.reloads, counts.tables
        )
        return made if costs is None else Outcome(*_fields(made), costs)


def _fields(made: Outcome) -> tuple[Strategy, int, int, int, int, int]:
    return made.strategy, made.episodes, made.emulated, made.detruncations, made.reloads, made.tables
