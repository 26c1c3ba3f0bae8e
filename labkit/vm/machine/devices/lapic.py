"""Local APIC of the one processor: priorities, local vector table, interprocessor interrupts, timer.

Source: Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller". At reset it stands as a BIOS
leaves it in virtual wire mode: enabled, LINT0 passes the 8259's INTR through as ExtINT, LINT1 is NMI. The
timer counts a bus clock of 1 GHz (as QEMU's does), so one count is one nanosecond times the divisor.
"""

from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import Moved, nothing

__all__ = ["EXTINT", "FIXED", "LAPIC_BASE", "NMI", "Lapic", "LapicState"]

LAPIC_BASE = 0xFEE00000
VERSION = 0x00050014  # version 14h, six LVT entries
# delivery modes
FIXED, LOWEST, NMI, EXTINT = 0, 1, 4, 7
# bits of LVT entries
MASKED, PERIODIC, REMOTE_IRR, LEVEL = 1 << 16, 1 << 17, 1 << 14, 1 << 15
TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR = range(6)
#                timer    thermal  perf.    LINT0    LINT1    error       (writable bits)
LVT_WRITABLE = (0x310FF, 0x107FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF)
LVT_OFFSET = 0x320
SEND_ILLEGAL, RECEIVE_ILLEGAL, ILLEGAL_REGISTER = 0x20, 0x40, 0x80
STEADY = frozenset((0x20, 0x30, 0x80, 0xD0, 0xE0, 0xF0, 0x300, 0x310, 0x320, 0x380, 0x3E0))
ENABLED = 0x100  # SVR
HARDWARE_ENABLED, BOOT_PROCESSOR = 0x800, 0x100  # IA32_APIC_BASE


class LapicState(NamedTuple):
    """Registers; ISR, TMR and IRR as 256-bit numbers; the timer as the time when its count was written."""

    base: int
    identifier: int
    task_priority: int
    logical: int
    format: int
    spurious: int
    isr: int
    tmr: int
    irr: int
    errors: int
    errors_new: int
    command: int
    command_high: int
    lvt: tuple[int, ...]
    initial: int
    divide: int
    started: int
    due: int | None
    lint0: bool
    level: bool


