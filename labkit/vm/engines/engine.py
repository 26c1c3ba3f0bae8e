"""The binary-translation engine: the guest's kernel is translated and runs at CPL 1, its programs run directly.

The top 4 MB of every linear space are the monitor's: translation cache, shadow descriptor tables, its own words.

    mode             level  segments                       the monitor's pages   protected by
    translated code    1    shadows, cut below FFC00000;   in reach              the limits
                            gs is the monitor's
    direct execution   3    the guest's own, whole         the supervisor's      paging
    the monitor        0    the guest's own                as the guest has them, for one instruction

Each change of mode loads all segment registers and both table registers; leaving direct execution cuts the segments
again (the strategy of two table sets: the guest's own table is the second). An access that a cut limit refuses, and
one that comes to a supervisor page, the guest may be allowed: the monitor does that instruction on the guest's own
segments and page tables. It is a hidden fault, or the guest's own, which is reflected. A segment register that could
not be loaded again from its table is nonreversible: its program does not run directly.

Unicorn checks no limits. A limit that ends where the monitor begins refuses the monitor's pages and nothing else, so
it is asked when the TLB is, and no page of the monitor's stays there (probes/translated_run.py): that costs nothing.
What the cut takes beyond that, offsets that wrap to 0, is not refused: it is no memory of the monitor's.

`shadowed=False`: translated code runs on the guest's own descriptors, and the TLB alone refuses.

    guest at CPL 3           direct execution
    guest at CPL 0, 32 bits  translated code; what that leaves to the monitor is done with one instruction
                             at CPL 0, or by emulation
    trap flag, breakpoints   one instruction after another
    anything else            (real mode, 16-bit kernel code, levels 1 and 2, code segments with a base) as the
                             other engine does it, and an event says so

The guest's execution points are those of the other engine: the clock counts the guest's instructions.
"""

import mmap

from labkit.vm.engines.snapshot import Snapshot
from labkit.vm.engines.translator import Translator
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.processor import NEVER, Processor
from labkit.vm.machine.registers import CS
from labkit.vm.machine.shadow_segments import ShadowSegments
from labkit.vm.machine.translated_code import Reason, TranslatedCode

__all__ = ["BinaryTranslator"]

TF, VM, PROTECTED = 0x100, 0x20000, 1
CODE_32 = 0x10
ENABLED_BREAKPOINTS = 0xFF
OTHER = "as the other engine"
NONREVERSIBLE = "a segment register holds what its table does not: the program runs as under the hw engine"
SLICE = 500
"""Instructions that code which is not translated runs before it is looked at again."""


