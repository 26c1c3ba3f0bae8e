"""8254: the closed formulas against a counter that really counts, clock by clock, as the data sheet says."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.vm.machine.devices.pit import Counter, CounterState, Pit, first_ns, tick_of


class Reference:
    """One 8254 counter written from the data sheet's prose: CR, CE, one call of `clk` per clock pulse."""

    def __init__(self) -> None:
        self.mode = 3
        self.cr = self.ce = 0
        self.out = self.gate = True
        self.loading = self.known = self.armed = self.written = False

    def control(self, mode: int) -> None:
        self.mode = mode
        self.out = mode != 0
        self.loading = self.known = self.armed = self.written = False

    def count(self, value: int) -> None:
        self.cr = value
        first, self.written = not self.written, True
        if self.mode in (0, 4) or (self.mode in (2, 3) and (first or not self.gate)):
            self.loading = True
            if self.mode == 0:
                self.out = False
                self.armed = False

    def set_gate(self, gate: bool) -> None:
        rising = gate and not self.gate
        self.gate = gate
        if self.mode in (2, 3) and not gate:
            self.out = True
        if rising and self.written and self.mode in (1, 2, 3, 5):
            self.loading = True

    def clk(self) -> None:
        if self.loading:
            self.loading = False
            self.ce = self.cr & ~1 if self.mode == 3 else self.cr
            self.known = self.armed = True
            if self.mode in (1, 4, 5):
                self.out = self.mode != 1
            return
        if not self.known:
            return
        getattr(self, f"_mode{self.mode}")()

    def _down(self, step: int = 1) -> None:
        self.ce = (self.ce - step) % 0x10000

    def _mode0(self) -> None:
        if self.gate:
            self._down()
            if self.ce == 0:
                self.out = True

    def _mode1(self) -> None:
        self._down()
        if self.ce == 0:
            self.out = True

    def _mode2(self) -> None:
        if not self.gate:
            return
        self._down()
        if self.ce == 0:
            self.ce, self.out = self.cr, True
        elif self.ce == 1:
            self.out = False

    def _mode3(self) -> None:
        if not self.gate:
            return
        odd_high = self.out and self.odd
        if (self.ce == 0) if odd_high else (self.ce == 2):
            self.out = not self.out
            self.ce = self.cr & ~1
            self.odd = bool(self.cr & 1)
        else:
            self._down(2)

    odd = False

    def _mode4(self) -> None:
        self.out = True
        if self.gate:
            self._down()
            if self.ce == 0 and self.armed:
                self.out = self.armed = False

    def _mode5(self) -> None:
        self.out = True
        self._down()
        if self.ce == 0 and self.armed:
            self.out = self.armed = False


STEP = st.tuples(st.just("clk"), st.integers(1, 50)) | st.tuples(st.just("count"), st.integers(2, 40))
GATED = STEP | st.tuples(st.just("gate"), st.booleans())


def _run(mode: int, steps: list[tuple[str, int]]) -> None:
    counter, reference, tick = Counter(CounterState()), Reference(), 0
    counter.control(0x30 | mode << 1)
    reference.control(mode)
    change: int | None = None
    for kind, value in (("count", 9), *steps):
        if kind == "count":
            counter.write(tick, value)
            counter.write(tick, 0)
            if reference.mode == 3 and not reference.written:
                reference.odd = bool(value & 1)
            reference.count(value)
        elif kind == "gate":
            counter.set_gate(tick, bool(value))
            reference.set_gate(bool(value))
        for _ in range(value if kind == "clk" else 1):
            before, change = counter.output(tick), counter.next_change(tick)
            tick += 1
            if reference.loading and reference.mode == 3:
                reference.odd = bool(reference.cr & 1)
            reference.clk()
            assert counter.output(tick) == reference.out
            if counter.output(tick) != before:
                assert change == tick, "next_change missed it"
            if reference.known and (reference.gate or mode in (0, 4)):
                assert counter.value(tick) == reference.ce


@settings(max_examples=300)
@given(st.sampled_from((0, 2, 3, 4)), st.lists(STEP, max_size=12))
def test_counts_as_the_data_sheet_says(mode, steps) -> None:
    _run(mode, steps)


@settings(max_examples=300)
@given(st.sampled_from((0, 2, 3)), st.lists(GATED, max_size=12))
def test_the_gate_stops_and_restarts_it(mode, steps) -> None:
    _run(mode, steps)