class Lapic:
    """The local APIC.

    `output(level)` is the processor's interrupt request, called when it changes; `end(vector)` tells the I/O
    APIC of the end of a level-triggered interrupt; `nmi()` requests a nonmaskable interrupt.
    """

    mmio = range(LAPIC_BASE, LAPIC_BASE + 0x1000)

    def __init__(
        self,
        clock: Clock,
        output: Callable[[bool], None],
        end: Callable[[int], None],
        moved: Moved,
        *,
        nmi: Callable[[], None] = nothing,
    ) -> None:
        self._clock = clock
        self._output = output
        self._end = end
        self._moved = moved
        self._nmi = nmi
        self._base = LAPIC_BASE | HARDWARE_ENABLED | BOOT_PROCESSOR
        self._id = self._tpr = self._ldr = 0
        self._dfr = 0xFFFFFFFF
        self._svr = 0x1FF
        self._isr = self._tmr = self._irr = 0
        self._errors = self._errors_new = 0
        self._icr = self._icr_high = 0
        self._lvt = [MASKED, MASKED, MASKED, EXTINT << 8, NMI << 8, MASKED]
        self._initial = self._divide = self._started = 0
        self._due: int | None = None
        self._lint0 = False
        self.level = False

    # --- what the processor and the wires see -----------------------------------------------------------

    @property
    def base(self) -> int:
        """IA32_APIC_BASE (MSR 1Bh): bit 11 enables the chip; the address is fixed on this board."""
        return self._base

    @base.setter
    def base(self, value: int) -> None:
        self._base = LAPIC_BASE | value & HARDWARE_ENABLED | BOOT_PROCESSOR
        self._update()

    def set_lint0(self, level: bool) -> None:
        """Drive LINT0, which is the INTR output of the 8259 pair."""
        before, self._lint0 = self._lint0, level
        entry = self._lvt[LINT0]
        mode = entry >> 8 & 7
        if mode == FIXED:
            if level and not entry & MASKED and (not before or entry & LEVEL):
                self._lint0_fixed()
        elif mode == NMI and level and not before and not entry & MASKED:
            self._nmi()
        self._update()

    def _lint0_fixed(self) -> None:
        entry = self._lvt[LINT0]
        if not entry & LEVEL:
            self._accept(entry & 0xFF, level=False)
        elif not entry & REMOTE_IRR:
            self._lvt[LINT0] |= REMOTE_IRR
            self._accept(entry & 0xFF, level=True)

    def _external(self) -> bool:
        """Whether the 8259's request reaches the processor."""
        if not self._lint0:
            return False
        if not self._base & HARDWARE_ENABLED:
            return True
        entry = self._lvt[LINT0]
        return not entry & MASKED and entry >> 8 & 7 == EXTINT

    def priority(self) -> int:
        """PPR."""
        serving = self._isr.bit_length() - 1
        if serving < 0 or self._tpr >> 4 >= serving >> 4:
            return self._tpr
        return serving & 0xF0

    def pending(self) -> int:
        """The vector of the chip's own that the processor would take, -1 if none."""
        if not self._irr or not self._svr & ENABLED or not self._base & HARDWARE_ENABLED:
            return -1
        vector = self._irr.bit_length() - 1
        return vector if vector >> 4 > self.priority() >> 4 else -1

    def _update(self) -> None:
        level = self.pending() >= 0 or self._external()
        if level != self.level:
            self.level = level
            self._output(level)

    def acknowledge(self) -> int | None:
        """The processor takes an interrupt: its vector, or None if it is the 8259 that must answer.

        With nothing left to take the answer is the spurious vector.
        """
        vector = self.pending()
        if vector >= 0:
            self._irr &= ~(1 << vector)
            self._isr |= 1 << vector
            self._update()
            return vector
        if self._external() or not self._base & HARDWARE_ENABLED:
            return None
        return self._svr & 0xFF

    def receive(self, destination: int, logical: bool, mode: int, vector: int, level: bool) -> bool:
        """A message from the I/O APIC or another processor; False if it is not for this one or not wanted."""
        if not self._base & HARDWARE_ENABLED or not self._addressed(destination, logical):
            return False
        if mode in (FIXED, LOWEST):
            if not self._svr & ENABLED:
                return False
            self._accept(vector, level)
            self._update()
        elif mode == NMI:
            self._nmi()
        else:
            return False
        return True

    def _addressed(self, destination: int, logical: bool) -> bool:
        if not logical:
            return destination in (self._id, 0xFF)
        mine = self._ldr
        if self._dfr >> 28 == 0xF:
            return bool(mine & destination)
        return destination == 0xFF or (destination >> 4 == mine >> 4 and bool(destination & mine & 0xF))

    def _accept(self, vector: int, level: bool) -> None:
        if vector < 16:
            self._error(RECEIVE_ILLEGAL)
            return
        bit = 1 << vector
        self._irr |= bit
        self._tmr = self._tmr | bit if level else self._tmr & ~bit

    def _error(self, bit: int) -> None:
        self._errors_new |= bit
        entry = self._lvt[ERROR]
        if not entry & MASKED and entry & 0xFF >= 16:
            self._accept(entry & 0xFF, level=False)

    @staticmethod
    def steady(offset: int) -> bool:
        """Does what is read here change by nothing but stores to the chip?"""
        return offset & 0xFF0 in STEADY and offset & 15 < 12

    # --- registers --------------------------------------------------------------------------------------

    def read_mmio(self, offset: int, size: int) -> int:
        """A load; only the low doubleword of each 16 bytes holds anything."""
        place = offset & 15
        if place > 3:
            return 0
        return self._register(offset & 0xFF0) >> 8 * place & (1 << 8 * size) - 1

    def _register(self, offset: int) -> int:
        if 0x100 <= offset < 0x280:
            bits = (self._isr, self._tmr, self._irr)[offset - 0x100 >> 7]
            return bits >> ((offset & 0x70) << 1) & 0xFFFFFFFF
        if LVT_OFFSET <= offset <= 0x370:
            return self._lvt[offset - LVT_OFFSET >> 4]
        if offset == 0x390:
            return self._current()
        simple = {
            0x20: self._id << 24, 0x30: VERSION, 0x80: self._tpr, 0x90: 0, 0xA0: self.priority(),
            0xD0: self._ldr << 24, 0xE0: self._dfr, 0xF0: self._svr, 0x280: self._errors,
            0x300: self._icr, 0x310: self._icr_high, 0x380: self._initial, 0x3E0: self._divide,
        }  # fmt: skip
        if offset not in simple:
            if offset not in (0xB0, 0xC0):
                self._error(ILLEGAL_REGISTER)
                self._update()
            return 0
        return simple[offset]

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        """A store; only doublewords at 16-byte boundaries do anything."""
        if offset & 15 or size != 4:
            return
        value &= 0xFFFFFFFF
        if offset == 0xB0:
            self._end_of_interrupt()
        elif offset == 0x300:
            self._icr = value & 0x000CCFFF
            self._send()
        elif offset in (0x320, 0x380, 0x3E0):
            self._write_timer(offset, value)
        elif LVT_OFFSET < offset <= 0x370:
            self._write_lvt(offset - LVT_OFFSET >> 4, value)
        else:
            self._write_simple(offset, value)
        self._update()

    def _write_simple(self, offset: int, value: int) -> None:
        if offset == 0x20:
            self._id = value >> 24
        elif offset == 0x80:
            self._tpr = value & 0xFF
        elif offset == 0xD0:
            self._ldr = value >> 24
        elif offset == 0xE0:
            self._dfr = value | 0x0FFFFFFF
        elif offset == 0xF0:
            self._svr = value & 0x3FF
            if not value & ENABLED:
                self._fire_if_due()
                self._lvt = [entry | MASKED for entry in self._lvt]
                self._plan()
        elif offset == 0x280:
            self._errors, self._errors_new = self._errors_new, 0
        elif offset == 0x310:
            self._icr_high = value & 0xFF000000
        elif offset not in (0x30, 0x90, 0xA0, 0xC0, 0x390) and not 0x100 <= offset < 0x280:
            self._error(ILLEGAL_REGISTER)

    def _write_lvt(self, number: int, value: int) -> None:
        #   16    15       14          13        12               10 9 8  7-0
        #   mask  trigger  remote IRR  polarity  delivery status  mode    vector
        entry = value & LVT_WRITABLE[number] | self._lvt[number] & REMOTE_IRR
        if not self._svr & ENABLED:
            entry |= MASKED
        self._lvt[number] = entry
        if number == LINT0:
            if not entry & LEVEL or entry >> 8 & 7 != FIXED:
                self._lvt[LINT0] &= ~REMOTE_IRR
            elif self._lint0 and not entry & MASKED:
                self._lint0_fixed()

    def _end_of_interrupt(self) -> None:
        vector = self._isr.bit_length() - 1
        if vector < 0:
            return
        self._isr &= ~(1 << vector)
        if not self._tmr >> vector & 1:
            return
        entry = self._lvt[LINT0]
        if entry & REMOTE_IRR and entry & 0xFF == vector:
            self._lvt[LINT0] &= ~REMOTE_IRR
            if self._lint0 and not entry & MASKED:
                self._lint0_fixed()
        self._end(vector)

    def _send(self) -> None:
        #   19 18      15       14     12      11           10 9 8  7-0
        #   shorthand  trigger  level  status  destination  mode    vector
        command = self._icr
        shorthand, mode, vector = command >> 18 & 3, command >> 8 & 7, command & 0xFF
        if mode in (FIXED, LOWEST) and vector < 16:
            self._error(SEND_ILLEGAL)
        elif shorthand == 0:
            self.receive(self._icr_high >> 24, bool(command & 0x800), mode, vector, level=False)
        elif shorthand != 3:  # 1: self, 2: all, 3: all but self, and there is nobody else
            self.receive(0xFF, False, mode, vector, level=False)

    # --- timer ------------------------------------------------------------------------------------------

    def _shift(self) -> int:
        """Binary logarithm of the divisor: codes 000 to 110 are 2 to 128, 111 is 1."""
        code = self._divide & 3 | self._divide >> 1 & 4
        return code + 1 & 7

    def _current(self) -> int:
        if not self._initial:
            return 0
        passed = self._clock.now() - self._started >> self._shift()
        if self._lvt[TIMER] & PERIODIC:
            return self._initial - passed % self._initial
        return max(0, self._initial - passed)

    def _write_timer(self, offset: int, value: int) -> None:
        self._fire_if_due()
        if offset == 0x380:
            self._initial, self._started = value, self._clock.now()
        elif offset == 0x3E0:
            current = self._current()
            self._divide = value & 0x0B
            self._started = self._clock.now() - (self._initial - current << self._shift())
        else:
            self._lvt[TIMER] = value & LVT_WRITABLE[TIMER] | (0 if self._svr & ENABLED else MASKED)
        self._plan()

    def _fire_if_due(self) -> None:
        if self._due is not None and self._clock.now() >= self._due:
            self._accept(self._lvt[TIMER] & 0xFF, level=False)
            self._due = None
            self._moved()

    def _plan(self) -> None:
        due: int | None = None
        entry = self._lvt[TIMER]
        if self._initial and not entry & MASKED:
            period = self._initial << self._shift()
            passed = self._clock.now() - self._started
            if entry & PERIODIC:
                due = self._started + (passed // period + 1) * period
            elif passed < period:
                due = self._started + period
        if due != self._due:
            self._due = due
            self._moved()

    def deadline(self) -> int | None:
        """When the timer's count runs out, if anybody would notice."""
        return self._due

    def on_time(self, now: int) -> None:
        """The count has run out."""
        self._fire_if_due()
        self._plan()
        self._update()

    def save(self) -> LapicState:
        """All registers."""
        return LapicState(
            self._base, self._id, self._tpr, self._ldr, self._dfr, self._svr, self._isr, self._tmr,
            self._irr, self._errors, self._errors_new, self._icr, self._icr_high, tuple(self._lvt),
            self._initial, self._divide, self._started, self._due, self._lint0, self.level,
        )  # fmt: skip

    def load(self, state: LapicState) -> None:
        """Inverse of `save`."""
        (
            self._base, self._id, self._tpr, self._ldr, self._dfr, self._svr, self._isr, self._tmr,
            self._irr, self._errors, self._errors_new, self._icr, self._icr_high, lvt,
            self._initial, self._divide, self._started, self._due, self._lint0, self.level,
        ) = state  # fmt: skip
        self._lvt = list(lvt)