class BinaryTranslator:
    """Runs a guest by translating its kernel. One for a processor; it takes the processor over."""

    name = "bt"

    def __init__(self, processor: Processor, *, shadowed: bool = True) -> None:
        self._processor = processor
        self._cache = TranslatedCode(processor, shadowed=shadowed)
        self._translator = Translator(self._cache)
        self._space: tuple[int, ...] = ()
        self._counts = {
            "callouts": 0, "hidden faults": 0, "limit faults hidden": 0, "page faults hidden": 0,
            "code writes": 0, "reflected faults": 0, "mode switches": 0, "single steps": 0, "fallbacks": 0,
        }  # fmt: skip
        self._mode = ""

    @property
    def shadows(self) -> ShadowSegments | None:
        """The guest's segments and their shadows; None where there are no shadows."""
        return self._cache.shadows

    @property
    def memory(self) -> mmap.mmap:
        """The monitor's part of the linear space, FFC00000 first."""
        return self._cache.memory

    @property
    def counts(self) -> dict[str, int]:
        """What the engine has done, by name."""
        return {**self._translator.counts, **self._cache.counts, **self._counts}

    def snapshot(self) -> Snapshot:
        """The translations that there are now, to be looked at."""
        return self._translator.snapshot()

    def run(self, deadline: int, pause: int) -> Exit:
        """Go on until a deadline or an exit."""
        processor = self._processor
        processor.advanced = NEVER
        while True:
            clock, deadline = processor.clock, min(deadline, processor.advanced)
            if clock >= deadline:
                return Exit(ExitKind.DEADLINE)
            if clock >= pause:
                return Exit(ExitKind.PAUSE)
            if processor.interrupt_pin and processor.registers.can_take_interrupt:
                return Exit(ExitKind.WINDOW)
            found = self._go_on(deadline, pause)
            if found is not None:
                if found.kind is ExitKind.EXCEPTION and not found.software:
                    self._counts["reflected faults"] += 1
                return found

    def _go_on(self, deadline: int, pause: int) -> Exit | None:
        """As far as one mode goes; an exit if it came to one."""
        registers = self._processor.registers
        if registers.cpl == 3 and registers.cr0 & PROTECTED:
            if not self._cache.is_reversible():
                return self._as_the_other(NONREVERSIBLE, deadline, pause)
            self._enter("direct")
            reason, ended = self._cache.run_directly(deadline, pause)
            return ended if ended is not None else self._settle(reason)
        why = self._untranslated()
        if why:
            return self._as_the_other(why, deadline, pause)
        space = (registers.cr0, registers.cr3, registers.cr4)
        if space != self._space:
            self._space = space
            self._cache.forget_seen()
        if registers.eflags & TF or registers.debug[7] & ENABLED_BREAKPOINTS:
            self._counts["single steps"] += 1
            return self._step()
        place = self._translator.place(registers.eip)
        if place is None:
            self._counts["single steps"] += 1
            return self._step()
        self._enter("translated")
        reason, ended = self._cache.run(place, deadline, pause)
        return ended if ended is not None else self._settle(reason)

    def _settle(self, reason: int) -> Exit | None:
        """Translated code has stopped for the translator."""
        registers = self._processor.registers
        if reason == Reason.CALLOUT:
            self._counts["callouts"] += 1
            return self._step()
        if reason == Reason.MONITOR:
            self._counts["hidden faults"] += 1
            by_page = registers.cpl == 3 or self._cache.shadows is None
            self._counts["page faults hidden" if by_page else "limit faults hidden"] += 1
            return self._step()
        if reason == Reason.CODE_WRITE:
            self._counts["hidden faults"] += 1
            self._counts["code writes"] += 1
            return self._step() if self._cache.release_written() else None
        if reason == Reason.STALE:
            places = (registers.eip, registers.eip + 4095 & 0xFFFFFFFF)
            for eip in places[: 1 + self._cache.crosses]:  # to ask is to fetch: it sets the accessed bit
                if not self._cache.still(eip):
                    self._translator.drop_page(eip >> 12)
        return None

    def _step(self) -> Exit | None:
        """The monitor has the processor do one instruction, and sees whether it concerns translations."""
        self._enter("monitor")
        found = self._cache.step()
        self._cache.forget_seen()
        return found

    def _enter(self, mode: str) -> None:
        if mode != self._mode:
            self._mode = mode
            self._counts["mode switches"] += 1

    def _as_the_other(self, why: str, deadline: int, pause: int) -> Exit | None:
        """What is not translated runs as under the other engine, until it may be something else."""
        if self._mode != OTHER:
            self._enter(OTHER)
            self._counts["fallbacks"] += 1
            return Exit(ExitKind.FALLBACK, note=why)
        found = self._cache.run_openly(deadline, min(pause, self._processor.clock + SLICE))
        self._cache.forget_seen()
        return None if found.kind is ExitKind.PAUSE and self._processor.clock < pause else found

    def _untranslated(self) -> str:
        """Why the guest's code is not translated as it stands; empty if it is."""
        registers = self._processor.registers
        if not registers.cr0 & PROTECTED:
            return "real-mode code is not translated: it runs as under the hw engine"
        if registers.cpl:
            return f"code at privilege level {registers.cpl} is not translated: it runs as under the hw engine"
        if not registers.hflags & CODE_32:
            return "16-bit kernel code is not translated: it runs as under the hw engine"
        if registers.segments[CS].base:
            return "kernel code in a segment with a base is not translated: it runs as under the hw engine"
        return ""
