"""MC146818 real-time clock with 128 bytes of CMOS memory (index at port 70h, data at port 71h).

The time registers are brought up to date when somebody looks; flags that a passing second or period would
have set are derived the same way, so the chip has deadlines only for interrupts that are enabled. Source:
Motorola MC146818 data sheet; CMOS bytes as in the IBM AT technical reference.
"""

from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.calendar import advance_calendar, days_in_month
from labkit.vm.machine.devices.device import IrqLine, Moved

__all__ = ["START_TIME", "Rtc", "RtcState"]

START_TIME = 1_704_067_200
"""2024-01-01 00:00:00 UTC in Unix seconds: what the clock shows at guest time 0 unless told otherwise."""

SECOND_NS = 1_000_000_000
UPDATE_NS = 2_228_000  # UIP is set 244 us before the update, which takes 1984 us
SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR = range(10)
A, B, C, D = 10, 11, 12, 13
CENTURY = 0x32
TIME = frozenset((SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY))
UIP = 0x80
SET, PIE, AIE, UIE, BINARY, HOURS24 = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10
DAY_S = 86_400


class RtcState(NamedTuple):
    """CMOS bytes as far as they are settled, the selected index, and what was settled when."""

    cmos: bytes
    selected: int
    origin: int
    settled: int
    periods: int
    deadline: int | None


def _memory_bytes(memory: int) -> dict[int, int]:
    """CMOS bytes that tell `memory` bytes of RAM: base, extended (KB), and above 16 MB (64 KB units)."""
    extended = min(max(memory - (1 << 20), 0) >> 10, 0xFFFF)
    above = min(max(memory - (16 << 20), 0) >> 16, 0xFFFF)
    base = min(memory >> 10, 640)
    return {
        0x15: base & 0xFF, 0x16: base >> 8, 0x17: extended & 0xFF, 0x18: extended >> 8,
        0x30: extended & 0xFF, 0x31: extended >> 8, 0x34: above & 0xFF, 0x35: above >> 8,
    }  # fmt: skip


