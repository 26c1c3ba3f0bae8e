# ruff: noqa: SLF001  (a part of the processor in a file of its own)
"""The processor's side of a binary translator: the translation cache, its tables, and running in it.

The cache is the top 4 MB of every linear address space, in memory of our own above the guest's physical
memory. Between two runs the processor stands in the guest's own code at the guest's own privilege level;
`enter` and `leave` are the way in and out.

    enter   CPL 0 -> 1, EIP -> its translation, segments -> their shadows
    leave   CPL 1 -> 0, EIP -> the guest's, segments -> the guest's

The shadow descriptor tables and the monitor's words follow the cache (shadow_segments.py).
"""

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.exit_reason import exit_for
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import decode, dispatch, translated, translated_check, translated_run
from labkit.vm.machine.probes.call_site import CallSites
from labkit.vm.machine.probes.emulator import Hook
from labkit.vm.machine.processor import NEVER, Processor
from labkit.vm.machine.shadow_segments import ShadowSegments
from labkit.vm.machine.translated_places import Operation, Place
from labkit.vm.machine.translating import Translating

__all__ = ["Operation", "Place", "Reason", "TranslatedCode"]

NO_PAGE = 1 << 62
SPARE = 64
VIRTUAL_8086 = 0x20000
LONGEST_INSTRUCTION = 15
TRANSLATOR_STOPS = (c.Stop.MISSING, c.Stop.CALLOUT, c.Stop.STALE, c.Stop.CODE_WRITE, c.Stop.MONITOR)
BETWEEN = (c.Stop.DEADLINE, c.Stop.PAUSE, c.Stop.WINDOW)
Reason = c.Stop


