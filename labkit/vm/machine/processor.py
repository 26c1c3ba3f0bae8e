"""The processor: Unicorn behind one typed face.

`run` goes on until something happens that the processor cannot settle by itself, and says what: an `Exit`.
The clock is exact at every exit. Translation, clock, interrupt window and traps are compiled hooks (probes/);
Python runs once per exit.

A deadline inside a block is met so: the hook stops before the block, and its first instructions are run by
themselves (block_prefix.py).
"""

import ctypes
from collections.abc import Callable, Iterable
from typing import Any

from labkit.vm.machine import sensitive
from labkit.vm.machine.block_prefix import BlockPrefix
from labkit.vm.machine.code_frames import CodeFrames
from labkit.vm.machine.core import Core
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.exit_reason import exit_for
from labkit.vm.machine.held_registers import HeldRegisters
from labkit.vm.machine.memory import FRAME_SIZE, Memory
from labkit.vm.machine.probes import answers, block, decode, translated, traps
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.emulator import Hook, HookedInstruction
from labkit.vm.machine.state import ExecutionPoint
from labkit.vm.machine.tlb_state import TlbState

__all__ = ["NEVER", "Processor"]

NEVER = 1 << 62
MAX_TRIES = 16
FETCH_STOPS = (c.Stop.PAGE_FAULT, c.Stop.NOWHERE)
PREFIX_STOPS = (c.Stop.PARTIAL, c.Stop.SENSITIVE, c.Stop.BEFORE_REP, c.Stop.PAUSE, c.Stop.CALLOUT)
COUNTED = ("code write", "code fetch", "partial block", "sensitive", "inexact", "unchecked")
PortRead = Callable[[int, int], int]
PortWrite = Callable[[int, int, int], None]
CpuidCall = Callable[[int], tuple[int, int, int, int]]


