"""The monitor: runs a guest on a machine, handles its exits, and tells what happened.

devices that are due -> interrupt, if the guest can take one -> engine -> handle the exit -> again
"""

import gc
from collections.abc import Callable
from typing import Any

from labkit.vm.machine import Machine
from labkit.vm.machine.clock import NS_PER_INSTRUCTION, TSC_HZ
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.machine import SETTLE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.processor import NEVER
from labkit.vm.monitor.delivery import Delivery
from labkit.vm.monitor.engine import Engine, Remembering
from labkit.vm.monitor.events import EXCEPTION_NAMES, Event, EventKind, Row
from labkit.vm.monitor.hardware import HardwareAssist
from labkit.vm.monitor.mmio import emulate
from labkit.vm.monitor.stop import Stop, StopReason

__all__ = ["Monitor", "Pending"]

Pending = tuple[str | None, int, str | None, bool, str, Any]
"""See `Monitor.save`."""

NMI, PAGE_FAULT = 2, 14
POLLED = 0x61  # the port that tells what counter 2 does
INHIBIT = 8  # in hflags
BREATH = 20_000_000
"""Instructions after which Python gets a turn (Ctrl-C, a live clock's devices)."""
LONGEST_STORM = 20_000
"""Faults in a row without a retired instruction that a guest is given."""
LONGEST_IDLE = 3600 * TSC_HZ
"""Instruction times (an hour) after which a halted guest with only masked timers is held to wait for ever."""