class TranslatedCode:
    """Translated code of the guest that runs on `processor`; one for a processor."""

    BASE, BYTES, CODE_BYTES = c.TC_BASE, c.TC_BYTES, c.TC_CODE_BYTES

    def __init__(self, processor: Processor, *, shadowed: bool = True) -> None:
        if processor.segmentation and not shadowed:
            raise ValueError("the segmentation unit checks the limits of shadow descriptors: leave one of them out")
        if processor._core.mmu != "labkit":
            raise ValueError(f"mmu {processor._core.mmu!r}: a binary translator needs a machine with mmu 'labkit'")
        self._processor, self._core = processor, processor._core
        self._frames, self._cells = processor._frames, processor.cells
        self.memory = mmap.mmap(-1, self.BYTES)
        size = self.BYTES + SPARE
        self.sums: npt.NDArray[np.uint64] = np.zeros(size, np.uint64)
        self.guest: npt.NDArray[np.uint32] = np.zeros(size, np.uint32)
        self.flags: npt.NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.operations: npt.NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.arguments: npt.NDArray[np.uint32] = np.zeros(2 * size, np.uint32)
        self._seen = np.zeros(1 << 20, np.uint8)
        self._seen_list = np.zeros(1 << 20, np.uint32)
        self.pages: npt.NDArray[np.uint32] = np.zeros(1 << 20, np.uint32)
        self.where = 0
        self._pause = 0
        self.crosses = False
        """Does the guest's block that translated code has stopped before lie on two pages?"""
        self._fill_cells()
        self.shadows = ShadowSegments(self._cells, self.memory) if shadowed else None
        """Of the guest's descriptors, on which translated code runs; None: it runs on the guest's own."""
        self._source = ctypes.create_string_buffer(2 * FRAME_SIZE)
        self._sites = CallSites(
            self._core.array, self._core.emulator.layout,
            translated_run.translated_block_hook_replacing, translated_run.translated_block_hook_again,
        )  # fmt: skip
        counting = self._sites if self._sites.address else translated_run.translated_block_hook
        self._core.install(translated_run.translated_fill, counting, dispatch.dispatch_hook)
        if processor.segmentation and self.shadows is not None:
            core = self._core
            core.hook(Hook.CODE, translated_check.translated_check_hook, first=self.BASE, last=(1 << 32) - 1)
            self.shadows.check_all()
        processor.flush_code()
        processor.flush_tlb()

    def _fill_cells(self) -> None:
        a, core = self._core.array, self._core
        host = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        core.emulator.map(c.TC_PHYSICAL, self.BYTES, host)
        tables: dict[int, npt.NDArray[Any]] = {
            c.TC_SUMS: self.sums, c.TC_GUEST: self.guest, c.TC_FLAGS: self.flags,
            c.TC_OPERATIONS: self.operations, c.TC_ARGUMENTS: self.arguments,
            c.TC_SEEN: self._seen, c.TC_SEEN_LIST: self._seen_list, c.TC_PAGES: self.pages,
        }  # fmt: skip
        addresses: dict[int, int] = {cell: table.ctypes.data for cell, table in tables.items()}
        for cell, address in addresses.items():
            a[cell] = address
        a[c.TC_MEMORY], a[c.CONTROL_FUNCTION] = host, core.emulator.control_function
        a[c.CPU], a[c.FLUSH_FUNCTION] = core.emulator.layout.processor, core.emulator.flush_page_function
        a[c.TC_FREE] = 1
        self.making = Translating(core.array, self.memory)
        """The translation that is being made."""

    # --- code that may change

    def on_release(self, told: Callable[[int], None]) -> None:
        """Whom to tell of each frame whose code may change from now on."""
        self._frames.on_release = told

    def frame_for(self, linear: int) -> int | None:
        """The frame that holds the kernel's code at a linear address, from now on watched for stores.

        None where a fetch would fault, or where there is no RAM.
        """
        physical = int(translated.code_page(self._cells, linear))
        memory = self._core.memory
        if physical >= memory.size:
            return None
        frame = physical // FRAME_SIZE
        if memory.state[frame] & c.FRAME_MIXED:
            self._frames.release(frame)
        if memory.state[frame] & c.FRAME_WRITABLE or not memory.state[frame] & c.FRAME_CODE:
            self._core.flush_tlb()
            memory.state[frame] |= c.FRAME_CODE
        self._core.pages[linear >> 12] = physical | int(memory.generation[frame])
        self.pages[linear >> 12] = frame + 1
        return frame

    def fetch(self, parts: list[tuple[int, int, int]]) -> int:
        """Host address of a copy of the guest's code in parts of frames (frame, offset, size), with room behind it."""
        at = start = ctypes.addressof(self._source)
        for frame, offset, size in parts:
            ctypes.memmove(at, self._core.memory.address + frame * FRAME_SIZE + offset, size)
            at += size
        return start

    # --- forgetting

    def is_seen(self, page: int) -> bool:
        """Does this linear page (a number) still lead to the frame that its code was translated from?"""
        return bool(translated.page_seen(self._cells, page))

    def still(self, linear: int) -> bool:
        """Does this address lead to the frame that its code was translated from?"""
        physical = int(translated.code_page(self._cells, linear))
        return physical < NO_PAGE and self.pages[linear >> 12] == physical // FRAME_SIZE + 1

    def forget_seen(self, page: int | None = None) -> None:
        """The guest's translations of addresses (of one linear page, by number) have changed."""
        if page is None:
            translated.forget_seen(self._cells)
        else:
            self._seen[page] = 0

    def forget_code(self, place: int, size: int) -> None:
        """Bytes of the cache that have run have been changed."""
        self._core.forget_block(self.BASE + place, size)

    def forget_all(self) -> None:
        """The cache is empty again."""
        self.making.forget_all()
        self._processor.flush_code()
        self.forget_seen()

    # --- looking

    @property
    def counts(self) -> dict[str, int]:
        """What the compiled dispatcher has done."""
        cells = self._cells
        return {
            "translations": int(cells[c.TC_TRANSLATIONS]), "translated instructions": int(cells[c.TC_TRANSLATED]),
            "linked jumps": int(cells[c.TC_LINKS]), "chain hits": int(cells[c.TC_FOLLOWED]),
            "returns": int(cells[c.TC_RETURNS]), "indirect jumps": int(cells[c.TC_INDIRECT]),
            "flag changes": int(cells[c.TC_FLAG_CHANGES]), "privileged": int(cells[c.TC_PRIVILEGED]),
            "compiled switches": int(cells[c.TC_SWITCHES]),
            **(self.shadows.counts if self.shadows is not None else {}),
        }  # fmt: skip

    # --- running

    def is_reversible(self) -> bool:
        """Could the program's segment registers be loaded again from its tables, and hold what they hold now?"""
        if self.shadows is None or self._core.registers.eflags & VIRTUAL_8086:
            return True
        return self.shadows.is_reversible()

    def run(self, place: int, deadline: int, pause: int) -> tuple[int, Exit | None]:
        """Run translated code; why it ended: a `Stop` that is the translator's business, or an exit."""
        self._begin(deadline, pause)
        self._enter(place)
        return self._ended(self._stretch())

    def run_directly(self, deadline: int, pause: int) -> tuple[int, Exit | None]:
        """Run a program of the guest (CPL 3) straight on the processor, as `run`."""
        self._begin(deadline, pause)
        return self._ended(None)

    def _begin(self, deadline: int, pause: int) -> None:
        processor, cells = self._processor, self._cells
        processor._goal, cells[c.PAUSE] = deadline, pause
        processor._set_deadline()
        self._pause = pause

    def _ended(self, stop: int | None) -> tuple[int, Exit | None]:
        """A stretch has ended for `stop`, in translated code or in a program: they call each other."""
        processor = self._processor
        while not self._inside():
            found = self._directly(stop)
            if found.kind is ExitKind.MONITOR:
                return c.Stop.MONITOR, None
            if found.kind is not ExitKind.KERNEL:
                return c.Stop.NONE, found
            stop = processor.stopped
            if not self._inside():
                return c.Stop.CALLOUT if stop == c.Stop.CALLOUT else c.Stop.KERNEL, None
        assert stop is not None  # noqa: S101  (inside is only where a stretch has led)
        return self._settle(stop)

    def _inside(self) -> bool:
        """Does the processor stand in translated code?"""
        registers = self._core.registers
        return bool(registers.eip >= self.BASE and registers.hflags & 3 == 1)

    def _away(self) -> bool:
        """Is the stretch that has ended no business of the program's?"""
        return self._inside() or self._cells[c.STOP] == c.Stop.CALLOUT

    def _directly(self, stop: int | None) -> Exit:
        processor = self._processor
        self._cells[c.TC_FREE] = 0
        try:
            return processor.run(min(processor._goal, processor.advanced), self._pause, stop, self._away)
        finally:
            self._cells[c.TC_FREE] = 1

    def _settle(self, stop: int) -> tuple[int, Exit | None]:
        """Translated code was stopped."""
        processor, cells = self._processor, self._cells
        while stop == c.Stop.PARTIAL:
            ended = self._prefix(processor._goal - cells[c.CLOCK])
            processor._set_deadline()
            if ended is None:
                if cells[c.CLOCK] >= processor._goal:
                    stop = c.Stop.DEADLINE
                    break
                ended = self._stretch()
            if not self._inside():
                return self._ended(ended)
            stop = ended
        self._leave(stop)
        processor._raise_failure()
        due = cells[c.CLOCK] >= processor._goal  # what asks for the monitor comes after the deadline
        if stop in BETWEEN or due:  # the other engine stops when it has fetched what comes next
            translated.code_page(cells, self._core.registers.linear_eip)
        if stop in TRANSLATOR_STOPS:
            return stop, Exit(ExitKind.DEADLINE) if due else None
        return stop, exit_for(self._core, stop)

    def _stretch(self) -> int:
        if self._cells[c.ATTENTION] & c.ATTENTION_FLUSH:  # an INVLPG that the monitor had done hit a large page
            self._core.attend(c.ATTENTION_FLUSH, False)
            self._processor.flush_tlb()
        self._cells[c.TC_FREE] = 0
        stop = self._core.start()
        self._cells[c.TC_FREE] = 1
        return stop

    def _enter(self, place: int) -> None:
        cells, registers = self._cells, self._core.registers
        if cells[c.BLOCK] == registers.eip and cells[c.BLOCK_INFO] & decode.REP:
            cells[c.TC_BLOCK] = self.BASE + place  # a repeated instruction goes on
        else:
            cells[c.TC_BLOCK] = 0
        cells[c.TC_SIZE] = cells[c.BLOCK_SIZE] = cells[c.BLOCK_INFO] = 0
        registers.eip = self.BASE + place
        registers.hflags |= 1
        if self.shadows is not None:
            self.shadows.enter()

    def _leave(self, stop: int) -> None:
        cells, registers = self._cells, self._core.registers
        registers.hflags &= ~3
        if self.shadows is not None:
            self.shadows.leave()
        place = registers.eip - self.BASE
        self.where = int(cells[c.TC_WHERE])
        cells[c.BLOCK_SIZE] = cells[c.BLOCK_INFO] = 0
        cells[c.BLOCK] = (1 << 64) - 1
        cells[c.TC_SIZE] = 0
        if stop == c.Stop.MISSING:
            registers.eip = self.where
        elif place >= 0:
            registers.eip = int(self.guest[place])
            self.crosses = bool(self.flags[place] & c.TC_CROSSES)
            if self.flags[place] & c.TC_REPEATS and cells[c.TC_BLOCK] == self.BASE + place:
                cells[c.BLOCK], cells[c.BLOCK_INFO] = registers.eip, decode.REP

    def _prefix(self, count: int) -> int | None:
        """Run `count` guest instructions of the block that was stopped before; None when that is done."""
        cells, core = self._cells, self._core
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        first = start - self.BASE
        retired = (self.sums[first : first + size + 1] - self.sums[first]) & np.uint64(0xFFFFFFFF)
        inside = self.flags[first : first + size + 1] & np.uint8(c.TC_INSIDE)
        goal = start + int(np.flatnonzero((retired == count) & (inside == 0))[0])
        core.emulator.set_exits(goal)
        core.forget_block(start, size)
        stop = self._stretch()
        core.emulator.set_exits()
        core.forget_block(start, size)
        return None if stop == c.Stop.NONE and core.registers.linear_eip == goal else stop

    def step(self) -> Exit | None:
        """Let the processor do one instruction of the guest at the guest's own CPL; an exit if it came to one.

        One that lies at the cache's addresses, or touches them, finds there what the guest has there.
        """
        found = Exit(ExitKind.MONITOR)
        if self._core.registers.linear_eip < self.BASE - LONGEST_INSTRUCTION:  # levels 0 and 1 have one TLB
            found = self._processor.run(self._cells[c.CLOCK] + 1)
        if found.kind is ExitKind.MONITOR:
            found = self.run_openly(self._cells[c.CLOCK] + 1, NEVER)
        return None if found.kind is ExitKind.DEADLINE else found

    def run_openly(self, deadline: int, pause: int) -> Exit:
        """Run any code as the other engine does; the top of the linear space is the guest's own meanwhile."""
        processor = self._processor
        processor.flush_tlb()
        self._cells[c.TC_OPEN] = 1
        try:
            return processor.run(deadline, pause)
        finally:
            self._cells[c.TC_OPEN] = 0
            processor.flush_tlb()

    def release_written(self) -> bool:
        """The frame about to be stored to holds translated code no more; does the instruction lie in it?"""
        frame = int(self._cells[c.FAULT_PHYSICAL]) // FRAME_SIZE
        own = frame in self._frames.running()
        self._frames.release(frame)
        self._processor.flush_tlb()
        return own
