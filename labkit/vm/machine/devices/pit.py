"""8254 programmable interval timer: three 16-bit counters at 1193182 Hz, exact in guest time.

Nothing counts: a counter remembers the clock tick at which its count was loaded, and count and OUT at any
other tick follow from the mode. Source: Intel 8254 data sheet (231164). Channel 0 drives IRQ0, the gate of
channel 2 is bit 0 of port 61h.
"""

from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import IrqLine, Moved

__all__ = ["PIT_HZ", "Counter", "CounterState", "Pit", "PitState", "first_ns", "tick_of"]

PIT_HZ = 1_193_182
SECOND = 1_000_000_000
LOW_BYTE, HIGH_BYTE, BOTH_BYTES = 1, 2, 3
PERIODIC = (2, 3)
TRIGGERED = (1, 5)


def tick_of(now: int) -> int:
    """Number of clock pulses since guest time 0 ns."""
    return now * PIT_HZ // SECOND


def first_ns(tick: int) -> int:
    """The first guest nanosecond at which `tick_of` gives `tick`."""
    return -(-tick * SECOND // PIT_HZ)


class CounterState(NamedTuple):
    """Registers of one counter.

    `start`: tick at which `reload` was loaded (None: none yet, or a trigger is awaited). `held`: clocks
    counted when the gate stopped the count. `following`: a count that takes over at tick `boundary`, the end
    of the present (half) cycle. `low`: low byte written, high byte awaited.
    """

    mode: int = 3
    access: int = BOTH_BYTES
    bcd: bool = False
    reload: int = 0x10000
    start: int | None = 0
    held: int | None = None
    following: int | None = None
    boundary: int = 0
    gate: bool = True
    low: int | None = None
    high_next: bool = False
    latched: int | None = None
    status: int | None = None
    null: bool = False


class Counter:
    """One counter; every method takes the present tick."""

    def __init__(self, state: CounterState) -> None:
        self.load(state)

    def save(self) -> CounterState:
        """All registers."""
        return CounterState(
            self.mode, self.access, self.bcd, self.count, self.start, self.held, self.following,
            self.boundary, self.gate, self.low, self.high_next, self.latched, self.status, self.null,
        )  # fmt: skip

    def load(self, state: CounterState) -> None:
        """Inverse of `save`."""
        (
            self.mode, self.access, self.bcd, self.count, self.start, self.held, self.following,
            self.boundary, self.gate, self.low, self.high_next, self.latched, self.status, self.null,
        ) = state  # fmt: skip

    def control(self, value: int) -> None:
        """A control word for this counter (not a latch command)."""
        #   7 6      5 4     3 2 1  0
        #   counter  access  mode   BCD
        mode = value >> 1 & 7
        self.mode = mode - 4 if mode > 5 else mode
        self.access = value >> 4 & 3
        self.bcd = bool(value & 1)
        self.start = self.held = self.following = self.low = self.latched = self.status = None
        self.high_next = False
        self.null = True

    def write(self, tick: int, value: int) -> None:
        """A byte of the count."""
        if self.access == BOTH_BYTES:
            if self.low is None:
                self.low = value
                if self.mode == 0:
                    self.start = self.held = None  # the first byte stops the count
                return
            raw, self.low = self.low | value << 8, None
        else:
            raw = value if self.access == LOW_BYTE else value << 8
        self._new_count(tick, self._decode(raw))

    def _decode(self, raw: int) -> int:
        if not self.bcd:
            return raw or 0x10000
        return (raw >> 12) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15) or 10_000

    def _new_count(self, tick: int, count: int) -> None:
        self.settle(tick)
        self.null = True
        if self.mode in TRIGGERED:
            # in use from the next trigger on; a one-shot under way keeps its count
            if self.start is None:
                self.count = count
            else:
                self.following = count
        elif self.mode in PERIODIC and self.gate and self.start is not None and tick >= self.start:
            self.following, self.boundary = count, self._cycle_end(tick - self.start) + tick
        else:
            self.count, self.following = count, None
            self.start = tick + 1  # the next clock pulse loads the counting element
            self.held = None if self.gate else 0

    def _cycle_end(self, elapsed: int) -> int:
        """Clocks until the present cycle (mode 2) or half cycle (mode 3) ends."""
        place, half = elapsed % self.count, (self.count + 1) // 2
        return (half if self.mode == 3 and place < half else self.count) - place

    def settle(self, tick: int) -> None:
        """Let a count whose time has come take over."""
        if self.start is not None and self.null and self.following is None and tick >= self.start:
            self.null = self.mode in TRIGGERED and self.null
        if self.following is None or self.mode in TRIGGERED or self.start is None or tick < self.boundary:
            return
        was_high = self.mode == 3 and self._high(self.boundary - 1 - self.start)
        self.count, self.following, self.null = self.following, None, False
        # after a high half cycle the low half of the new count follows
        self.start = self.boundary - ((self.count + 1) // 2 if was_high else 0)

    def set_gate(self, tick: int, gate: bool) -> None:
        """Drive the GATE input."""
        if gate == self.gate:
            return
        self.settle(tick)
        self.gate = gate
        if self.mode in TRIGGERED:
            if gate:
                if self.following is not None:
                    self.count, self.following = self.following, None
                self.start, self.null = tick + 1, False
        elif self.start is None:
            return
        elif self.mode in PERIODIC:
            if gate:
                if self.following is not None:
                    self.count, self.following = self.following, None
                self.start, self.held = tick + 1, None
            else:
                self.held = max(0, tick - self.start)
        elif gate:
            self.start, self.held = max(self.start, tick - (self.held or 0)), None
        else:
            self.held = max(0, tick - self.start)

    def _elapsed(self, tick: int) -> int:
        """Clocks counted; -1 while the count waits for the pulse that loads it."""
        if self.held is not None:
            return self.held
        return tick - self.start if self.start is not None else -1

    def value(self, tick: int) -> int:
        """The counting element, as it is read (BCD digits in BCD mode)."""
        self.settle(tick)
        elapsed, count = self._elapsed(tick), self.count
        if elapsed < 0:
            value = count
        elif self.mode == 2:
            value = count - elapsed % count
        elif self.mode == 3:
            place, half = elapsed % count, (count + 1) // 2
            value = (count & ~1) - 2 * (place if place < half else place - half)
        else:
            value = count - elapsed
        if not self.bcd:
            return value & 0xFFFF
        value %= 10_000
        return value // 1000 << 12 | value // 100 % 10 << 8 | value // 10 % 10 << 4 | value % 10

    def _high(self, elapsed: int) -> bool:
        count = self.count
        if self.mode == 0:
            return elapsed >= count
        if self.mode == 1:
            return elapsed >= count
        if self.mode == 2:
            return elapsed % count != count - 1
        if self.mode == 3:
            return elapsed % count < (count + 1) // 2
        return elapsed != count

    def output(self, tick: int) -> bool:
        """The OUT pin."""
        self.settle(tick)
        if self.start is None:
            return self.mode != 0
        if self.mode in PERIODIC and not self.gate:
            return True
        elapsed = self._elapsed(tick)
        if elapsed < 0:
            return self.mode != 0
        return self._high(elapsed)

    def next_change(self, tick: int) -> int | None:
        """The first tick after `tick` at which OUT may change; None if it stays without outside help."""
        self.settle(tick)
        if self.start is None or self.held is not None:
            return None
        count, elapsed = self.count, tick - self.start
        if elapsed < 0:
            if self.mode == 1:
                return self.start
            tick, elapsed = self.start, 0
        if self.mode in (0, 1):
            return self.start + count if elapsed < count else None
        if self.mode in (4, 5):
            if elapsed < count:
                return self.start + count
            return self.start + count + 1 if elapsed == count else None
        if self.following is not None:
            return self.boundary if self.mode == 3 or elapsed % count == count - 1 else self.boundary - 1
        if count == 1:
            return None
        first = count - 1 if self.mode == 2 else (count + 1) // 2
        place = elapsed % count
        return tick + (first if place < first else count) - place

    def latch_count(self, tick: int) -> None:
        """Counter latch command; a count latched before stays until it has been read."""
        if self.latched is None:
            self.latched = self.value(tick)

    def latch_status(self, tick: int) -> None:
        """Read-back command, status."""
        #   7    6           5 4     3 2 1  0
        #   OUT  null count  access  mode   BCD
        if self.status is None:
            out = self.output(tick)
            self.status = out << 7 | self.null << 6 | self.access << 4 | self.mode << 1 | self.bcd

    def read(self, tick: int) -> int:
        """IN from the counter's port: latched status, latched count or the living count, in this order."""
        if self.status is not None:
            status, self.status = self.status, None
            return status
        value = self.latched if self.latched is not None else self.value(tick)
        if self.access == BOTH_BYTES:
            self.high_next = not self.high_next
            if self.high_next:
                return value & 0xFF
        self.latched = None
        return value & 0xFF if self.access == LOW_BYTE else value >> 8


class PitState(NamedTuple):
    """The counters, the level of IRQ0, and the tick of its next change."""

    counters: tuple[CounterState, CounterState, CounterState]
    level: bool
    change: int | None


class Pit:
    """The chip as a BIOS leaves it: counter 0 at 18.2 Hz in mode 3, counter 1 refreshing memory."""

    name = "pit"
    ports = (range(0x40, 0x44),)
    wide: tuple[range, ...] = ()

    def __init__(self, clock: Clock, irq: IrqLine, moved: Moved) -> None:
        self._clock = clock
        self._irq = irq
        self._moved = moved
        self.counters = (
            Counter(CounterState()),
            Counter(CounterState(mode=2, access=LOW_BYTE, reload=18)),
            Counter(CounterState(gate=False, held=0)),
        )
        self._level = True
        self._change: int | None = self.counters[0].next_change(0)
        self._deadline = first_ns(self._change) if self._change is not None else None

    def read(self, port: int, size: int) -> int:
        """IN; the control port 43h cannot be read."""
        if port == 0x43:
            return 0xFF
        return self.counters[port & 3].read(tick_of(self._clock.now()))

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        tick = tick_of(self._clock.now())
        if port == 0x43:
            self._control(tick, value)
        else:
            self.counters[port & 3].write(tick, value)
            if port == 0x40:
                self._drive(tick)

    def _control(self, tick: int, value: int) -> None:
        select = value >> 6
        if select == 3:
            #   7 6  5       4        3 2 1         0
            #   1 1  /count  /status  counters 2-0  0
            for number, counter in enumerate(self.counters):
                if value & 2 << number:
                    if not value & 0x20:
                        counter.latch_count(tick)
                    if not value & 0x10:
                        counter.latch_status(tick)
        elif not value & 0x30:
            self.counters[select].latch_count(tick)
        else:
            self.counters[select].control(value)
            if select == 0:
                self._drive(tick)

    def set_gate2(self, gate: bool) -> None:
        """Port 61h bit 0."""
        self.counters[2].set_gate(tick_of(self._clock.now()), gate)

    def output2(self, now: int) -> bool:
        """OUT of counter 2, as port 61h bit 5 shows it."""
        return self.counters[2].output(tick_of(now))

    def next_change2(self, now: int) -> int | None:
        """Guest nanoseconds at which that may change; None if it stays."""
        change = self.counters[2].next_change(tick_of(now))
        return None if change is None else first_ns(change)

    def _drive(self, tick: int) -> None:
        """Bring IRQ0 to the level of OUT 0 and plan its next change."""
        counter = self.counters[0]
        level = counter.output(tick)
        if self._change is not None and tick >= self._change and level == self._level:
            self._irq.set(not level)  # an even number of changes has passed: the edge must not be lost
        self._level = level
        self._irq.set(level)
        change = counter.next_change(tick)
        if change != self._change:
            self._change = change
            self._deadline = first_ns(change) if change is not None else None
            self._moved()

    def deadline(self) -> int | None:
        """When OUT 0 changes next."""
        return self._deadline

    def on_time(self, now: int) -> None:
        """Drive IRQ0."""
        self._drive(tick_of(now))

    def save(self) -> PitState:
        """All counters."""
        first, second, third = self.counters
        return PitState((first.save(), second.save(), third.save()), self._level, self._change)

    def load(self, state: PitState) -> None:
        """Inverse of `save`."""
        for counter, saved in zip(self.counters, state.counters, strict=True):
            counter.load(saved)
        self._level, self._change = state.level, state.change
        self._deadline = first_ns(self._change) if self._change is not None else None