class Processor:
    """A 32-bit x86 processor on a given memory.

    `mmu="unicorn"` lets Unicorn translate addresses itself: slow, and without dirty tracking; it exists as
    the oracle for labkit's own paging unit. Device registers are then reached by `read_device`, `write_device`.
    "keyed paging" checks user and supervisor by keys (probes/keyed_fill.py), "keys" is an Itanium-like protection
    unit instead of paging (physical_unit.py).

    `segmentation`: check limits and types of segments, which Unicorn does not (probes/segments.py).

    Raises `LayoutError` where the installed Unicorn is not the supported one, `ValueError` for another `mmu`.
    """

    def __init__(self, memory: Memory, mmu: str = "labkit", segmentation: bool = False) -> None:
        self.memory = memory
        self.mmu, self.segmentation = mmu, segmentation
        self._core = self.core = Core(memory, mmu, segmentation)
        self._frames = CodeFrames(self._core)
        self._prefix = BlockPrefix(self._core)
        self.held_registers = HeldRegisters(self._core)
        self.tlb = TlbState(self._core)
        self.array, self.cells = self._core.array, self._core.cells
        self.registers = self._core.registers
        self.read_port: PortRead = lambda _port, size: (1 << 8 * size) - 1
        self.write_port: PortWrite = lambda _port, _size, _value: None
        self.cpuid: CpuidCall = lambda _leaf: (0, 0, 0, 0)
        self.read_device: PortRead = lambda _physical, size: (1 << 8 * size) - 1
        self.write_device: PortWrite = lambda _physical, _size, _value: None
        self.in_hook = False
        self.counts = dict.fromkeys(COUNTED, 0)
        self._goal = NEVER
        self.advanced = NEVER
        """The earliest deadline that a port access has asked for; an engine that runs in parts starts it anew."""
        self.stopped: int = c.Stop.NONE
        self._tries = (-1, 0)  # clock, how often a deadline inside the same block was tried there
        self._failed: BaseException | None = None
        self._mapped: set[int] = set()
        self.cells[c.PORT_FUNCTION] = self._core.emulator.python_function(HookedInstruction.IN, self._on_in)
        self._core.hook(Hook.INSTRUCTION, traps.in_hook, instruction=HookedInstruction.IN)
        self._core.emulator.hook_python(HookedInstruction.OUT, self._on_out)
        self._core.emulator.hook_python(HookedInstruction.CPUID, self._on_cpuid)
        if mmu == "unicorn":
            self._core.emulator.map_python(memory.size, c.ABOVE, self._on_load, self._on_store)

    # --- Python hooks: one call per port access

    def _on_in(self, _uc: Any, port: int, size: int, _data: Any = None) -> int:
        self.in_hook = True
        try:
            return self.read_port(port, size)
        except BaseException as error:  # noqa: BLE001  (a defect or Ctrl-C: raised once the run has ended)
            self._fail(error)
            return 0
        finally:
            self.in_hook = False

    def _on_out(self, _uc: Any, port: int, size: int, value: int, _data: Any = None) -> None:
        self.in_hook = True
        try:
            self.write_port(port, size, value)
        except BaseException as error:  # noqa: BLE001  (as above)
            self._fail(error)
        finally:
            self.in_hook = False

    def _on_load(self, physical: int, size: int) -> int:
        self.in_hook = True
        try:
            return self.read_device(physical, size)
        finally:
            self.in_hook = False

    def _on_store(self, physical: int, size: int, value: int) -> None:
        self.in_hook = True
        try:
            self.write_device(physical, size, value)
        finally:
            self.in_hook = False

    def _on_cpuid(self, _uc: Any, _data: Any = None) -> int:
        regs = self.registers.general
        regs[0], regs[3], regs[1], regs[2] = self.cpuid(regs[0] & 0xFFFFFFFF)
        return 1

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error
        self.cells[c.DEADLINE] = self.cells[c.LIMIT] = 0

    def _raise_failure(self) -> None:
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        self._core.emulator.raise_failure()

    # --- the clock

    @property
    def clock(self) -> int:
        """Retired instructions, exact; also from inside a port access."""
        if self.in_hook:
            return int(block.exact_clock(self.cells))
        return int(self.cells[c.CLOCK])

    @property
    def idle(self) -> int:
        """Instruction times that the guest spent halted."""
        return int(self.cells[c.IDLE])

    def skip(self, instruction_times: int) -> None:
        """Let time pass while the processor is halted."""
        self.cells[c.IDLE] += instruction_times

    @property
    def point(self) -> ExecutionPoint:
        """Where the processor stands."""
        cells, linear = self.cells, self.registers.linear_eip
        clock = self.clock  # first: it makes the cells of the current block
        if self.in_hook and cells[c.TC_SIZE]:
            place = translated.hook_place(cells)
            return ExecutionPoint(clock, int(cells[c.BRANCHES]) - (place >> 32), place & 0xFFFFFFFF)
        repeating = cells[c.BLOCK_INFO] & decode.REP and cells[c.BLOCK] == linear
        repetitions = cells[c.CLOCK] - cells[c.REP_START] if repeating else 0
        # the branch at the end of the block is counted when the block begins
        ahead = 1 if self.in_hook and cells[c.BLOCK_INFO] & decode.BRANCH else 0
        branches = int(cells[c.BRANCHES]) - ahead
        return ExecutionPoint(clock, branches, self.registers.eip, int(repetitions))

    def moment(self) -> tuple[int, int, int]:
        """Clock, branches and EIP of `point`, for what is noted often."""
        cells = self.cells
        clock = self.clock  # first: it makes the cells of the current block
        if self.in_hook and cells[c.TC_SIZE]:
            point = self.point
            return clock, point.branches, point.eip
        ahead = 1 if self.in_hook and cells[c.BLOCK_INFO] & decode.BRANCH else 0
        return clock, cells[c.BRANCHES] - ahead, self.registers.eip

    def retire_emulated(self) -> None:
        """Count an instruction that the monitor has carried out in the processor's place."""
        self.cells[c.CLOCK] += 1
        self.cells[c.BLOCK_SIZE] = 0
        self.registers.hflags &= ~0x8  # an STI shadow ends with it

    def unretire(self) -> None:
        """Take back the last instruction, an INT n whose gate has refused it: EIP points at it again."""
        cells = self.cells
        start, size = int(cells[c.BLOCK]), int(cells[c.BLOCK_SIZE])
        at = start + self._core.offset(start, size, (cells[c.BLOCK_INFO] & decode.INFO_COUNT) - 1)
        self.registers.eip = (at - int(self.registers.segments[1].base)) & 0xFFFFFFFF
        cells[c.CLOCK] -= 1
        if cells[c.BLOCK_INFO] & decode.BRANCH:
            cells[c.BRANCHES] -= 1
        cells[c.BLOCK_SIZE] = 0

    def advance_deadline(self, clock: int) -> None:
        """From inside a port access: stop no later than at `clock`."""
        cells = self.cells
        self._goal = min(self._goal, clock)
        self.advanced = min(self.advanced, clock)
        if clock < cells[c.DEADLINE]:
            cells[c.DEADLINE] = clock
            cells[c.LIMIT] = min(cells[c.LIMIT], clock)

    def set_interrupt_pin(self, raised: bool) -> None:
        """Raise or lower INTR; raised, it ends the run with WINDOW when the guest can take an interrupt."""
        self.cells[c.INTR] = 1 if raised else 0
        self._core.attend(c.ATTENTION_INTR, raised)

    @property
    def interrupt_pin(self) -> bool:
        """Is INTR raised?"""
        return bool(self.cells[c.INTR])

    # --- running

    def run(
        self, deadline: int, pause: int = NEVER, begun: int | None = None, away: Callable[[], bool] | None = None
    ) -> Exit:
        """Run until the clock reaches `deadline`, about `pause`, or an exit happens.

        `begun`: it has run already, until this `Stop`. `away`: asked after each stretch whether this is no business
        of this method any more: then it returns with KERNEL, and `stopped` says why the stretch has ended.
        """
        cells = self.cells
        self._goal, cells[c.PAUSE] = deadline, pause
        self._set_deadline()
        if begun is None and self._frames.separate():
            self.flush_tlb()
        while True:
            cr2 = self.registers.cr2
            stop, begun = self._core.start() if begun is None else begun, None
            if away is not None and away():
                self.stopped = stop
                return Exit(ExitKind.KERNEL)
            self._raise_failure()
            if self.mmu == "unicorn" and stop == c.Stop.EXCEPTION and self._core.is_early_fetch():
                cells[c.FAULT_PAGE], cells[c.FAULT_ACCESS] = self.registers.cr2, answers.FETCH
                found = self._fetch_refused(stop)
                if found is None or found.kind is not ExitKind.EXCEPTION:
                    self.registers.cr2 = cr2
                if found is not None:
                    return found
                continue
            if self._settle(stop):
                continue
            if stop == c.Stop.PARTIAL:
                self._see_progress()
                found = self._run_prefix(self._goal - cells[c.CLOCK])
            elif stop == c.Stop.BEFORE_REP:
                found = self._run_prefix(min(self._core.next_count() - 1, self._goal - cells[c.CLOCK]))
            elif stop == c.Stop.SENSITIVE:
                found = self._run_sensitive()
            elif stop in FETCH_STOPS and cells[c.FAULT_ACCESS] == answers.FETCH:
                found = self._fetch_refused(stop)
            else:
                return exit_for(self._core, stop)
            if found is not None:
                return found

    def _set_deadline(self) -> None:
        self.cells[c.DEADLINE] = self._goal

    def _see_progress(self) -> None:
        """Where Unicorn and labkit cut an instruction differently, pass the deadline: it cannot be met."""
        clock = int(self.cells[c.CLOCK])
        self._tries = (clock, self._tries[1] + 1 if clock == self._tries[0] else 0)
        if self._tries[1] > MAX_TRIES:
            self.counts["inexact"] += 1
            self._goal = clock + self._core.next_count()
            self._set_deadline()

    def _settle(self, stop: int) -> bool:
        """A stop that concerns translations only: the guest sees nothing of it."""
        if stop == c.Stop.CODE_WRITE:
            self.counts["code write"] += 1
            self._frames.written()
        elif stop == c.Stop.UNCHECKED:
            self.counts["unchecked"] += 1
            self._core.give_checks()
            return True
        elif stop == c.Stop.CODE_FETCH:
            self.counts["code fetch"] += 1
        elif stop != c.Stop.FLUSH:
            return False
        self.flush_tlb()
        return True

    def _run_prefix(self, count: int, cut: bool = False) -> Exit | None:
        """Run `count` instructions of the block that was stopped before; an exit if it came to one."""
        self.counts["partial block"] += 1
        cells = self.cells
        stop = self._prefix.run(count, cut)
        self._set_deadline()
        self._raise_failure()
        if stop is None:
            return Exit(ExitKind.DEADLINE) if cells[c.CLOCK] >= self._goal else None
        if self._settle(stop) or stop in PREFIX_STOPS:
            return None
        if stop in FETCH_STOPS and cells[c.FAULT_ACCESS] == answers.FETCH:
            return None  # not this block's concern: `run` comes to it
        return exit_for(self._core, stop)

    def _run_sensitive(self) -> Exit | None:
        """The next block holds an instruction to be checked: go up to it, check it, run it alone."""
        self.counts["sensitive"] += 1
        cells = self.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        seen = decode.CX8 if cells[c.ALLOW] == start else 0
        index, kind = sensitive.first(self.code(start, size), self.registers, but_not=seen)
        if kind & decode.CX8:
            self._prefix.give_flags()
            return None
        if index:
            return self._run_prefix(min(index, self._goal - cells[c.CLOCK]))
        vector = sensitive.check(kind, self.code(start, 15), self.registers, self.memory)
        if vector is not None:
            return Exit(ExitKind.EXCEPTION, vector=vector, error=0)
        return self._run_prefix(1)

    def _fetch_refused(self, stop: int) -> Exit | None:
        """A fetch was refused, maybe far ahead: a block is translated whole, and may be left before.

        Deadlines and interrupts come before the fault of the next instruction, as on every other boundary.
        """
        cells = self.cells
        if cells[c.CLOCK] >= self._goal:
            return Exit(ExitKind.DEADLINE)
        if self.interrupt_pin and self.registers.can_take_interrupt:
            return Exit(ExitKind.WINDOW)
        start = self.registers.linear_eip
        if start & ~0xFFF == cells[c.FAULT_PAGE]:
            return exit_for(self._core, stop)
        room = FRAME_SIZE - start % FRAME_SIZE
        whole, size = sensitive.whole_instructions(self.code(start, room), self.registers)
        if not whole:
            return exit_for(self._core, stop)
        cells[c.NEXT_BLOCK], cells[c.NEXT_SIZE] = start, size
        return self._run_prefix(min(whole, self._goal - cells[c.CLOCK]), cut=True)

    # --- code and translations

    def code(self, start: int, size: int) -> bytes:
        """Bytes of code that has been fetched, at a linear address."""
        return self._core.code(start, size)

    def flush_tlb(self) -> None:
        """Let Unicorn forget all translations of addresses (not of code); the guest's TLB keeps its own."""
        self._core.flush_tlb()

    def flush_code(self) -> None:
        """Forget all translated code."""
        self._core.emulator.drop_all_code()

    def map_callbacks(self, physical: int, size: int, read: Any, write: Any) -> None:
        """Physical addresses whose loads and stores go to two compiled callbacks; once for each address."""
        if physical not in self._mapped:
            self._core.emulator.map_callbacks(physical, size, read, write, self.array.ctypes.data)
            self._mapped.add(physical)

    def add_hook(self, kind: int, function: Any, first: int, last: int) -> Any:
        """Add a compiled observing hook over linear `first`..`last`; takes effect after `flush_code`."""
        return self._core.hook(kind, function, first=first, last=last)

    def remove_hook(self, handle: Any) -> None:
        """Remove one; takes effect after `flush_code`."""
        self._core.unhook(handle)

    def changed(self, frames: Iterable[int]) -> None:
        """The bytes of these frames were changed by a device or the monitor: code in them is stale."""
        if self._frames.changed(frames):
            self.flush_tlb()

    def write_physical(self, address: int, data: bytes) -> None:
        """Write RAM as a device or the monitor does, code included."""
        self.changed(self.memory.write(address, data))

    # --- saving and restoring

    def save(self) -> bytes:
        """The whole processor between two instructions: registers, hidden parts, clock."""
        cells, layout = self.cells, self._core.emulator.layout
        clock = (ctypes.c_uint64 * len(c.SAVED))(*(cells[i] for i in c.SAVED))
        return bytes(clock) + ctypes.string_at(layout.registers, layout.size)

    def load(self, saved: bytes) -> None:
        """Exact inverse of `save`. RAM is the caller's; translations of addresses are dropped."""
        layout, split = self._core.emulator.layout, 8 * len(c.SAVED)
        for index, value in zip(c.SAVED, memoryview(saved[:split]).cast("Q"), strict=True):
            self.cells[index] = value
        kept = ctypes.string_at(breakpoints := layout.debug + 64, 32)  # host pointers: four, this process's own
        ctypes.memmove(layout.registers, saved[split:], layout.size)
        ctypes.memmove(breakpoints, kept, 32)
        self.held_registers.forget()
        translated.forget_seen(self.cells)
        self._tries = (-1, 0)  # what comes to the same clock again has been there before, and met its deadline
        self.flush_tlb()

    def close(self) -> None:
        """Free the engine."""
        self._core.emulator.close()
