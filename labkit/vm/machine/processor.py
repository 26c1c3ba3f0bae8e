"""The processor: Unicorn behind one typed face.

`run` goes on until something happens that the processor cannot settle by itself, and says what: an `Exit`. The
clock is exact at every exit. Translation, clock, interrupt window and traps are compiled hooks (probes/); Python
runs once per exit.

A deadline inside a block is met so: the hook stops before the block; the block's translation is dropped; Unicorn
is given the deadline's address as an exit and translates the block again up to there; afterwards that shortened
translation is dropped as well.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from unicorn import UC_ARCH_X86, UC_HOOK_BLOCK, UC_HOOK_CODE, UC_HOOK_INSN, UC_HOOK_INTR, UC_MODE_32, UC_PROT_ALL, Uc, unicorn_const
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from labkit.vm.machine import sensitive
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.memory import FRAME_SIZE, Memory
from labkit.vm.machine.probes import block, decode, fill, layout, traps
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.registers import RegisterFile
from labkit.vm.machine.state import ExecutionPoint

__all__ = ["NEVER", "Processor"]

NEVER = 1 << 62
MODEL = x86.UC_CPU_X86_COREDUO
OK, INVALID_INSTRUCTION, EXCEPTION = 0, unicorn_const.UC_ERR_INSN_INVALID, unicorn_const.UC_ERR_EXCEPTION
WRITE_1 = 1 << 30 | 1 << 26
CTL_TLB_FLUSH = ctypes.c_int(unicorn_const.UC_CTL_TLB_FLUSH | 1 << 30)
CTL_REMOVE = ctypes.c_int(unicorn_const.UC_CTL_TB_REMOVE_CACHE | 1 << 30 | 2 << 26)
CTL_EXITS = ctypes.c_int(unicorn_const.UC_CTL_UC_EXITS | 1 << 30)
UD, GP, PF = 6, 13, 14
HAS_ERROR = frozenset((8, 10, 11, 12, 13, 14, 17))
FETCH_STOPS = (c.Stop.PAGE_FAULT, c.Stop.NOWHERE)
MAX_FLIPS = 8
SEPARATE_AFTER = 1_000_000  # instructions that mixed frames are left as they are
LAST_GENERATION = 0xFFE
CODE, MIXED, WRITABLE = c.FRAME_CODE, c.FRAME_MIXED, c.FRAME_WRITABLE
PortRead = Callable[[int, int], int]
PortWrite = Callable[[int, int, int], None]
CpuidCall = Callable[[int], tuple[int, int, int, int]]


class Processor:
    """A 32-bit x86 processor on a given memory.

    `mmu="unicorn"` lets Unicorn translate addresses itself: slow, without dirty tracking and devices' memory; it
    exists as the oracle for labkit's own paging unit.

    Raises `LayoutError` where the installed Unicorn is not the supported one, `ValueError` for another `mmu`.
    """

    def __init__(self, memory: Memory, mmu: str = "labkit") -> None:
        if mmu not in ("labkit", "unicorn"):
            raise ValueError(f"mmu {mmu!r}: give 'labkit' or 'unicorn'")
        self.memory = memory
        self.mmu = mmu
        self._uc = Uc(UC_ARCH_X86, UC_MODE_32)
        self._uc.ctl_set_cpu_model(MODEL)
        self._layout = layout.find_layout(self._uc)
        self._engine = self._uc._uch
        self.array = c.new_cells()
        self.cells: Any = (ctypes.c_uint64 * c.CELLS).from_address(self.array.ctypes.data)
        self._above = np.zeros(c.ABOVE_SIZE, np.uint8)
        self._pages = np.zeros(1 << 20, np.uint32)
        self._blocks = np.zeros(block.TABLE_ENTRIES, np.uint64)
        self._crossing = np.zeros(3 << block.CROSSING_BITS, np.uint64)
        self._large = np.zeros(2048, np.uint8)
        self._scratch = np.zeros(8192 + 4096 + 64, np.uint8)
        self._flips: dict[int, int] = {}
        self._mixed: set[int] = set()
        self._separate_at = 0
        self._given_flags: set[int] = set()
        self.registers = RegisterFile(self._layout.registers, self._layout.debug)
        self.read_port: PortRead = lambda _port, size: (1 << 8 * size) - 1
        self.write_port: PortWrite = lambda _port, _size, _value: None
        self.cpuid: CpuidCall = lambda _leaf: (0, 0, 0, 0)
        self.in_hook = False
        self.counts = {"code write": 0, "code fetch": 0, "partial block": 0, "sensitive": 0}
        self._keep: list[Any] = []
        self._failed: BaseException | None = None
        self._map_memory()
        self._fill_cells()
        self._hook()

    # --- construction

    def _map_memory(self) -> None:
        self._uc.mem_map_ptr(0, self.memory.size, UC_PROT_ALL, self.memory.address)
        raw = (ctypes.c_uint8 * (c.ABOVE_SIZE + FRAME_SIZE))()
        self._keep.append(raw)
        start = (ctypes.addressof(raw) + FRAME_SIZE - 1) & ~(FRAME_SIZE - 1)
        self._above = np.ctypeslib.as_array((ctypes.c_uint8 * c.ABOVE_SIZE).from_address(start))
        self._above[:FRAME_SIZE] = 0xFF
        self._uc.mem_map_ptr(c.ABOVE, c.ABOVE_SIZE, UC_PROT_ALL, start)
        self._uc.ctl_exits_enabled(True)

    def _fill_cells(self) -> None:
        a, place = self.array, self._layout
        self.memory.attach(a)
        a[c.ENV], a[c.OLD_EXCEPTION] = place.registers, place.old_exception
        a[c.IS_SOFTWARE], a[c.ERROR_CODE] = place.is_software, place.error_code
        a[c.PAGES], a[c.BLOCKS] = self._pages.ctypes.data, self._blocks.ctypes.data
        a[c.SCRATCH] = self._scratch.ctypes.data
        a[c.STOP_FUNCTION] = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        a[c.ENGINE] = self._engine.value
        a[c.LARGE] = self._large.ctypes.data
        a[c.CROSSING] = self._crossing.ctypes.data

    def _hook(self) -> None:
        if self.mmu == "labkit":
            self._uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
            self._compiled(unicorn_const.UC_HOOK_TLB_FILL, fill.tlb_fill)
        self._compiled(UC_HOOK_BLOCK, block.block_hook if self.mmu == "labkit" else block.block_hook_native)
        self._compiled(UC_HOOK_INTR, traps.exception_hook)
        self._compiled(UC_HOOK_INSN, traps.rdtsc_hook, x86.UC_X86_INS_RDTSC)
        self._compiled(UC_HOOK_INSN, traps.sysenter_hook, x86.UC_X86_INS_SYSENTER)
        self._uc.hook_add(UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        self._uc.hook_add(UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        self._uc.hook_add(UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)

    def _compiled(
        self, kind: int, function: Any, instruction: int = 0, first: int = 1, last: int = 0
    ) -> ctypes.c_size_t:
        """Add a compiled hook over `first`..`last` (default all); `instruction` names one for UC_HOOK_INSN."""
        handle = ctypes.c_size_t()
        extra = (ctypes.c_int(instruction),) if instruction else ()
        error = uclib.uc_hook_add(
            self._engine, ctypes.byref(handle), ctypes.c_int(kind), ctypes.c_void_p(function.address),
            ctypes.c_void_p(self.array.ctypes.data), ctypes.c_uint64(first), ctypes.c_uint64(last), *extra,
        )  # fmt: skip
        if error != OK:
            raise layout.LayoutError(f"a compiled hook was refused (error {error})")
        return handle

    # --- Python hooks: one call per port access

    def _on_in(self, _uc: Any, port: int, size: int, _data: Any = None) -> int:
        self.in_hook = True
        try:
            return self.read_port(port, size)
        except BaseException as error:  # a defect of a device or Ctrl-C: raised again when the run has ended
            self._fail(error)
            return 0
        finally:
            self.in_hook = False

    def _on_out(self, _uc: Any, port: int, size: int, value: int, _data: Any = None) -> None:
        self.in_hook = True
        try:
            self.write_port(port, size, value)
        except BaseException as error:
            self._fail(error)
        finally:
            self.in_hook = False

    def _on_cpuid(self, _uc: Any, _data: Any = None) -> int:
        regs = self.registers.general
        regs[0], regs[3], regs[1], regs[2] = self.cpuid(regs[0] & 0xFFFFFFFF)
        return 1

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error
        self.cells[c.DEADLINE] = self.cells[c.LIMIT] = 0

    # --- the clock

    @property
    def clock(self) -> int:
        """Retired instructions, exact; also from inside a port access."""
        if self.in_hook:
            return int(block.exact_clock(self.array))
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
        repeating = cells[c.BLOCK_INFO] & decode.REP and cells[c.BLOCK] == linear
        repetitions = cells[c.CLOCK] - cells[c.REP_START] if repeating else 0
        return ExecutionPoint(self.clock, int(cells[c.BRANCHES]), self.registers.eip, int(repetitions))

    def unretire(self) -> None:
        """Take back the last instruction, an INT n whose gate has refused it: EIP points at it again."""
        cells = self.cells
        start, size = int(cells[c.BLOCK]), int(cells[c.BLOCK_SIZE])
        at = start + self._offset(start, size, (cells[c.BLOCK_INFO] & decode.INFO_COUNT) - 1)
        self.registers.eip = (at - int(self.registers.segments[1].base)) & 0xFFFFFFFF
        cells[c.CLOCK] -= 1
        if cells[c.BLOCK_INFO] & decode.BRANCH:
            cells[c.BRANCHES] -= 1
        cells[c.BLOCK_SIZE] = 0

    def advance_deadline(self, clock: int) -> None:
        """From inside a port access: stop no later than at `clock`."""
        cells = self.cells
        if clock < cells[c.DEADLINE]:
            cells[c.DEADLINE] = clock
            cells[c.LIMIT] = min(cells[c.LIMIT], clock)

    # --- running

    def run(self, deadline: int, pause: int = NEVER) -> Exit:
        """Run until the clock reaches `deadline` or an exit happens; `pause` is a deadline that need not be exact."""
        cells = self.cells
        cells[c.DEADLINE], cells[c.PAUSE], cells[c.LIMIT] = deadline, pause, min(deadline, pause)
        if self._mixed and cells[c.CLOCK] >= self._separate_at:
            self._separate()
        while True:
            stop = self._start()
            if self._failed is not None:
                error, self._failed = self._failed, None
                raise error
            if stop == c.Stop.PARTIAL:
                found = self._run_exactly(cells[c.DEADLINE] - cells[c.CLOCK])
                if found is not None:
                    return found
            elif stop == c.Stop.SENSITIVE:
                found = self._run_sensitive()
                if found is not None:
                    return found
            elif stop == c.Stop.CODE_WRITE:
                self._code_write()
            elif stop == c.Stop.CODE_FETCH:
                self.counts["code fetch"] += 1
                self.flush_tlb()
            elif stop == c.Stop.FLUSH:
                self.flush_tlb()
            elif stop in FETCH_STOPS and cells[c.FAULT_ACCESS] == fill.FETCH:
                found = self._fetch_refused(stop)
                if found is not None:
                    return found
            else:
                return self._exit(stop)

    def _fetch_refused(self, stop: int) -> Exit | None:
        """A fetch was refused, maybe far ahead: a block is translated whole, its instructions may never run into it.

        Deadlines and interrupts come before the fault of the next instruction, as on every other boundary.
        """
        cells = self.cells
        if cells[c.CLOCK] >= cells[c.DEADLINE]:
            return Exit(ExitKind.DEADLINE)
        if self.interrupt_pin and self.registers.can_take_interrupt:
            return Exit(ExitKind.WINDOW)
        start = self.registers.linear_eip
        if start & ~0xFFF == cells[c.FAULT_PAGE]:
            return self._exit(stop)
        room = 0x1000 - (start & 0xFFF)
        where = block.block_bytes(self.array, np.uint64(start), np.uint64(room))
        whole, size = sensitive.whole_instructions(ctypes.string_at(int(where), room), self.registers)
        if not whole:
            return self._exit(stop)
        cells[c.NEXT_BLOCK], cells[c.NEXT_SIZE] = start, size
        return self._run_exactly(min(whole, cells[c.DEADLINE] - cells[c.CLOCK]), cut=True)

    def set_interrupt_pin(self, raised: bool) -> None:
        """Raise or lower INTR; a raised pin ends the run with WINDOW as soon as the guest can take an interrupt."""
        self.cells[c.INTR] = 1 if raised else 0
        self._attend(c.ATTENTION_INTR, raised)

    def _attend(self, bit: int, on: bool) -> None:
        seen = self.cells[c.ATTENTION]
        self.cells[c.ATTENTION] = seen | bit if on else seen & ~bit

    @property
    def interrupt_pin(self) -> bool:
        """Is INTR raised?"""
        return bool(self.cells[c.INTR])

    def retire_emulated(self) -> None:
        """Count an instruction that the monitor has carried out in the processor's place."""
        self.cells[c.CLOCK] += 1
        self.cells[c.BLOCK_SIZE] = 0
        self.registers.hflags &= ~0x8  # an STI shadow ends with it

    def _start(self) -> int:
        """One stretch of Unicorn; the reason as a `Stop`, NONE for HLT or a given exit address."""
        cells = self.cells
        cells[c.STOP] = 0
        error = uclib.uc_emu_start(self._engine, self.registers.eip, 0, 0, 0)
        if error == OK:
            return int(cells[c.STOP])
        if error == EXCEPTION and cells[c.FAULT]:
            stop = int(cells[c.FAULT])
            cells[c.FAULT] = 0
            return stop
        if error == INVALID_INSTRUCTION:
            block.settle(self.array, np.uint64(self.registers.eip))
            cells[c.VECTOR], cells[c.SOFTWARE] = UD, 0
            return c.Stop.EXCEPTION
        cells[c.VECTOR] = error
        return -1

    def _exit(self, stop: int) -> Exit:
        cells = self.cells
        if stop == c.Stop.NONE:
            return Exit(ExitKind.HALT)
        if stop == c.Stop.DEADLINE:
            return Exit(ExitKind.DEADLINE)
        if stop == c.Stop.PAUSE:
            return Exit(ExitKind.PAUSE)
        if stop == c.Stop.WINDOW:
            return Exit(ExitKind.WINDOW)
        if stop == c.Stop.PAGE_FAULT:
            address = self._fault_address()
            self.registers.cr2 = address
            return Exit(ExitKind.EXCEPTION, vector=PF, error=int(cells[c.FAULT_CODE]), address=address)
        if stop == c.Stop.EXCEPTION:
            vector, software = int(cells[c.VECTOR]), bool(cells[c.SOFTWARE])
            error = int(cells[c.ERROR]) & 0xFFFF if vector in HAS_ERROR and not software else None
            address = self.registers.cr2 if vector == PF else 0
            return Exit(ExitKind.EXCEPTION, vector=vector, error=error, software=software, address=address)
        physical = int(cells[c.FAULT_PHYSICAL])
        write = cells[c.FAULT_ACCESS] == fill.WRITE
        kinds = {c.Stop.MMIO: ExitKind.MMIO, c.Stop.ROM_WRITE: ExitKind.ROM_WRITE, c.Stop.NOWHERE: ExitKind.NOWHERE}
        kind = kinds.get(c.Stop(stop), ExitKind.FAILURE) if stop >= 0 else ExitKind.FAILURE
        address = self._fault_address() if kind is not ExitKind.FAILURE else int(cells[c.VECTOR])
        return Exit(kind, address=address, physical=physical | (address & 0xFFF), write=write)

    def _fault_address(self) -> int:
        """The exact linear address of the refused access; a refused fetch runs into it at its instruction's page end."""
        page = int(self.cells[c.FAULT_PAGE])
        exact = self._invalid_address.value & 0xFFFFFFFF
        return exact if exact & ~0xFFF == page else page

    @property
    def _invalid_address(self) -> Any:
        return ctypes.c_uint64.from_address(self._engine.value + _invalid_offset(self))

    def _run_exactly(self, count: int, cut: bool = False) -> Exit | None:
        """Run `count` instructions of the block that was stopped before; None when that has been done.

        `cut`: the block must not be translated beyond them, even if they are all of it.
        """
        self.counts["partial block"] += 1
        cells = self.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        wanted, limit = cells[c.DEADLINE], cells[c.LIMIT]
        cells[c.DEADLINE] = cells[c.CLOCK] + count
        cells[c.LIMIT] = min(limit, cells[c.DEADLINE])
        offset = self._offset(start, size, count)
        goal = (start + offset) & 0xFFFFFFFF
        shortened = cut or offset < size
        if shortened:
            self._set_exits(goal)
            self._forget_block(start, size)
        allowed, cells[c.ALLOW] = cells[c.ALLOW], c.ALLOW_ALL  # the whole block has been checked already
        stop = self._start()
        cells[c.ALLOW] = allowed
        if shortened:
            self._forget_block(start, size)
            self._set_exits()
        reached = cells[c.CLOCK] == cells[c.DEADLINE]
        cells[c.DEADLINE], cells[c.LIMIT] = wanted, limit
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        if (stop == c.Stop.NONE and self.registers.linear_eip == goal) or (stop == c.Stop.DEADLINE and reached):
            return Exit(ExitKind.DEADLINE) if reached and cells[c.CLOCK] >= wanted else None
        if stop == c.Stop.CODE_WRITE:
            self._code_write()
            return None
        if stop in (c.Stop.CODE_FETCH, c.Stop.FLUSH):
            self.flush_tlb()
            return None
        if stop in (c.Stop.PARTIAL, c.Stop.SENSITIVE, c.Stop.PAUSE):
            return None
        if stop in FETCH_STOPS and cells[c.FAULT_ACCESS] == fill.FETCH:
            return None  # not this block's concern: `run` comes to it
        return self._exit(stop)

    def _run_sensitive(self) -> Exit | None:
        """The next block holds an instruction to be checked: go up to it, check it, run it alone."""
        self.counts["sensitive"] += 1
        cells = self.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        index, kind = sensitive.first(self.code(start, size), self.registers)
        if kind & decode.CX8:
            self._give_flags(start, size)
            return None
        left = cells[c.DEADLINE] - cells[c.CLOCK]
        if index:
            return self._run_exactly(min(index, left))
        vector = sensitive.check(kind, self.code(start, 15), self.registers, self.memory)
        if vector is not None:
            return Exit(ExitKind.EXCEPTION, vector=vector, error=0)
        return self._run_exactly(1)

    def _give_flags(self, start: int, size: int) -> None:
        """Mend CMPXCHG8B: Unicorn computes its flags from a stale state unless a hook makes it write the state back.

        So each such instruction gets an empty instruction hook, and the block is translated again.
        """
        for address in sensitive.locate(self.code(start, size), self.registers, decode.CX8):
            at = (start + address) & 0xFFFFFFFF
            if at not in self._given_flags:
                self._given_flags.add(at)
                self._compiled(UC_HOOK_CODE, traps.nothing_hook, first=at, last=at)
        self._forget_block(start, size)
        block.accept(self.array, np.uint64(start), np.uint64(size))
        self.cells[c.ALLOW] = start

    def _offset(self, start: int, size: int, count: int) -> int:
        where = block.block_bytes(self.array, np.uint64(start), np.uint64(size))
        return int(decode.boundary(where, np.uint64(size), block.wide(self.array), count))

    def code(self, start: int, size: int) -> bytes:
        """Bytes of code that has been fetched, at a linear address."""
        where = block.block_bytes(self.array, np.uint64(start), np.uint64(size))
        return ctypes.string_at(int(where), size)

    # --- translated code and the TLB

    def flush_tlb(self) -> None:
        """Forget all translations of addresses (not of code)."""
        uclib.uc_ctl(self._engine, CTL_TLB_FLUSH)
        state = self.memory.state
        np.bitwise_and(state, np.uint8(0xFF & ~WRITABLE), out=state)
        self._large[:] = 0

    def _set_exits(self, *addresses: int) -> None:
        array = (ctypes.c_uint64 * len(addresses))(*addresses)
        uclib.uc_ctl(self._engine, CTL_EXITS, array, ctypes.c_size_t(len(addresses)))

    def _remove(self, first: int, end: int) -> None:
        uclib.uc_ctl(self._engine, CTL_REMOVE, ctypes.c_uint64(first), ctypes.c_uint64(end))

    def flush_code(self) -> None:
        """Forget all translated code."""
        self._uc.ctl_flush_tb()

    def map_callbacks(self, physical: int, size: int, read: Any, write: Any) -> None:
        """Physical addresses whose loads and stores go to two compiled callbacks."""
        cells = ctypes.c_void_p(self.array.ctypes.data)
        error = uclib.uc_mmio_map(
            self._engine, ctypes.c_uint64(physical), ctypes.c_size_t(size),
            ctypes.c_void_p(read.address), cells, ctypes.c_void_p(write.address), cells,
        )  # fmt: skip
        if error != OK:
            raise layout.LayoutError(f"callbacks for an address were refused (error {error})")

    def add_hook(self, kind: int, function: Any, first: int, last: int) -> Any:
        """Add a compiled observing hook over linear `first`..`last`; takes effect after `flush_code`."""
        return self._compiled(kind, function, first=first, last=last)

    def remove_hook(self, handle: Any) -> None:
        """Remove one; takes effect after `flush_code`."""
        uclib.uc_hook_del(self._engine, handle)

    def _forget_block(self, linear: int, size: int) -> None:
        """Drop the translation of code that is running, by linear address."""
        self.cells[c.MAINTENANCE] = 1
        self._remove(linear, linear + size)
        self.cells[c.MAINTENANCE] = 0

    def _forget_frame(self, frame: int) -> None:
        """Drop all translations made from a physical frame."""
        first = c.ABOVE + frame * FRAME_SIZE
        self._remove(first, first + FRAME_SIZE)

    def changed(self, frames: range) -> None:
        """The bytes of these frames were changed by a device or the monitor: code in them is stale."""
        state = self.memory.state
        stale = [frame for frame in frames if state[frame] & (CODE | MIXED)]
        for frame in stale:
            self._release(frame)
        if stale:
            self.flush_tlb()

    def write_physical(self, address: int, data: bytes) -> None:
        """Write RAM as a device or the monitor does, code included."""
        self.changed(self.memory.write(address, data))

    def _release(self, frame: int) -> None:
        """Make a code frame a data frame."""
        memory = self.memory
        self._forget_frame(frame)
        self._mixed.discard(frame)
        if memory.state[frame] & MIXED or memory.generation[frame] >= LAST_GENERATION:
            self._blocks[:] = 0
            self._crossing[:] = 0
            memory.generation[frame] = 0
        memory.generation[frame] += 1
        memory.state[frame] &= np.uint8(0xFF & ~(CODE | MIXED))

    def _mix(self, frame: int) -> None:
        """Make a frame both: each store into it is checked for code from now on."""
        memory = self.memory
        self._mixed.add(frame)
        memory.generation[frame] = 0xFFF
        memory.state[frame] = (int(memory.state[frame]) & ~CODE) | MIXED
        self.cells[c.MIXED] = 1
        self._attend(c.ATTENTION_MIXED, True)

    def _separate(self) -> None:
        """Mixed frames are slow: treat them as plain ones again, until code and stores meet there once more."""
        for frame in list(self._mixed):
            self._release(frame)
        self._mixed.clear()
        self._flips.clear()
        self.cells[c.MIXED] = 0
        self._attend(c.ATTENTION_MIXED, False)
        self._separate_at = self.cells[c.CLOCK] + SEPARATE_AFTER
        self.flush_tlb()

    def _code_write(self) -> None:
        """A store to a frame that holds translated code."""
        self.counts["code write"] += 1
        frame = int(self.cells[c.FAULT_PHYSICAL]) // FRAME_SIZE
        flips = self._flips[frame] = self._flips.get(frame, 0) + 1
        at = self.registers.linear_eip
        running = {int(self._pages[(at + more & 0xFFFFFFFF) >> 12]) >> 12 for more in (0, 14)}
        if not self.memory.state[frame] & MIXED and (frame in running or flips > MAX_FLIPS):
            self._mix(frame)
        else:
            self._release(frame)
        self.flush_tlb()

    # --- one instruction with a page replaced (device registers)

    def step_with_page(self, physical: int, page: bytes) -> tuple[Exit | None, bytes]:
        """Run one instruction while the frame at `physical` reads and writes `page`; the page afterwards.

        The exit is None when the instruction has retired.
        """
        alias = self._above[c.ALIAS_PAGE - c.ABOVE :]
        alias[:FRAME_SIZE] = np.frombuffer(page, np.uint8)
        cells = self.cells
        cells[c.ALIAS_FRAME], cells[c.ALIAS_TARGET] = physical // FRAME_SIZE + 1, c.ALIAS_PAGE
        pin = self.interrupt_pin
        self.set_interrupt_pin(False)
        cells[c.ALLOW] = c.ALLOW_ALL
        try:
            found = self.run(cells[c.CLOCK] + 1)
        finally:
            cells[c.ALIAS_FRAME], cells[c.ALLOW] = 0, c.ALLOW_NONE
            self.set_interrupt_pin(pin)
            self.flush_tlb()
        return (None if found.kind is ExitKind.DEADLINE else found), alias[:FRAME_SIZE].tobytes()

    # --- saving and restoring

    def save(self) -> bytes:
        """The whole processor between two instructions: registers, hidden parts, clock."""
        cells = self.cells
        clock = (ctypes.c_uint64 * len(CLOCK_CELLS))(*(cells[i] for i in CLOCK_CELLS))
        return bytes(clock) + ctypes.string_at(self._layout.registers, self._layout.size)

    def load(self, saved: bytes) -> None:
        """Exact inverse of `save`. RAM is the caller's; translations of addresses are dropped."""
        split = 8 * len(CLOCK_CELLS)
        words = memoryview(saved[:split]).cast("Q")
        for index, value in zip(CLOCK_CELLS, words, strict=True):
            self.cells[index] = value
        place = self._layout
        breakpoints = place.debug + 64 - place.registers  # host pointers: four, they stay this process's own
        kept = ctypes.string_at(place.registers + breakpoints, 32)
        ctypes.memmove(place.registers, saved[split:], place.size)
        ctypes.memmove(place.registers + breakpoints, kept, 32)
        self.flush_tlb()

    def close(self) -> None:
        """Free the engine."""
        self._uc = None


