"""The processor core: Unicorn, the cells and the compiled hooks put together; runs one stretch at a time.

A stretch ends for a `Stop`; what to make of it is the processor's business (processor.py).
"""

import ctypes
from typing import Any

import numpy as np

from labkit.vm.machine.host_memory import keep_large_blocks_apart
from labkit.vm.machine.memory import FRAME_SIZE, Memory
from labkit.vm.machine.paging import translate
from labkit.vm.machine.probes import (
    block,
    block_native,
    decode,
    fill,
    keyed_fill,
    segment_check,
    segments,
    traps,
    unit_fill,
)
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.call_site import CallSites, unfold
from labkit.vm.machine.probes.emulator import (
    EXCEPTION,
    INVALID_INSTRUCTION,
    OK,
    Emulator,
    Hook,
    HookedInstruction,
    fault_address_offset,
)
from labkit.vm.machine.registers import RegisterFile

__all__ = ["Core"]

UD, PF = 6, 14
STATUS_FLAGS = 0x8D5  # OF SF ZF AF PF CF
RF, BREAKPOINTS = 0x10000, 0xFF  # in EFLAGS; those enabled in DR7
MOST_CHECKED = 96  # blocks with checks of their own; Unicorn asks for each of them at each translated instruction
CALM = 1 << 20  # instructions without checks, after which all code is rid of them
UNCACHED = 0xFFF  # generation of a page whose decoded blocks are not kept
FILLS = {"labkit": fill.tlb_fill, "keyed paging": keyed_fill.keyed_fill, "keys": unit_fill.unit_fill}