class Monitor:
    """Runs the guest of a machine with an engine: "hw", or an object with the face of `Engine`.

    Raises `ValueError` for an engine that does not exist, or that cannot run the machine.
    """

    def __init__(self, machine: Machine, engine: str | Engine = "hw") -> None:
        if isinstance(engine, str) and engine != "hw":
            raise ValueError(f"engine {engine!r}: there is 'hw'")
        if isinstance(engine, str) and machine.protection is not None:
            raise ValueError("this machine has a protection unit, which 'hw' cannot run: give a KeysEngine")
        self.machine = machine
        self.engine: Engine = HardwareAssist(machine.processor) if isinstance(engine, str) else engine
        self.on_event: list[Callable[[Event], None]] = []
        self.log: list[Row] | None = None
        """Where rows of events go when a log is kept: cheaper than events, which are made from rows later."""
        self.on_delivery: Callable[[bool], None] | None = None
        """Called before (False) and after (True) an event is delivered into the guest."""
        self.counts = dict.fromkeys(COUNTED, 0)
        self._delivery = Delivery(machine.processor)
        self._wanted: str | None = None
        self._stop_at = NEVER
        self._reset: str | None = None
        self._last_fault = ""
        self._shutdown = False
        self._storm = (-1, 0)  # clock, faults there
        self._delivered_at = -1  # clock of the last event that was delivered
        self.on_interrupt: Callable[[int], None] | None = None
        """Called with the vector of each interrupt before it is delivered."""
        machine.board.reset_requested = self._on_reset
        self._wire_ports()

    def _wire_ports(self) -> None:
        processor, board, counts = self.machine.processor, self.machine.board, self.counts
        read, write = board.read_port, board.write_port

        def read_port(port: int, size: int) -> int:
            counts["port in"] += 1
            value = read(port, size)
            self._emit(EventKind.PORT_IN, port, value)
            if port == POLLED and processor.read_port is read_port:
                self._answer_polling(value)
            return value

        def write_port(port: int, size: int, value: int) -> None:
            counts["port out"] += 1
            self._emit(EventKind.PORT_OUT, port, value)
            processor.cells[c.POLLED_PORT] = 0
            write(port, size, value)

        processor.read_port, processor.write_port = read_port, write_port
        described = processor.cpuid

        def cpuid(leaf: int) -> tuple[int, int, int, int]:
            counts["cpuid"] += 1
            return described(leaf)

        processor.cpuid = cpuid

    @property
    def exits(self) -> dict[str, int]:
        """Exits by kind, those that happened."""
        sensitive = self.machine.processor.counts["sensitive"]
        polled = int(self.machine.processor.cells[c.POLLED_READS])
        counts = {**self.counts, "port in": self.counts["port in"] + polled, "sensitive": sensitive}
        return {kind: n for kind, n in counts.items() if n}

    def _answer_polling(self, value: int) -> None:
        """Let the processor answer the next reads of port 61h: a guest that waits for a counter makes millions.

        Not where each is told to somebody, nor on the live clock, which may be bent before.
        """
        machine, cells = self.machine, self.machine.processor.cells
        if self.log is None and not self.on_event and not machine.clock.live:
            cells[c.POLLED_VALUE] = value
            cells[c.POLLED_UNTIL] = -(-machine.board.sysport.holds_until(machine.clock.now()) // NS_PER_INSTRUCTION)
            cells[c.POLLED_PORT] = POLLED + 1

    # --- stopping

    def request_stop(self, why: str) -> None:
        """Ask the run to end: at an exact point soon after, when called by the guest's own doing."""
        self._wanted = self._wanted or why
        if self.machine.processor.in_hook:
            self._stop_at = min(self._stop_at, self.machine.processor.clock + SETTLE)
            self.machine.processor.advance_deadline(self._stop_at)
        else:
            self._stop_at = 0

    def save(self) -> Pending:
        """What is under way between two runs: a stop asked for, a reset, a shutdown; what the engine remembers."""
        engine = self.engine.save() if isinstance(self.engine, Remembering) else None
        return self._wanted, self._stop_at, self._reset, self._shutdown, self._last_fault, engine

    def load(self, saved: Pending) -> None:
        """Inverse of `save`: goes with a checkpoint of the machine."""
        self._wanted, self._stop_at, self._reset, self._shutdown, self._last_fault, engine = saved
        if isinstance(self.engine, Remembering):
            self.engine.load(engine)

    def _on_reset(self, why: str) -> None:
        self._reset = self._reset or why
        self.request_stop(why)

    def _ended(self, goal: int) -> Stop | None:
        clock = self.machine.processor.clock
        if self._shutdown:
            return self._end(StopReason.SHUTDOWN, f"triple fault: {self._last_fault}")
        if clock >= self._stop_at:
            why, self._wanted, self._stop_at = self._wanted or "", None, NEVER
            if self._reset is not None:
                reset, self._reset = self._reset, None
                return self._end(StopReason.RESET, f"the guest reset the machine ({reset})")
            return self._end(StopReason.REQUESTED, why)
        if clock >= goal:
            return self._end(StopReason.INSTRUCTIONS, f"{clock:,} instructions".replace(",", " "))
        return None

    def _end(self, reason: StopReason, message: str) -> Stop:
        stop = Stop(reason, message, self.machine.point)
        self._emit(EventKind.STOP, note=str(reason))
        return stop

    # --- running

    def run(self, instructions: int | None = None) -> Stop:
        """Run until the guest ends, a stop is requested, or that many more instructions have retired."""
        goal = NEVER if instructions is None else self.machine.processor.clock + instructions
        self.machine.processor.cells[c.POLLED_PORT] = 0  # the board may have been put back meanwhile
        collecting = gc.isenabled()
        gc.disable()  # nothing here makes cycles, and a collection in each hook call is a tenth of a boot
        try:
            return self._run(goal)
        finally:
            if collecting:
                gc.enable()

    def _run(self, goal: int) -> Stop:
        machine = self.machine
        while True:
            if machine.halted:
                waited = self._halt()
                if waited is not None:
                    return waited
            self._service()
            ended = self._ended(goal)
            if ended is not None:
                return ended
            if machine.halted:
                continue
            deadline, pause = self._deadlines(goal)
            stop = self._handle(self.engine.run(deadline, pause))
            if stop is not None:
                return stop

    def _service(self) -> None:
        """Let due devices act, and hand over an interrupt that the guest can take now."""
        machine = self.machine
        processor, board = machine.processor, machine.board
        machine.pace.arrive(processor.clock != self._delivered_at)
        at = board.deadline()
        if at is not None and machine.clock.now() >= at:
            self.counts["timer"] += 1
            board.on_time(machine.clock.now())
        if machine.pin_at <= processor.clock:
            machine.update_pin()
        if machine.nmi_at <= processor.clock and not self._holds_nmi():
            machine.nmi_at = NEVER
            self._interrupt(NMI, self._delivery.nmi)
        if processor.interrupt_pin and processor.registers.can_take_interrupt:
            if board.interrupt_pending():
                self._interrupt(board.acknowledge())
            machine.update_pin()

    def _holds_nmi(self) -> bool:
        """A nonmaskable interrupt waits for the IRET of the last one, or for the end of an STI or MOV SS shadow."""
        registers = self.machine.processor.registers
        return registers.nmi_masked or bool(registers.hflags & INHIBIT)

    def _interrupt(self, vector: int, deliver: Callable[[], bool] | None = None) -> None:
        self.counts["interrupt"] += 1
        self.machine.halted = False
        self._emit(EventKind.INTERRUPT, vector)
        if self.on_interrupt is not None:
            self.on_interrupt(vector)
        if not self._deliver(deliver or (lambda: self._delivery.interrupt(vector))):
            self._shut_down(f"interrupt {vector:x}h")

    def _deadlines(self, goal: int) -> tuple[int, int]:
        machine, pace = self.machine, self.machine.pace
        exact = min(goal, self._stop_at, machine.pin_at, machine.device_deadline(), pace.exact())
        if machine.nmi_at != NEVER:  # what holds it off ends with some instruction
            exact = min(exact, max(machine.nmi_at, machine.processor.clock + 1))
        return exact, min(machine.processor.clock + BREATH, pace.about())

    def _handle(self, found: Exit) -> Stop | None:
        kind = found.kind
        if kind is ExitKind.EXCEPTION:
            self._exception(found)
            return self._weather(found)
        if kind is ExitKind.WINDOW:
            self.counts["interrupt window"] += 1
        elif kind is ExitKind.HALT:
            self.counts["hlt"] += 1
            self.machine.halted = True
        elif kind is ExitKind.MMIO:
            return self._mmio(found)
        elif kind is ExitKind.ROM_WRITE:
            self._rom_write(found)
        elif kind is ExitKind.NOWHERE:
            where = f"the guest jumped to {found.physical:08x}, where there is no memory"
            return self._end(StopReason.NOWHERE, where)
        elif kind is ExitKind.FALLBACK:
            self._emit(EventKind.FALLBACK, note=found.note)
        elif kind is ExitKind.UNSUPPORTED:
            return self._end(StopReason.UNSUPPORTED, found.note)
        elif kind is ExitKind.STUCK:
            return self._end(StopReason.STUCK, found.note)
        elif kind is ExitKind.FAILURE:
            return self._end(StopReason.FAILURE, f"the processor engine stopped with error {found.address}")
        return None

    def _exception(self, found: Exit) -> None:
        vector, delivery = found.vector, self._delivery
        if found.software:
            self.counts["software interrupt"] += 1
            kind, value = EventKind.SYSTEM_CALL, int(self.machine.processor.registers.general[0]) & 0xFFFFFFFF
        elif vector == PAGE_FAULT:
            self.counts["page fault"] += 1
            kind, value = EventKind.PAGE_FAULT, found.error or 0
        else:
            self.counts["exception"] += 1
            kind, value = EventKind.EXCEPTION, found.error or 0
        self._emit(kind, vector, value, found.address)
        if found.software:
            delivered = self._deliver(lambda: delivery.software(vector))
        else:
            delivered = self._deliver(lambda: delivery.exception(vector, found.error))
        if not delivered:
            name = EXCEPTION_NAMES.get(vector, f"vector {vector}")
            where = f" for {found.address:08x}" if vector == PAGE_FAULT else ""
            eip = self.machine.processor.registers.eip
            self._shut_down(f"{name}{where} at eip {eip:08x}, and no handler can be reached")

    def _weather(self, found: Exit) -> Stop | None:
        """A handler whose first instruction faults too: time stands still, nothing else would end this."""
        clock, (at, count) = self.machine.processor.clock, self._storm
        self._storm = (clock, count + 1 if clock == at else 0)
        if self._storm[1] < LONGEST_STORM:
            return None
        self._storm = (-1, 0)
        count_text = f"{LONGEST_STORM:,}".replace(",", " ")
        return self._end(StopReason.STUCK, f"{count_text} faults and not one instruction, the last: {found}")

    @property
    def delivered(self) -> list[tuple[int, int]]:
        """Linear address and size of each word that the last delivery has stored."""
        return self._delivery.stored

    def _deliver(self, deliver: Callable[[], bool]) -> bool:
        self._delivered_at = self.machine.processor.clock
        if self.on_delivery is None:
            return deliver()
        self.on_delivery(False)
        delivered = deliver()
        self.on_delivery(True)
        return delivered

    def _shut_down(self, what: str) -> None:
        self._last_fault, self._shutdown = what, True

    def _halt(self) -> Stop | None:
        """The processor waits in HLT: pass the time until a device interrupts."""
        machine = self.machine
        processor, board = machine.processor, machine.board
        if self._wanted is not None:
            self._stop_at = 0  # no instruction will come for which to wait
            return None
        if machine.nmi_at != NEVER and not self._holds_nmi():
            machine.nmi_at = min(machine.nmi_at, processor.clock)
            return None
        if not processor.registers.eflags & 0x200:
            return self._end(StopReason.HALTED, "HLT with interrupts off: the guest has switched itself off")
        start, asleep = processor.idle, machine.clock.ticks
        while not processor.interrupt_pin:
            if self._stop_at == 0:
                return None  # asked to stop, from outside the guest
            machine.update_pin()
            if board.interrupt_pending() or (machine.nmi_at != NEVER and not self._holds_nmi()):
                break
            due = board.deadline()
            if due is not None and due <= machine.clock.now():
                board.on_time(machine.clock.now())
            elif not machine.pace.wait() or processor.idle - start > LONGEST_IDLE:
                return self._end(StopReason.IDLE, "HLT, and no device will interrupt: it waits for input")
        if machine.clock.ticks != asleep:
            self._emit(EventKind.HALT, value=machine.clock.ticks - asleep)
        return None

    def _mmio(self, found: Exit) -> Stop | None:
        if found.write or not self.machine.board.steady(found.physical):  # the next is answered without exit
            self.counts["mmio"] += 1
            self._emit(EventKind.DEVICE_WRITE if found.write else EventKind.DEVICE_READ, found.physical)
        ended = emulate(self.machine, found)
        if ended is None:
            return None
        if ended.kind is ExitKind.MMIO:
            both = f"{found.physical:08x} and {ended.physical:08x}"
            return self._end(StopReason.FAILURE, f"one instruction reaches registers of two devices, {both}")
        return self._handle(ended)

    def _rom_write(self, found: Exit) -> None:
        self.counts["rom write"] += 1
        self.machine.memory.state[found.physical >> 12] |= c.FRAME_BUCKET
        note = f"{found.physical:08x} is read-only, nothing changes"
        self._emit(EventKind.ROM_WRITE, found.physical, note=note)

    # --- telling

    def _emit(
        self, kind: EventKind, number: int = 0, value: int = 0, linear: int = 0, note: str = ""
    ) -> None:
        if self.log is not None:
            self.log.append((*self.machine.processor.moment(), kind, number, value, linear, note))
        if self.on_event:
            event = Event(self.machine.point, kind, number, value, linear, note)
            for listener in self.on_event:
                listener(event)


COUNTED = (
    "port in", "port out", "mmio", "cpuid", "hlt", "interrupt window", "interrupt", "exception", "page fault",
    "software interrupt", "rom write", "timer",
)  # fmt: skip
