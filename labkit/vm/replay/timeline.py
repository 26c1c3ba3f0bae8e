"""The timeline: any moment of a deterministic run, forward and back.

    start ----+----+----+----+--- cursor ---+---- end          + checkpoint, every million instructions
              restore the nearest one, run on to the moment

Time travel is record and replay: the machine is brought back to a checkpoint and runs again. An edit does not
change the past; it forks it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import index

from labkit import guests
from labkit.vm.machine import ExecutionPoint, Machine, Registers
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.paging import Walk, translate, walk
from labkit.vm.machine.state import GENERAL
from labkit.vm.monitor import Event, EventKind, Stop
from labkit.vm.monitor.engine import Engine
from labkit.vm.replay import edit, finder, linear_memory, search
from labkit.vm.replay.accesses import Access, accesses
from labkit.vm.replay.breakpoints import Breakpoints, Hit, Stopper, kind_named
from labkit.vm.replay.continuing import EngineMaker, continuing
from labkit.vm.replay.disassembly import LONGEST, Line, disassemble
from labkit.vm.replay.errors import TimelineError, whole
from labkit.vm.replay.event_log import EventLog
from labkit.vm.replay.history import History
from labkit.vm.replay.recipe import machine_of
from labkit.vm.replay.recording import Recording
from labkit.vm.replay.search import Write
from labkit.vm.replay.spaced import spaced
from labkit.vm.replay.symbols import Symbols
from labkit.vm.replay.write_index import WriteIndex

__all__ = ["Timeline", "TimelineError"]

OVERHEAD = 300 << 20
"""What the process needs beside checkpoints, of the budget."""
LEAST = 64 << 20
FORKED = " forked at "


class Timeline:
    """A run that can be walked in both directions.

    `machine` is loaded and on the virtual clock; its present state becomes the start. `budget` is the memory
    in bytes that the whole process may use; checkpoints get what is left, and are thinned out when that is
    not enough. `engine` makes the engine for a machine, where that is not hardware assistance: `KeysEngine`.
    Raises `TimelineError` for a machine on the live clock, which does not repeat itself.

    A place on it is a clock: instructions retired. There the devices that were due have acted, an interrupt
    that could be taken has been delivered, and a fault of the next instruction has not happened yet.
    """

    def __init__(
        self, machine: Machine, budget: int = 600 << 20, name: str = "",
        engine: EngineMaker | None = None,
    ) -> None:  # fmt: skip
        if machine.clock.live:
            raise TimelineError("a live clock does not repeat itself: make the machine with clock='virtual'")
        room = max(LEAST, budget - OVERHEAD - machine.memory.size // 2)
        self._engine = engine
        self._history = History(machine, room, engine=engine(machine) if engine else "hw")
        self._index = WriteIndex(self._history)
        self._symbols = Symbols(machine.symbols)
        self.name = name or (machine.image.name if machine.image else "machine")
        self.breakpoints = Breakpoints()
        self.accesses: list[Access] = []
        self.budget = budget

    @classmethod
    def boot(
        cls, name: str, *, memory: int = 128 << 20, budget: int = 600 << 20, append: str = ""
    ) -> "Timeline":
        """A timeline of a guest by name, standing before its first instruction. Raises `GuestError`."""
        machine = Machine(memory=memory)
        machine.load(guests.boot(name, memory=memory, append=append))
        return cls(machine, budget, name)

    @classmethod
    def open(cls, path: str, budget: int = 600 << 20) -> "Timeline":
        """A recording before its first instruction; `run()` goes to its end. Raises `RecordingError`."""
        recording = Recording.read(path)
        made = cls(machine_of(recording), budget, recording.header.guest)
        made._history.follow(recording)
        return made

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
        """Lengthen history at its end: by so many instructions, to a text printed, or to the guest's end.

        `on_progress` is told the clock at each checkpoint. When the run is torn off by an exception (Ctrl-C),
        history ends at the last checkpoint. Raises `TimelineError` for a negative number or an empty text.
        """
        if instructions is not None and whole(instructions, "run for") < 0:
            raise TimelineError(f"run({instructions}): history only grows, give 0 or more instructions")
        if until_text is not None and not (until_text and isinstance(until_text, str)):
            raise TimelineError(f"until_text {until_text!r}: give the text to wait for, or leave it out")
        self.accesses = []
        return self._history.record(instructions, until_text.encode() if until_text else None, on_progress)

    def type(self, data: bytes) -> None:
        """Type on the serial console at the end of history; what comes of it is seen by `run`."""
        if not isinstance(data, bytes | bytearray):
            raise TimelineError(f"type({data!r}): give bytes, such as b'ls\\n'")
        self.accesses = []
        self._history.type(bytes(data))

    # --- moving

    def _inside(self, clock: int) -> int:
        clock = whole(clock, "instruction")
        if not self.start <= clock <= self.end:
            raise TimelineError(
                f"instruction {clock} is outside this timeline: it goes from {self.start} to {self.end}"
            )
        return clock

    def seek(self, clock: int) -> None:
        """Go to a clock. Raises `TimelineError` outside start..end."""
        clock = self._inside(clock)
        self.accesses = []
        self._history.goto(clock)

    def step(self, n: int = 1) -> None:
        """Go `n` instructions on; one iteration of a repeated string instruction is one.

        Raises `TimelineError` at the end: run on first.
        """
        if whole(n, "step") < 0:
            raise TimelineError(f"step({n}): give 0 or more instructions, or go back({-n})")
        if self.cursor + n > self.end:
            raise TimelineError(f"the timeline ends at instruction {self.end}: run on to make it longer")
        if n == 1:
            self._step()
        else:
            self.seek(self.cursor + n)

    def _step(self) -> None:
        """One instruction, with what it touches, and what the delivery of events touches on the way."""
        history, clock = self._history, self.cursor
        seen = self._coming()
        pushed: list[Access] = []

        def delivered() -> None:
            pushed.extend(Access(linear, size, write=True) for linear, size in history.monitor.delivered)
            if self.cursor == clock:  # a fault: the handler's first instruction runs instead
                seen[:] = self._coming()

        history.on_delivered = delivered
        try:
            history.goto(clock + 1)
        finally:
            history.on_delivered = None
        self.accesses = pushed + seen

    def _coming(self) -> list[Access]:
        """What the next instruction is going to touch."""
        at = self._linear_eip
        code = self.read(at, LONGEST) or self.read(at, FRAME_SIZE - at % FRAME_SIZE)
        return accesses(code, self.registers) if code else []

    def back(self, n: int = 1) -> None:
        """Go `n` instructions back. Raises `TimelineError` at the start."""
        if whole(n, "back") < 0:
            raise TimelineError(f"back({n}): give 0 or more instructions, or step({-n})")
        if self.cursor - n < self.start:
            raise TimelineError(
                f"the timeline starts at instruction {self.start}: there is nothing before it"
            )
        self.seek(self.cursor - n)

    def step_event(self, kind: EventKind | str | None = None, direction: int = 1) -> Event | None:
        """Go to the next (+1) or previous (-1) event, of a kind if given; None and no move if there is none.

        Events at one clock are one place; the first of them (the last, going back) is given. Raises
        `TimelineError` for a kind that does not exist.
        """
        wanted = None if kind is None else kind_named(kind)
        _check(direction)
        rows = self.events.rows
        if direction > 0:
            indices = range(self.events.first_after(self.cursor), len(rows))
        else:
            indices = range(self.events.first_at(self.cursor) - 1, -1, -1)
        for i in indices:
            if (wanted is None or rows[i][3] is wanted) and self.start <= rows[i][0] <= self.end:
                self.seek(rows[i][0])
                return self.events[i]
        return None

    @property
    def _linear_eip(self) -> int:
        return self.machine.processor.registers.linear_eip

    # --- breakpoints

    def run_to(
        self, direction: int = 1, limit: int | None = None, also: Iterable[Stopper] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> Hit | None:  # fmt: skip
        """Go to the next (+1) or previous (-1) place where a breakpoint or watchpoint holds, or one of `also`.

        Not further than `limit` instructions. Without a hit the cursor goes to where the search ended, and
        None is given. A breakpoint on the first instruction of a fault's handler holds at the clock of the
        fault: there the cursor stands before the instruction that faults. `on_progress` is told the clock that
        the search has come to. Torn off by an exception (Ctrl-C), the cursor stays. Raises `TimelineError` for
        a watched address that is not mapped at the cursor.
        """
        _check(direction)
        if limit is not None and whole(limit, "limit") < 0:
            raise TimelineError(f"limit {limit}: give 0 or more instructions")
        far = self.end if direction > 0 else self.start
        if limit is not None:
            far = min(far, self.cursor + limit) if direction > 0 else max(far, self.cursor - limit)
        self.accesses = []
        found = finder.find_any(self._history, [*self.breakpoints, *also], far, self._physical, on_progress)
        self.seek(found[0] if found else far)
        return Hit(self.point, found[1]) if found else None

    def stretch(self, direction: int, count: int = 1) -> int:
        """Instructions to the `count`-th checkpoint in a direction: from one to the next, searches are quickest."""
        clocks = search.checkpoints(self._history, self.cursor, self.end if direction > 0 else self.start)
        return abs(clocks[min(count, len(clocks)) - 1] - self.cursor)

    # --- who wrote this?

    def last_writer(
        self, linear: int | str, size: int = 1, on_progress: Callable[[int], None] | None = None
    ) -> Write | None:
        """The last store before the cursor to any of `size` bytes, or change of the register of that name.

        None if it is older than the timeline. Delivery of an event stores as well (`Write.by_event`); the paging
        unit's accessed and dirty bits do not count. A question that leads far back makes the index of writes
        first (see `index_writes`). Raises `TimelineError` where no page of memory is mapped at the cursor.
        """
        if isinstance(linear, str):
            return self.last_register_writer(linear)
        if index(size) < 1:
            raise TimelineError(f"last_writer of {size} bytes: give 1 or more")
        here, pieces = self.cursor, linear_memory.pieces(self.machine, linear, size)
        best: Write | None = None
        with self._history.staying():
            for at, physical, count in pieces:
                found = search.last_write(self._history, self._index, physical, count, here, on_progress)
                if found is not None and (best is None or found.point > best.point):
                    best = replace(found, linear=(at + found.physical - physical) & 0xFFFFFFFF)
        return best

    def index_writes(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Make the index with which `last_writer` needs one short run for any question: once over history.

        It is made by itself when a question needs it; 20 million instructions take a second.
        """
        with self._history.staying():
            self._index.extend(self.end, on_progress)

    def last_register_writer(self, name: str) -> Write | None:
        """The last instruction before the cursor that changed a general register, or event that did.

        None if it is older than the timeline. Raises `TimelineError` for another name.
        """
        if name not in GENERAL:
            raise TimelineError(f"register {name!r}: give one of {', '.join(GENERAL)}")
        here, value = self.cursor, getattr(self.registers, name)
        with self._history.staying():
            found = search.last_register_write(self._history, GENERAL.index(name), here)
        return None if found is None else replace(found, size=4, value=value, register=name)

    # --- other pasts

    def fork(
        self, registers: dict[str, int] | None = None, memory: dict[int, bytes] | None = None
    ) -> "Timeline":
        """A new timeline that starts at the cursor with an edit as its first event; this one stays as it is.

        What was typed at the cursor or later, or comes there in a recording, is not carried over.
        Raises `TimelineError` for what cannot be edited, and then nothing has changed anywhere.
        """
        twin = self._history.copy_without_input()
        done = edit.edit(twin, registers or {}, memory or {})
        engine = continuing(self._engine, self.engine)
        origin = self.name.partition(FORKED)[0]  # of a fork of a fork, too
        forked = Timeline(twin, self.budget, f"{origin}{FORKED}{self.cursor}", engine)
        forked._engine = self._engine
        forked.breakpoints = self.breakpoints.copy()
        point = self.point
        row = (point.instructions, point.branches, point.eip, EventKind.EDIT, 0, 0, 0, done or "fork")
        forked._history.begin_with(row, self.console_at(self.cursor))
        return forked

    @property
    def engine(self) -> Engine:
        """The engine, as it stands at the cursor."""
        return self._history.monitor.engine

    # --- looking

    def _physical(self, linear: int) -> int | None:
        return translate(self.machine.processor.registers, self.machine.memory, linear)

    def read(self, linear: int, size: int) -> bytes | None:
        """Bytes at a linear address, without side effects; None where a page is not mapped."""
        if index(size) < 0:
            raise TimelineError(f"read of {size} bytes: give 0 or more")
        return linear_memory.read(self.machine, linear, size)

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes at a physical address; ones where there is no memory."""
        if index(size) < 0 or index(address) < 0:
            raise TimelineError(f"read of {size} bytes at physical {address:x}: neither can be negative")
        return self.machine.memory.read(address, size)

    def walk(self, linear: int) -> Walk:
        """The page walk of a linear address at the cursor."""
        return walk(self.machine.processor.registers, self.machine.memory, linear & 0xFFFFFFFF)

    def symbol(self, linear: int) -> str | None:
        """Name of the code or data at an address, as name or name+offset; None if unknown."""
        return self._symbols.name(linear)

    def address_of(self, symbol: str) -> int | None:
        """Where the guest has something of this name; None if nothing is known by it."""
        return self._symbols.address(symbol)

    def disassemble(self, linear: int | None = None, before: int = 8, after: int = 16) -> list[Line]:
        """Instructions around an address, the cursor's by default."""
        wide = bool(self.machine.processor.registers.hflags & 0x10)
        at = self._linear_eip if linear is None else linear
        lines = disassemble(self.read, at, before, after, wide)
        return [replace(line, symbol=self.symbol(line.address)) for line in lines]

    def console_at(self, clock: int) -> bytes:
        """What the serial console had printed when the clock stood there."""
        return self._history.console_at(self._inside(clock))

    def screen(self) -> list[str]:
        """The VGA text screen at the cursor."""
        return self.machine.screen()

    def __repr__(self) -> str:
        return f"<Timeline {self.name}: {self.start}..{self.end}, at {self.cursor}>"

    def __str__(self) -> str:
        checkpoints = self.machine.checkpoints
        return (
            f"{self.name}: instructions {spaced(self.start)}..{spaced(self.end)}, "
            f"at {spaced(self.cursor)}; {spaced(len(self.events))} events, "
            f"{len(checkpoints)} checkpoint{'s'[: len(checkpoints) != 1]} in "
            f"{checkpoints.bytes >> 20} MB"
        )


def _check(direction: int) -> None:
    if direction not in {1, -1}:
        raise TimelineError(f"direction {direction!r}: give 1 (forward) or -1 (back)")
