"""The timeline: any moment of a deterministic run, forward and back.

    start ----+----+----+----+--- cursor ---+---- end          + checkpoint, every million instructions
              restore the nearest one, run on to the moment

Time travel is record and replay: the machine is brought back to a checkpoint and runs again. An edit does not change
the past; it forks it.
"""

from bisect import bisect_right
from collections.abc import Callable
from contextlib import AbstractContextManager

from labkit import guests
from labkit.vm.machine import ExecutionPoint, Machine, Registers
from labkit.vm.machine.paging import Walk, translate, walk
from labkit.vm.machine.state import GENERAL
from labkit.vm.monitor import Event, EventKind, Stop
from labkit.vm.replay import search
from labkit.vm.replay.breakpoints import Breakpoint, Breakpoints, Hit, Stopper, Watchpoint
from labkit.vm.replay.disassembly import LONGEST, Access, Line, accesses, disassemble
from labkit.vm.replay.event_log import EventLog
from labkit.vm.replay.history import History
from labkit.vm.replay.search import Write

__all__ = ["Timeline", "TimelineError"]

OVERHEAD = 300 << 20
"""What the process needs beside checkpoints, of the budget."""
LEAST = 64 << 20


class TimelineError(ValueError):
    """A place that the timeline does not have; says which there are."""