@settings(max_examples=300)
@given(
    st.sampled_from((1, 5)),
    st.lists(st.tuples(st.integers(2, 40), st.integers(1, 60)), max_size=6),
)
def test_a_trigger_starts_the_one_shot_and_the_strobe(mode, rounds) -> None:
    steps = [
        step for count, wait in rounds for step in (("gate", 0), ("count", count), ("gate", 1), ("clk", wait))
    ]
    counter, reference, tick = Counter(CounterState()), Reference(), 0
    counter.control(0x30 | mode << 1)
    reference.control(mode)
    for kind, value in steps:
        if kind == "count":
            counter.write(tick, value)
            counter.write(tick, 0)
            reference.count(value)
        elif kind == "gate":
            counter.set_gate(tick, bool(value))
            reference.set_gate(bool(value))
        else:
            for _ in range(value):
                tick += 1
                reference.clk()
                assert (counter.output(tick), counter.value(tick)) == (reference.out, reference.ce)


@given(st.integers(0, 10**15))
def test_the_first_nanosecond_of_a_tick(tick) -> None:
    assert tick_of(first_ns(tick)) == tick
    assert first_ns(tick) == 0 or tick_of(first_ns(tick) - 1) == tick - 1


class Bench:
    """A PIT with a recording interrupt wire."""

    def __init__(self) -> None:
        self.time = 0
        self.levels: list[tuple[int, bool]] = []
        self.pit = Pit(self, self, lambda: None)

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        if not self.levels or self.levels[-1][1] != level:
            self.levels.append((self.time, level))

    def out(self, *writes: tuple[int, int]) -> None:
        for port, value in writes:
            self.pit.write(port, 1, value)

    def run_to(self, end: int) -> None:
        while (due := self.pit.deadline()) is not None and due <= end:
            self.time = due
            self.pit.on_time(due)
        self.time = end


def test_irq0_rises_1000_times_a_second_in_mode_2() -> None:
    bench = Bench()
    bench.out((0x43, 0x34), (0x40, 1193 & 255), (0x40, 1193 >> 8))
    bench.run_to(1_000_000_000)
    rises = [when for when, level in bench.levels if level]
    assert len(rises) == 1193182 // 1193 + 1  # and one from the control word, which sets OUT high
    assert max(b - a for a, b in pairwise(rises[1:])) <= 1193 * 1_000_000_000 // 1193182 + 1


def test_a_late_call_keeps_the_edge() -> None:
    bench = Bench()
    bench.out((0x43, 0x34), (0x40, 100), (0x40, 0))
    bench.levels.clear()
    bench.time = 10_000_000
    bench.pit.on_time(bench.time)
    assert [level for _, level in bench.levels] == [False, True]


def test_latch_read_back_and_status() -> None:
    bench = Bench()
    bench.out((0x43, 0xB4), (0x42, 0x34), (0x42, 0x12))
    bench.time = 1000
    bench.out((0x43, 0x80))
    bench.time = 900_000
    latched = bench.pit.read(0x42, 1) | bench.pit.read(0x42, 1) << 8
    assert latched == 0x1234, "the gate of channel 2 is closed"
    bench.out((0x43, 0xE8))
    assert bench.pit.read(0x42, 1) == 0x80 | 0x34
    bench.out((0x43, 0x36))
    bench.out((0x43, 0xE2))
    assert bench.pit.read(0x40, 1) == 0x80 | 0x40 | 0x36, "no count yet: the null count bit"


def test_bcd() -> None:
    bench = Bench()
    bench.out((0x43, 0x31), (0x40, 0x00), (0x40, 0x10))  # mode 0, 1000 in BCD
    bench.time = first_ns(2)
    assert bench.pit.read(0x40, 1) | bench.pit.read(0x40, 1) << 8 == 0x0999
    bench.run_to(first_ns(1000))
    assert bench.levels[-1][1] is False
    bench.run_to(first_ns(1001))
    assert bench.levels[-1] == (first_ns(1001), True)


def test_calibration_loop_of_port_61() -> None:
    """What kernels do to measure their time stamp counter: mode 0 on channel 2, gate up, wait for OUT."""
    bench = Bench()
    bench.pit.set_gate2(True)
    bench.out((0x43, 0xB0), (0x42, 0x9B), (0x42, 0x2E))
    assert not bench.pit.output2(first_ns(0x2E9B))
    assert bench.pit.output2(first_ns(0x2E9B + 1))
