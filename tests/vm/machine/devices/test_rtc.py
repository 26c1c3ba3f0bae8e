"""MC146818: the calendar against Python's, interrupts against their definition."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labkit.vm.machine.devices.rtc import Rtc

SECOND = 1_000_000_000


class Bench:
    """A clock chip with its wire and guest time."""

    def __init__(self, start: int = 0, memory: int = 64 << 20) -> None:
        self.time = 0
        self.level = False
        self.rises: list[int] = []
        self.rtc = Rtc(self, self, lambda: None, start_time=start, memory=memory)

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        if level and not self.level:
            self.rises.append(self.time)
        self.level = level

    def get(self, index: int) -> int:
        self.rtc.write(0x70, 1, index)
        return self.rtc.read(0x71, 1)

    def put(self, index: int, value: int) -> None:
        self.rtc.write(0x70, 1, index)
        self.rtc.write(0x71, 1, value)

    def run_to(self, end: int) -> None:
        while (due := self.rtc.deadline()) is not None and due <= end:
            self.time = due
            self.rtc.on_time(due)
        self.time = end

    def date(self) -> tuple[int, ...]:
        century, year, month, day, hour, minute, second, weekday = (
            int(f"{self.get(index):02x}") for index in (0x32, 9, 8, 7, 4, 2, 0, 6)
        )
        return century * 100 + year, month, day, hour, minute, second, weekday


def shown(when: datetime) -> tuple[int, ...]:
    return (*when.timetuple()[:6], when.isoweekday() % 7 + 1)


@given(st.integers(0, 4_000_000_000), st.integers(0, 10**10))
@example(951_782_399, 1)  # into 29 February 2000
def test_shows_the_date(start, seconds) -> None:
    bench = Bench(start)
    bench.time = seconds * SECOND + 12345
    assert bench.date() == shown(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start + seconds))


@given(st.lists(st.integers(0, 3 * 10**9), max_size=20))
def test_looking_often_or_once_shows_the_same(steps) -> None:
    often, once = Bench(1_700_000_000), Bench(1_700_000_000)
    for step in steps:
        often.time += step
        often.date()
    once.time = often.time
    assert often.date() == once.date()


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 255), st.integers(0, 10**15)), max_size=30))
def test_any_register_contents_are_survived(writes) -> None:
    bench = Bench()
    for index, value, wait in writes:
        bench.put(index, value)
        due = bench.rtc.deadline()
        bench.time = max(bench.time + wait, due or 0)
        bench.rtc.on_time(bench.time)
        after = bench.rtc.deadline()
        assert after is None or after > bench.time
        for register in range(128):
            assert 0 <= bench.get(register) <= 255


def test_a_date_that_is_set_goes_on_from_there() -> None:
    bench = Bench()
    bench.put(11, 0x82)
    for index, value in (
        (0, 0x58),
        (2, 0x59),
        (4, 0x23),
        (6, 7),
        (7, 0x31),
        (8, 0x12),
        (9, 0x99),
        (0x32, 0x19),
    ):
        bench.put(index, value)
    bench.time = 10 * SECOND
    bench.put(11, 0x02)
    assert bench.date() == (1999, 12, 31, 23, 59, 58, 7), "SET stops the clock"
    bench.time = 12 * SECOND
    assert bench.date() == (2000, 1, 1, 0, 0, 0, 1)


def test_twelve_hours_and_binary() -> None:
    bench = Bench(13 * 3600 + 59 * 60 + 59)
    bench.put(11, 0x84)
    for index, value in ((4, 0x81), (2, 59), (0, 59)):
        bench.put(index, value)
    bench.put(11, 0x04)
    bench.time = SECOND
    assert (bench.get(4), bench.get(2), bench.get(0)) == (0x82, 0, 0)
    bench.time = 10 * 3600 * SECOND + SECOND
    assert bench.get(4) == 12, "midnight is 12 AM"


@given(st.integers(3, 15), st.integers(1, 3 * SECOND))
@settings(max_examples=30, deadline=None)
def test_periodic_interrupts_come_as_often_as_the_rate_says(rate, end) -> None:
    end = min(end, (SECOND << rate) // 8)
    bench = Bench()
    bench.put(10, 0x20 | rate)
    bench.put(11, 0x42)
    served = 0
    while (due := bench.rtc.deadline()) is not None and due <= end:
        bench.time = due
        bench.rtc.on_time(due)
        assert bench.get(12) & 0xC0 == 0xC0
        assert not bench.level
        served += 1
    assert served == end * (32768 >> rate - 1) // SECOND


def test_update_interrupt_once_a_second_until_read() -> None:
    bench = Bench()
    bench.put(11, 0x12)
    bench.run_to(5 * SECOND)
    assert bench.rises == [SECOND]
    assert bench.get(12) == 0x90 | 0x40, "the periodic flag is set too, whether or not it interrupts"
    bench.run_to(7 * SECOND)
    assert bench.rises == [SECOND, 6 * SECOND]


@pytest.mark.parametrize(
    ("alarm", "when"),
    [
        ((0x00, 0x00, 0x01), 3600),
        ((0x30, 0xC0, 0xFF), 30),
        ((0xFF, 0x02, 0x00), 120),
        ((0x00, 0x00, 0x00), 86400),
    ],
)
def test_alarm_with_dont_care_fields(alarm, when) -> None:
    bench = Bench()
    for index, value in zip((1, 3, 5), alarm, strict=True):
        bench.put(index, value)
    bench.put(11, 0x22)
    bench.run_to(when * SECOND)
    assert bench.rises == [when * SECOND]
    assert bench.get(12) & 0xA0 == 0xA0


def test_impossible_alarm_never_comes() -> None:
    bench = Bench()
    bench.put(5, 0x77)
    bench.put(11, 0x22)
    assert bench.rtc.deadline() is None


def test_update_in_progress_before_each_second() -> None:
    bench = Bench()
    bench.time = SECOND - 2_228_001
    assert not bench.get(10) & 0x80
    bench.time = SECOND - 1
    assert bench.get(10) & 0x80
    bench.time = SECOND
    assert not bench.get(10) & 0x80


def test_memory_size_bytes() -> None:
    bench = Bench(memory=128 << 20)
    assert bench.get(0x15) | bench.get(0x16) << 8 == 640
    assert bench.get(0x17) | bench.get(0x18) << 8 == 0xFFFF
    assert bench.get(0x34) | bench.get(0x35) << 8 == (112 << 20) >> 16
    assert bench.get(0x2E) << 8 | bench.get(0x2F) == sum(bench.get(i) for i in range(0x10, 0x2E))