class Timeline:
    """A run that can be walked in both directions.

    `machine` is loaded and on the virtual clock; its present state becomes the start. `budget` is the memory in bytes
    that the whole process may use; checkpoints get what is left, and are thinned out when that is not enough.
    Raises `ValueError` for a machine on the live clock, which does not repeat itself.
    """

    def __init__(self, machine: Machine, budget: int = 600 << 20, name: str = "") -> None:
        if machine.clock.live:
            raise ValueError("a live clock does not repeat itself: make the machine with clock='virtual'")
        self._history = History(machine, max(LEAST, budget - OVERHEAD - machine.memory.size // 2))
        self._symbols = sorted(machine.symbols)
        self._addresses = [symbol.address for symbol in self._symbols]
        self.name = name or (machine.image.name if machine.image else "machine")
        self.breakpoints = Breakpoints()
        self.accesses: list[Access] = []
        self.budget = budget

    @classmethod
    def boot(cls, name: str, *, memory: int = 128 << 20, budget: int = 600 << 20, append: str = "") -> "Timeline":
        """A timeline of a guest by name, standing before its first instruction. Raises `GuestError`."""
        machine = Machine(memory=memory)
        machine.load(guests.boot(name, memory=memory, append=append))
        return cls(machine, budget, name)

    # --- where we are

    @property
    def machine(self) -> Machine:
        """The machine, as it stands at the cursor. Do not run it by other means."""
        return self._history.machine

    @property
    def start(self) -> int:
        """The first clock."""
        return self._history.start

    @property
    def end(self) -> int:
        """The last clock so far."""
        return self._history.end

    @property
    def cursor(self) -> int:
        """The clock where we stand: retired instructions."""
        return self._history.clock

    @property
    def point(self) -> ExecutionPoint:
        """The execution point where we stand."""
        return self.machine.point

    @property
    def registers(self) -> Registers:
        """All registers."""
        return self.machine.registers

    @property
    def events(self) -> EventLog:
        """Everything notable that happened, from start to end."""
        return self._history.events

    # --- making history

    def run(
        self,
        instructions: int | None = None,
        until_text: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Stop:
        """Lengthen history at its end: by a number of instructions, until a text appears, or until the guest stops."""
        self.accesses = []
        return self._history.record(instructions, until_text.encode() if until_text else None, on_progress)

    def type(self, data: bytes) -> None:
        """Type on the serial console at the end of history."""
        self._history.type(data)

    # --- moving

    def seek(self, clock: int) -> None:
        """Go to a clock. Raises `TimelineError` outside start..end."""
        if not self.start <= clock <= self.end:
            raise TimelineError(f"instruction {clock} is outside this timeline: it goes from {self.start} to {self.end}")
        self.accesses = []
        self._history.goto(clock)

    def step(self, n: int = 1) -> None:
        """Go `n` instructions on. Raises `TimelineError` at the end: run on first."""
        if self.cursor + n > self.end:
            raise TimelineError(f"the timeline ends at instruction {self.end}: run on to make it longer")
        code = self.read(self._linear_eip, LONGEST) if n == 1 else None
        touched = accesses(code, self.registers) if code else []
        self._history.goto(self.cursor + n)
        self.accesses = touched

    def back(self, n: int = 1) -> None:
        """Go `n` instructions back. Raises `TimelineError` at the start."""
        if self.cursor - n < self.start:
            raise TimelineError(f"the timeline starts at instruction {self.start}: there is nothing before it")
        self.seek(self.cursor - n)

    def step_event(self, kind: EventKind | str | None = None, direction: int = 1) -> Event | None:
        """Go to the next (+1) or previous (-1) event, of a kind if given; None and no move where there is none."""
        rows = self.events.rows
        if direction > 0:
            indices = range(self.events.first_after(self.cursor), len(rows))
        else:
            indices = range(self.events.first_at(self.cursor) - 1, -1, -1)
        for i in indices:
            if kind is None or rows[i][3] == kind:
                self.seek(min(rows[i][0], self.end))
                return self.events[i]
        return None

    @property
    def _linear_eip(self) -> int:
        return self.machine.processor.registers.linear_eip

    # --- breakpoints

    def run_to(self, direction: int = 1, limit: int | None = None) -> Hit | None:
        """Go to the next (+1) or previous (-1) place where a breakpoint or watchpoint holds, within `limit` instructions.

        Without a hit the cursor goes to where the search ended, and None is given.
        """
        cursor = self.cursor
        far = self.end if direction > 0 else self.start
        if limit is not None:
            far = min(far, cursor + limit) if direction > 0 else max(far, cursor - limit)
        found: list[tuple[int, Stopper]] = []
        for what in list(self.breakpoints):
            clock = self._find(what, cursor, far, direction)
            if clock is not None:
                found.append((clock, what))
        if not found:
            self.seek(far)
            return None
        best = min if direction > 0 else max
        clock, what = best(found, key=lambda pair: pair[0])
        self.seek(clock)
        return Hit(self.point, what)

    def _find(self, what: Stopper, cursor: int, far: int, direction: int) -> int | None:
        if isinstance(what, Breakpoint) and what.kind is not None:
            clocks = [clock for clock in self.events.clocks(what.kind) if min(cursor, far) <= clock <= max(cursor, far)]
            clocks = [clock for clock in clocks if clock != cursor]
            return (clocks[0] if direction > 0 else clocks[-1]) if clocks else None
        # a breakpoint stops before its instruction, a watchpoint behind the one that stores
        late = 1 if isinstance(what, Watchpoint) else 0
        history, watching = self._history, self._watching(what)
        if watching is None:
            return None
        if direction > 0:
            clock = search.first_hit(history, watching, cursor + 1 - late, far + 1 - late)
        else:
            clock = search.last_hit(history, watching, far - late, cursor - late)
        if clock is None:
            return None
        if isinstance(what, Watchpoint) and not what.register:
            return self._exact_store(what, clock, direction)
        return clock + late

    def _watching(self, what: Stopper) -> Callable[[], AbstractContextManager[None]] | None:
        watch = self._history.watch
        if isinstance(what, Breakpoint):
            return lambda: watch.code([(what.first, what.last)])
        if what.register:
            return lambda: watch.register(GENERAL.index(what.register))
        physical = self._physical(what.linear)
        if physical is None:
            raise TimelineError(f"address {what.linear:08x} is not mapped here: seek to where it is, then watch it")
        return lambda: watch.memory(physical, what.size)

    def _exact_store(self, what: Watchpoint, block: int, direction: int) -> int | None:
        """The clock behind the store that was seen in the block beginning at `block`."""
        physical = self._physical(what.linear)
        if physical is None:
            return None
        watch, history, found = self._history.watch, self._history, None
        history.goto(block)
        with watch.memory(physical, what.size):
            for _ in range(search.LONGEST_BLOCK):
                if history.clock >= self.end:
                    break
                watch.reset()
                history.forward(history.clock + 1)
                if watch.hits.count:
                    found = history.clock
                    if direction > 0:
                        break
                elif found is not None and history.clock > found + 64:
                    break
        return found

    # --- who wrote this?

    def last_writer(self, linear: int, size: int = 1) -> Write | None:
        """The last store before the cursor to any of `size` bytes at an address; None if it is older than the timeline.

        Raises `TimelineError` where no page is mapped at the cursor.
        """
        physical = self._physical(linear)
        if physical is None:
            raise TimelineError(f"address {linear:08x} is not mapped at instruction {self.cursor}")
        here = self.cursor
        try:
            return search.last_write(self._history, linear, physical, size, here)
        finally:
            self._history.goto(here)

    def last_register_writer(self, name: str) -> Write | None:
        """The last instruction before the cursor that changed a general register. Raises `TimelineError` for another name."""
        if name not in GENERAL:
            raise TimelineError(f"register {name!r}: give one of {', '.join(GENERAL)}")
        here, value = self.cursor, getattr(self.registers, name)
        try:
            clock = search.last_register_write(self._history, GENERAL.index(name), here)
            if clock is None:
                return None
            self._history.goto(clock)
            return Write(self.point, self.registers.eip, 0, 0, 4, value)
        finally:
            self._history.goto(here)

    # --- other pasts

    def fork(self, registers: dict[str, int] | None = None, memory: dict[int, bytes] | None = None) -> "Timeline":
        """A new timeline that starts at the cursor with an edit. Raises `TimelineError` for what cannot be edited."""
        twin = self.machine.copy()
        edited = []
        for name, value in (registers or {}).items():
            if name not in (*GENERAL, "eip", "eflags"):
                raise TimelineError(f"register {name!r} cannot be edited: give one of {', '.join(GENERAL)}, eip, eflags")
            _set_register(twin, name, value & 0xFFFFFFFF)
            edited.append(f"{name} = {value & 0xFFFFFFFF:08x}")
        for linear, data in (memory or {}).items():
            for offset, byte in enumerate(data):
                physical = translate(twin.processor.registers, twin.memory, (linear + offset) & 0xFFFFFFFF)
                if physical is None:
                    raise TimelineError(f"address {linear + offset:08x} is not mapped: nothing was changed")
                twin.processor.write_physical(physical, bytes((byte,)))
            edited.append(f"{len(data)} bytes at {linear:08x}")
        forked = Timeline(twin, self.budget, f"{self.name} forked at {self.cursor}")
        forked._inherit(self, ", ".join(edited))
        return forked

    def _inherit(self, parent: "Timeline", edit: str) -> None:
        point = self.point
        row = (point.instructions, point.branches, point.eip, EventKind.EDIT, 0, 0, 0, edit or "fork")
        self.events.rows.append(row)
        self._history.console += parent.console_at(parent.cursor)
        self._history.printed_before(len(self._history.console))

    # --- looking

    def _physical(self, linear: int) -> int | None:
        return translate(self.machine.processor.registers, self.machine.memory, linear)

    def read(self, linear: int, size: int) -> bytes | None:
        """Bytes at a linear address, without side effects; None where a page is not mapped."""
        parts, memory, registers = [], self.machine.memory, self.machine.processor.registers
        while size > 0:
            linear &= 0xFFFFFFFF
            count = min(size, 4096 - linear % 4096)
            physical = translate(registers, memory, linear)
            if physical is None:
                return None
            parts.append(memory.read(physical, count))
            linear, size = linear + count, size - count
        return b"".join(parts)

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes at a physical address; ones where there is no memory."""
        return self.machine.memory.read(address, size)

    def walk(self, linear: int) -> Walk:
        """The page walk of a linear address at the cursor."""
        return walk(self.machine.processor.registers, self.machine.memory, linear)

    def symbol(self, linear: int) -> str | None:
        """Name of the code or data at an address, as name or name+offset; None if unknown."""
        at = bisect_right(self._addresses, linear) - 1
        if at < 0:
            return None
        found = self._symbols[at]
        offset = linear - found.address
        if offset > 0x100000 or (found.size and offset >= found.size):
            return None
        return f"{found.name}+{offset:x}h" if offset else found.name

    def disassemble(self, linear: int | None = None, before: int = 8, after: int = 16) -> list[Line]:
        """Instructions around an address, the cursor's by default."""
        wide = bool(self.machine.processor.registers.hflags & 0x10)
        at = self._linear_eip if linear is None else linear
        lines = disassemble(self.read, at, before, after, wide)
        return [
            Line(line.address, line.bytes, line.mnemonic, line.operands, self.symbol(line.address)) for line in lines
        ]

    def console_at(self, clock: int) -> bytes:
        """What the serial console had printed when the clock stood there."""
        return self._history.console_at(clock)

    def screen(self) -> list[str]:
        """The VGA text screen at the cursor."""
        return self.machine.screen()

    def __repr__(self) -> str:
        return f"<Timeline {self.name}: {self.start}..{self.end}, at {self.cursor}>"

    def __str__(self) -> str:
        checkpoints = self.machine.checkpoints
        return (
            f"{self.name}: instructions {self.start:,}..{self.end:,}, at {self.cursor:,}; {len(self.events):,} events, "
            f"{len(checkpoints)} checkpoints in {checkpoints.bytes >> 20} MB"
        ).replace(",", " ")


def _set_register(machine: Machine, name: str, value: int) -> None:
    registers = machine.processor.registers
    if name in GENERAL:
        registers.general[GENERAL.index(name)] = value
    elif name == "eip":
        registers.eip = value
    else:
        registers.eflags = value | 2