class Rtc:
    """The chip; `start_time` in Unix seconds (UTC), `memory` in bytes, `disks` (0-2) of AT type."""

    name = "rtc"
    ports = (range(0x70, 0x72),)
    wide: tuple[range, ...] = ()

    def __init__(
        self, clock: Clock, irq: IrqLine, moved: Moved, *, start_time: int, memory: int, disks: int = 0
    ) -> None:
        self._clock = clock
        self._irq = irq
        self._moved = moved
        self._cmos = bytearray(128)
        self._index = 0
        self._origin = clock.now()
        self._settled = 0
        self._periods = 0
        self._deadline: int | None = None
        self._cmos[A], self._cmos[B], self._cmos[D] = 0x26, HOURS24, 0x80
        self._cmos[0x12] = (0xF0 if disks > 0 else 0) | (0x0F if disks > 1 else 0)
        self._cmos[0x14] = 0x26  # equipment: 80x25 colour, FPU, PS/2 pointing device socket
        for index, value in _memory_bytes(memory).items():
            self._cmos[index] = value
        check = sum(self._cmos[0x10:0x2E])
        self._cmos[0x2E], self._cmos[0x2F] = check >> 8 & 0xFF, check & 0xFF
        for index, value in ((DAY, 1), (MONTH, 1), (YEAR, 70), (CENTURY, 19), (WEEKDAY, 5)):
            self._cmos[index] = self._encode(value)
        self._advance(start_time)

    # --- registers ---------------------------------------------------------------------------------

    def read(self, port: int, size: int) -> int:
        """IN; the index port cannot be read."""
        if port == 0x70:
            return 0xFF
        index = self._index
        if index == C:
            return self._read_flags()
        if index == A:
            return self._cmos[A] | (UIP if self._updating() else 0)
        if index in TIME:
            self._settle()
        return self._cmos[index]

    def write(self, port: int, size: int, value: int) -> None:
        """OUT; bit 7 of the index is the NMI mask of the AT and no part of the chip."""
        if port == 0x70:
            self._index = value & 0x7F
            return
        index, value = self._index, value & 0xFF
        if index >= D + 1 and index != CENTURY:
            self._cmos[index] = value
        elif index not in (C, D):
            self._settle()
            if index == A:
                self._write_a(value & 0x7F)
            elif index == B:
                self._cmos[B] = value & ~UIE if value & SET else value
            else:
                self._cmos[index] = value
            self._plan()

    def _write_a(self, value: int) -> None:
        #   7    6 5 4           3 2 1 0
        #   UIP  divider (010:   rate of the periodic interrupt
        #        32.768 kHz)
        was, self._cmos[A] = self._running(), value
        if self._running() and not was:
            self._origin = self._clock.now() - SECOND_NS // 2  # first update half a second later (data sheet)
            self._settled = self._periods = 0
        elif value & 0x0F:
            self._periods = self._period_count()

    def _read_flags(self) -> int:
        self._settle()
        flags = self._cmos[C]
        self._cmos[C] = 0
        self._plan()
        return flags

    def _running(self) -> bool:
        return self._cmos[A] & 0x70 == 0x20

    def _updating(self) -> bool:
        if not self._running() or self._cmos[B] & SET:
            return False
        return (self._clock.now() - self._origin) % SECOND_NS >= SECOND_NS - UPDATE_NS

    # --- time --------------------------------------------------------------------------------------

    def _period(self) -> int:
        """Clocks of 32.768 kHz between periodic flags, 0 if off: 2**(rate-1), rates 1 and 2 as 8 and 9."""
        rate = self._cmos[A] & 0x0F
        if not rate or not self._running():
            return 0
        return 1 << (rate + 6 if rate < 3 else rate - 1)

    def _period_count(self) -> int:
        period = self._period()
        return (self._clock.now() - self._origin) * 32768 // (SECOND_NS * period) if period else 0

    def _settle(self) -> None:
        """Bring time registers and flags to the present."""
        if not self._running():
            return
        cmos = self._cmos
        if cmos[A] & 0x0F:
            periods = self._period_count()
            if periods != self._periods:
                self._periods = periods
                cmos[C] |= PF
        seconds = (self._clock.now() - self._origin) // SECOND_NS
        passed = seconds - self._settled
        if passed:
            self._settled = seconds
            if passed > 0 and not cmos[B] & SET:
                wait = None if cmos[C] & AF else self._alarm_wait()
                if wait is not None and wait <= passed:
                    cmos[C] |= AF
                cmos[C] |= UF
                self._advance(passed)
        if cmos[C] & cmos[B] & (PF | AF | UF):
            cmos[C] |= IRQF

    def _advance(self, seconds: int) -> None:
        year = self._value(CENTURY) * 100 + self._value(YEAR)
        month = min(max(self._value(MONTH), 1), 12)
        day = min(max(self._value(DAY), 1), days_in_month(year, month))
        total = self._second_of_day() + seconds
        days, rest = divmod(total, DAY_S)
        if days:
            year, month, day = advance_calendar(year, month, day, days)
            weekday = (self._value(WEEKDAY) - 1 + days) % 7 + 1
            for index, value in (
                (CENTURY, year // 100 % 100),
                (YEAR, year % 100),
                (MONTH, month),
                (DAY, day),
            ):
                self._cmos[index] = self._encode(value)
            self._cmos[WEEKDAY] = self._encode(weekday)
        self._cmos[SECONDS] = self._encode(rest % 60)
        self._cmos[MINUTES] = self._encode(rest // 60 % 60)
        self._cmos[HOURS] = self._encode_hour(rest // 3600)

    def _second_of_day(self) -> int:
        return (
            self._hour(self._cmos[HOURS]) % 24 * 3600
            + self._value(MINUTES) % 60 * 60
            + self._value(SECONDS) % 60
        )

    def _encode(self, value: int) -> int:
        return value if self._cmos[B] & BINARY else value // 10 << 4 | value % 10

    def _decode(self, raw: int) -> int:
        return raw if self._cmos[B] & BINARY else (raw >> 4) * 10 + (raw & 15)

    def _value(self, index: int) -> int:
        return self._decode(self._cmos[index])

    def _encode_hour(self, hour: int) -> int:
        if self._cmos[B] & HOURS24:
            return self._encode(hour)
        return self._encode((hour + 11) % 12 + 1) | (0x80 if hour >= 12 else 0)

    def _hour(self, raw: int) -> int:
        if self._cmos[B] & HOURS24:
            return self._decode(raw)
        return self._decode(raw & 0x7F) % 12 + (12 if raw & 0x80 else 0)

    def _alarm_wait(self) -> int | None:
        """Seconds (1 or more) until the alarm registers match, None if never; C0h-FFh match anything."""
        raw_hour, raw_minute, raw_second = (
            self._cmos[i] for i in (HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM)
        )
        hours = range(24) if raw_hour >= 0xC0 else (self._hour(raw_hour),)
        minutes = range(60) if raw_minute >= 0xC0 else (self._decode(raw_minute),)
        seconds = range(60) if raw_second >= 0xC0 else (self._decode(raw_second),)
        if hours[0] >= 24 or minutes[0] >= 60 or seconds[0] >= 60:
            return None
        start = self._second_of_day() + 1
        first: int | None = None
        for day in (0, DAY_S):
            for hour in hours:
                if day + hour * 3600 + 3599 < start:
                    continue
                for minute in minutes:
                    at = day + hour * 3600 + minute * 60
                    if at + 59 < start:
                        continue
                    first = next((at + second for second in seconds if at + second >= start), None)
                    if first is not None:
                        return first - start + 1
        return None

    # --- interrupts --------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Drive IRQ8 and find the next moment at which an enabled flag will be set."""
        flags, enabled = self._cmos[C], self._cmos[B]
        asserted = flags & enabled & (PF | AF | UF)
        self._cmos[C] = flags | IRQF if asserted else flags & ~IRQF
        self._irq.set(bool(asserted))
        deadline: int | None = None
        wanted = enabled & ~flags
        if self._running():
            times = []
            period = self._period()
            if wanted & PIE and period:
                times.append(-(-(self._periods + 1) * period * SECOND_NS // 32768))
            if not enabled & SET:
                if wanted & UIE:
                    times.append((self._settled + 1) * SECOND_NS)
                wait = self._alarm_wait() if wanted & AIE else None
                if wait is not None:
                    times.append((self._settled + wait) * SECOND_NS)
            deadline = self._origin + min(times) if times else None
        if deadline != self._deadline:
            self._deadline = deadline
            self._moved()

    def deadline(self) -> int | None:
        """When the next enabled interrupt falls due."""
        return self._deadline

    def on_time(self, now: int) -> None:
        """Set flags and raise IRQ8."""
        self._settle()
        self._plan()

    def save(self) -> RtcState:
        """CMOS and time base."""
        return RtcState(
            bytes(self._cmos), self._index, self._origin, self._settled, self._periods, self._deadline
        )

    def load(self, state: RtcState) -> None:
        """Inverse of `save`."""
        self._cmos[:] = state.cmos
        self._index, self._origin, self._settled, self._periods, self._deadline = state[1:]