CLOCK_CELLS = (c.CLOCK, c.BRANCHES, c.IDLE, c.BLOCK, c.BLOCK_SIZE, c.BLOCK_INFO, c.REP_START)
_invalid: int | None = None


def _invalid_offset(processor: Processor) -> int:
    """Where the engine keeps the exact address of a refused access; found once, by a refused access."""
    global _invalid
    if _invalid is None:
        _invalid = find_invalid_address()
    return _invalid


def find_invalid_address() -> int:
    """Offset of `invalid_addr` in the engine: a load from a known address under empty page tables is refused.

    Raises `LayoutError` where it does not show up.
    """
    memory = Memory(1 << 20)
    probe = Processor(memory)
    memory.write(0x1000, b"\x8b\x06\xf4")  # mov eax, [esi]; hlt
    memory.write(0x2000, (0x3003).to_bytes(4, "little"))
    memory.write(0x3004, (0x1003).to_bytes(4, "little"))
    regs = probe.registers
    regs.set_flat(code=8, data=16)
    regs.eip, regs.general[6], regs.cr3 = 0x1000, 0x12345679, 0x2000
    regs.cr0 |= 0x80000001
    probe.cells[c.DEADLINE] = probe.cells[c.LIMIT] = probe.cells[c.PAUSE] = NEVER
    stop = probe._start()
    found = ctypes.string_at(probe._engine.value, 0x2000).find((0x12345679).to_bytes(8, "little"))
    if stop != c.Stop.PAGE_FAULT or found < 0:
        raise layout.LayoutError("the address of a refused access was not found")
    return found