class Core:
    """Engine, cells, registers and the tables of the compiled hooks, on a given memory."""

    def __init__(self, memory: Memory, mmu: str, segmentation: bool) -> None:
        if mmu not in {*FILLS, "unicorn"}:
            raise ValueError(f"mmu {mmu!r}: give one of {', '.join([*FILLS, 'unicorn'])}")
        keep_large_blocks_apart()
        self.memory, self.mmu, self.segmentation = memory, mmu, segmentation
        self._given_checks: dict[tuple[int, int], ctypes.c_size_t] = {}
        self._check_all: ctypes.c_size_t | None = None
        self._seen_checks = (0, 0)  # clock, and how many instructions had been checked then
        self.emulator = Emulator()
        fault_address_offset()  # a wheel without it is refused now, not at the first page fault
        self.array = c.new_cells()
        self.cells: Any = (ctypes.c_uint64 * c.CELLS).from_address(self.array.ctypes.data)
        layout = self.emulator.layout
        self.registers = RegisterFile(layout.registers, layout.debug)
        self.pages = np.zeros(1 << 20, np.uint32)
        self.blocks = np.zeros(block.TABLE_ENTRIES, np.uint64)
        self.crossing = np.zeros(3 << block.CROSSING_BITS, np.uint64)
        self._checked = np.zeros(1 << segments.CHECKED_BITS, np.uint64)
        self._large = np.zeros(2048, np.uint8)
        self._translations = np.zeros(1 << 20, np.uint64)
        self._listed = np.zeros(1 << 20, np.uint32)
        self._scratch = np.zeros(8192 + 4096 + 64, np.uint8)
        self.protection = np.zeros(max(keyed_fill.SIZE, unit_fill.SIZE), np.uint64)
        self._raw = (ctypes.c_uint8 * (c.ABOVE_SIZE + FRAME_SIZE))()
        self.above = self._map_memory()
        self._handles: dict[int, ctypes.c_size_t] = {}
        self._fill_cells()
        self._hook(mmu)
        if segmentation:
            self.cells[c.SEGMENT_MASK] = decode.SEGMENT_CHECK | decode.SEGMENT_LOAD

    def _map_memory(self) -> Any:
        """Map RAM, and pages of our own above 4 GB; those."""
        self.emulator.map(0, self.memory.size, self.memory.address)
        start = (ctypes.addressof(self._raw) + FRAME_SIZE - 1) & ~(FRAME_SIZE - 1)
        above = np.ctypeslib.as_array((ctypes.c_uint8 * c.ABOVE_SIZE).from_address(start))
        above[:FRAME_SIZE] = 0xFF
        self.emulator.map(c.ABOVE, c.ABOVE_SIZE, start)
        return above

    def _fill_cells(self) -> None:
        a, layout = self.array, self.emulator.layout
        self.memory.attach(a)
        a[c.ENV], a[c.OLD_EXCEPTION] = layout.registers, layout.old_exception
        a[c.IS_SOFTWARE], a[c.ERROR_CODE] = layout.is_software, layout.error_code
        a[c.PAGES], a[c.BLOCKS] = self.pages.ctypes.data, self.blocks.ctypes.data
        a[c.TLB_LIST], a[c.TLB_EPOCH] = self._listed.ctypes.data, 1
        a[c.TLB] = self._translations.ctypes.data if self.mmu != "unicorn" else 0
        a[c.CROSSING], a[c.LARGE] = self.crossing.ctypes.data, self._large.ctypes.data
        a[c.PROTECTION] = self.protection.ctypes.data
        a[c.SEGMENT_CHECKED] = self._checked.ctypes.data
        a[c.SCRATCH] = self._scratch.ctypes.data
        a[c.STOP_FUNCTION], a[c.ENGINE] = self.emulator.stop_function, self.emulator.address
        a[c.SELF], a[c.READ_REGISTER] = a.ctypes.data, self.emulator.register_function

    def _hook(self, mmu: str) -> None:
        if mmu in FILLS:
            self.emulator.answer_translations()
        counting = block.block_hook if mmu in FILLS else block_native.block_hook_native
        self.install(FILLS.get(mmu), self._block_hook() if mmu == "labkit" else counting, traps.exception_hook)
        self.hook(Hook.INSTRUCTION, traps.rdtsc_hook, instruction=HookedInstruction.RDTSC)
        self.hook(Hook.INSTRUCTION, traps.sysenter_hook, instruction=HookedInstruction.SYSENTER)

    def _block_hook(self) -> Any:
        layout = self.emulator.layout
        self._sites = CallSites(self.array, layout, block.block_hook_replacing, block.block_hook_again)
        return self._sites if self._sites.address else block.block_hook

    @property
    def call_sites(self) -> CallSites | None:
        """Of blocks that count themselves; None where they do not."""
        return self._sites if self.mmu == "labkit" and self._sites.address else None

    def install(self, fill_hook: Any, block_hook: Any, exception_hook: Any) -> None:
        """Make these the hooks that an engine is made of, instead of those that were.

        Code that was translated before keeps the old ones (and counts itself, call_site.py): drop it.
        """
        for handle in self._handles.values():
            self.unhook(handle)
        kinds = {Hook.TLB_FILL: fill_hook, Hook.BLOCK: block_hook, Hook.EXCEPTION: exception_hook}
        self._handles = {kind: self.hook(kind, function) for kind, function in kinds.items() if function is not None}
        self._counter = block_hook

    def hook(self, kind: int, function: Any, **over: Any) -> ctypes.c_size_t:
        """Add a compiled hook that works on the cells; see `Emulator.hook`."""
        return self.emulator.hook(kind, function, self.array.ctypes.data, **over)

    def unhook(self, handle: Any) -> None:
        """Remove a hook; code that was translated with it keeps it.

        Unicorn looks up the code that it drops by linear address, in whatever address space there is now. To the
        guest that is nothing: neither walks nor an accessed bit come of it, and what was answered is forgotten.
        """
        fills = self.cells[c.TLB_FILLS]
        self.cells[c.MAINTENANCE] = 1
        self.emulator.unhook(handle)
        self.cells[c.MAINTENANCE] = 0
        if self.cells[c.TLB_FILLS] != fills:
            self.flush_tlb()

    def count_with(self, function: Any) -> Any:
        """Let another hook count the blocks of all code, which is translated anew; the one that did so far."""
        before, self._counter = self._counter, function
        self.unhook(self._handles[Hook.BLOCK])
        self._handles[Hook.BLOCK] = self.hook(Hook.BLOCK, function)
        self.emulator.drop_all_code()
        return before

    # --- running

    def start(self) -> int:
        """One stretch; why it ended as a `Stop`: NONE for HLT or a given exit address, -1 for a failure."""
        cells, registers = self.cells, self.registers
        if self.resume_flag and registers.debug[7] & BREAKPOINTS:
            registers.eflags |= RF  # which Unicorn does look at
            cells[c.ATTENTION] |= c.ATTENTION_RESUME
        stop = self._stretch()
        cells[c.ATTENTION] &= ~c.ATTENTION_RESUME
        if registers.eflags & RF:
            registers.eflags &= ~RF
            self.resume_flag = True
        return stop

    def _stretch(self) -> int:
        cells = self.cells
        cells[c.STOP] = cells[c.FLAGS_AT] = 0
        if cells[c.INTR]:
            cells[c.ATTENTION] |= c.ATTENTION_INTR  # IF may have been set since
        if self.segmentation:
            cells[c.SEGMENT_STATE] |= c.SEGMENTS_LOADED  # maybe by the monitor
            cells[c.ATTENTION] |= c.ATTENTION_UNIT
            if self._check_all is not None:
                self._end_checks()
        self.limit()
        error = self.emulator.start(self.registers.eip)
        if cells[c.FLAGS_AT]:
            self._mend_flags()
        if cells[c.SITE]:
            unfold(cells)
        if cells[c.ATTENTION] & c.ATTENTION_FLUSHING:
            block.end_flush(cells)
        if cells[c.TLB_DROPPED]:
            cells[c.TLB_DROPPED] = 0
            self.flush_tlb()
        if error == OK:
            return int(cells[c.STOP])
        if error == EXCEPTION and cells[c.FAULT]:
            stop = int(cells[c.FAULT])
            cells[c.FAULT] = 0
            return stop
        block.settle(self.cells, self.registers.eip)
        if error == INVALID_INSTRUCTION:
            cells[c.VECTOR], cells[c.SOFTWARE] = UD, 0
            return c.Stop.EXCEPTION
        cells[c.VECTOR] = error
        return -1

    def _mend_flags(self) -> None:
        """Give an instruction that has a hook and did not retire the flags that were before it."""
        registers, cells = self.registers, self.cells
        if registers.linear_eip + 1 == cells[c.FLAGS_AT]:
            registers.eflags = registers.eflags & ~STATUS_FLAGS | int(cells[c.FLAGS])

    @property
    def resume_flag(self) -> bool:
        """RF in EFLAGS, which is kept apart from `registers`: instruction breakpoints are off for one instruction."""
        return bool(self.cells[c.RESUME] == self.cells[c.CLOCK] + 1)

    @resume_flag.setter
    def resume_flag(self, on: bool) -> None:
        self.cells[c.RESUME] = self.cells[c.CLOCK] + 1 if on else 0

    def attend(self, bit: int, on: bool) -> None:
        """Let the block hook's fast path look at something, or no longer."""
        seen = self.cells[c.ATTENTION]
        self.cells[c.ATTENTION] = seen | bit if on else seen & ~bit
        self.limit()

    def limit(self) -> None:
        """Let the block hook's fast path end where something is to be done."""
        cells = self.cells
        cells[c.LIMIT] = 0 if cells[c.ATTENTION] else min(cells[c.DEADLINE], cells[c.PAUSE])

    def fault_address(self) -> int:
        """Linear address of the refused access; of a fetch across a page end the start of the second page."""
        page = int(self.cells[c.FAULT_PAGE])
        exact = self.emulator.fault_address
        return exact if exact & ~0xFFF == page else page

    def is_early_fetch(self) -> bool:
        """Unicorn's own MMU: may this page fault be that of a fetch ahead, in the page behind EIP's?"""
        registers = self.registers
        start, page = registers.linear_eip, registers.cr2
        if self.cells[c.VECTOR] != PF or page & 0xFFF or (start & ~0xFFF) + FRAME_SIZE != page:
            return False
        frame = translate(registers, self.memory, start & ~0xFFF)
        if frame is not None:
            self.pages[start >> 12] = frame | UNCACHED
        return frame is not None

    # --- blocks of code

    def code(self, start: int, size: int) -> bytes:
        """Bytes of code that has been fetched, at a linear address."""
        where = block.block_bytes(self.cells, start, size)
        return ctypes.string_at(int(where), size)

    def offset(self, start: int, size: int, count: int) -> int:
        """Byte offset of instruction number `count` (from 0) in a block; `size` where there are fewer."""
        where = block.block_bytes(self.cells, start, size)
        return int(decode.boundary(where, size, block.wide(self.cells), count))

    def next_count(self) -> int:
        """Instructions in the block that was stopped before."""
        start, size = int(self.cells[c.NEXT_BLOCK]), int(self.cells[c.NEXT_SIZE])
        where = block.block_bytes(self.cells, start, size)
        return int(decode.survey(where, size, block.wide(self.cells))) & decode.INFO_COUNT

    def forget_block(self, linear: int, size: int) -> None:
        """Drop the translation of code that is running, by linear address."""
        self.cells[c.MAINTENANCE] = 1
        self.emulator.drop_code(linear, min(linear + size, 1 << 32))
        self.cells[c.MAINTENANCE] = 0

    def forget_frame(self, frame: int) -> None:
        """Drop all translations made from a physical frame."""
        first = c.ABOVE + frame * FRAME_SIZE
        self.cells[c.MAINTENANCE] = 1
        self.emulator.drop_code(first, first + FRAME_SIZE)
        self.cells[c.MAINTENANCE] = 0

    def forget_decoded(self) -> None:
        """Drop what is known about all blocks."""
        self.blocks[:] = 0
        self.crossing[:] = 0
        self.cells[c.FORGOTTEN] += 1

    def give_checks(self) -> None:
        """The block that was stopped before needs the segmentation unit's checks before its instructions.

        Where ES, CS, SS or DS is not plain all code gets them; where it is FS or GS, or the block loads a segment
        register and goes on with it, this block alone, until they are many.
        """
        cells = self.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        if cells[c.SEGMENT_STATE] & c.SEGMENTS_WATCHED or len(self._given_checks) >= MOST_CHECKED:
            self._check_all = self.hook(Hook.CODE, segment_check.check_hook)
            for handle in self._given_checks.values():  # each is asked for at each instruction that is translated
                self.emulator.unhook(handle)
            self._given_checks.clear()
            self._checked[:] = 0
            self._seen_checks = int(cells[c.CLOCK]), int(cells[c.SEGMENT_CHECKS])
            cells[c.SEGMENT_HOOK] = 1
            self.emulator.drop_all_code()
            return
        if (start, size) not in self._given_checks:
            last = start + (size if size < 0xFFF else 0x2000) - 1
            handle = self.hook(Hook.CODE, segment_check.check_hook, first=start, last=last)
            self._given_checks[start, size] = handle
        self.forget_block(start, size)
        segments.mark_checked(cells, start, size)

    def _end_checks(self) -> None:
        """Take the checks from all code again once ES, CS, SS and DS have been plain for a while."""
        cells, (clock, checks) = self.cells, self._seen_checks
        if cells[c.CLOCK] - clock < CALM:
            return
        self._seen_checks = int(cells[c.CLOCK]), int(cells[c.SEGMENT_CHECKS])
        if checks == cells[c.SEGMENT_CHECKS] and self._check_all is not None:
            self.unhook(self._check_all)
            self._check_all = None
            cells[c.SEGMENT_HOOK] = 0
            self.emulator.drop_all_code()

    # --- the TLB

    def flush_tlb(self) -> None:
        """Forget all translations of addresses (not of code)."""
        self.emulator.flush_tlb()
        state = self.memory.state
        np.bitwise_and(state, np.uint8(0xFF & ~c.FRAME_WRITABLE), out=state)
        self._large[:] = 0
