"""run_to against an oracle: the window single-stepped, every clock looked at."""

import itertools
import random

import pytest

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import Breakpoint, Hit, Timeline, Watchpoint

START, COUNT = 60_000, 1500


@pytest.fixture(scope="module")
def steps(recorded):
    """(EIP, general registers) at each clock of the window."""
    recorded.seek(START)
    found = []
    for _ in range(COUNT + 1):
        registers = recorded.registers
        found.append((registers.eip, tuple(getattr(registers, name) for name in GENERAL)))
        recorded.step()
    return found


@pytest.fixture
def only(recorded):
    def use(*wanted):
        recorded.breakpoints.clear()
        for what in wanted:
            recorded.breakpoints.add(what)
        return recorded

    yield use
    recorded.breakpoints.clear()


def walk(timeline: Timeline, direction: int, first: int, last: int) -> list[int]:
    timeline.seek(first)
    clocks = []
    while True:
        hit = timeline.run_to(direction, limit=abs(last - timeline.cursor))
        if hit is None:
            assert timeline.cursor == last
            return clocks
        clocks.append(timeline.cursor)
        if timeline.cursor == last:
            return clocks


def check(timeline, expected):
    """Both ways; the place where one begins does not count."""
    end = START + COUNT
    forward = [clock for clock in expected if START < clock <= end]
    assert walk(timeline, 1, START, end) == forward
    backward = [clock for clock in reversed(expected) if START <= clock < end]
    assert walk(timeline, -1, end, START) == backward


def test_addresses(recorded, steps, only):
    counts = {}
    for eip, _ in steps:
        counts[eip] = counts.get(eip, 0) + 1
    addresses = [eip for eip, count in counts.items() if 2 <= count <= 12]
    for eip in random.Random(1).sample(addresses, 4):
        clocks = [START + k for k, (at, _) in enumerate(steps) if at == eip]
        check(only(Breakpoint.at(eip)), clocks)


def test_a_range_and_several_at_once(recorded, steps, only):
    rng = random.Random(2)
    low = rng.choice(steps)[0] & ~0xF
    other = rng.choice([eip for eip, _ in steps if not low <= eip <= low + 0x1F])
    inside = [START + k for k, (eip, _) in enumerate(steps) if low <= eip <= low + 0x1F or eip == other]
    timeline = only(Breakpoint.range(low, low + 0x1F), Breakpoint.at(other))
    timeline.seek(START)
    hit = timeline.run_to()
    expected = next(clock for clock in inside if clock > START)
    assert isinstance(hit, Hit)
    assert timeline.cursor == hit.point.instructions == expected
    timeline.seek(START + COUNT)
    assert timeline.run_to(-1).point.instructions == max(c for c in inside if c < START + COUNT)


@pytest.mark.parametrize("name", ["eax", "esp", "edi", "ebp"])
def test_registers(recorded, steps, only, name):
    k = GENERAL.index(name)
    pairs = itertools.pairwise(steps)
    changed = [START + n + 1 for n, (a, b) in enumerate(pairs) if a[1][k] != b[1][k]][:40]
    timeline, end = only(Watchpoint.of_register(name)), changed[-1]
    assert walk(timeline, 1, START, end) == changed
    assert [clock for clock in walk(timeline, -1, end, START) if clock > START] == changed[-2::-1]


def test_memory(recorded, stores, only):
    inside = [s for s in stores.stores if START <= s.clock < START + COUNT and not s.by_event]
    rng, tried = random.Random(4), 0
    for store in rng.sample(inside, len(inside)):
        size = min(4, 4096 - store.physical % 4096)
        touching = stores.touching(store.physical, size)
        if any(s.by_event and START - 5 <= s.clock <= START + COUNT for s in touching):
            continue
        clocks = sorted({s.clock + 1 for s in touching if START <= s.clock < START + COUNT})
        recorded.seek(START)
        if len(clocks) > 12 or recorded._physical(0xC0000000 + store.physical) != store.physical:
            continue
        check(only(Watchpoint.memory(0xC0000000 + store.physical, size)), clocks)
        tried += 1
        if tried == 4:
            break
    assert tried


def test_events(recorded, only):
    timeline = only(Breakpoint.event("interrupt"))
    clocks = [c for c in timeline.events.clocks("interrupt") if START <= c <= START + COUNT * 20][:20]
    end = clocks[-1]
    assert walk(timeline, 1, START, end) == [c for c in dict.fromkeys(clocks) if c > START]


def test_never_reached(recorded, only):
    timeline = only(Breakpoint.at(0x12345678), Watchpoint.memory(0xC0000000 + timeline_top(recorded), 4))
    timeline.seek(START)
    assert timeline.run_to() is None
    assert timeline.cursor == timeline.end
    assert timeline.run_to() is None
    assert timeline.run_to(-1) is None
    assert timeline.cursor == timeline.start
    assert timeline.run_to(-1) is None
    assert timeline.run_to(limit=10) is None
    assert timeline.cursor == 10


def timeline_top(timeline):
    return timeline.machine.memory.size - 64


def test_at_the_cursor_at_the_start_and_at_the_end(bare, timeline_of):
    bare.put(0x10000, b"\x90\x40\x90\xeb\xfb")  # 10000: nop, inc eax, nop, jmp 10000
    timeline = timeline_of(bare.machine, epoch=10)
    timeline.run(40)
    timeline.breakpoints.add(Breakpoint.at(0x10000))
    timeline.seek(4)
    assert timeline.run_to().point.instructions == 8  # the cursor itself does not count
    timeline.seek(4)
    assert timeline.run_to(-1).point.instructions == 0  # the start does
    assert timeline.run_to(-1) is None
    timeline.seek(37)
    assert timeline.run_to().point.instructions == 40  # and so does the end, whose instruction has not run
    assert timeline.run_to() is None


def test_a_handler_holds_at_the_clock_of_its_fault(bare, timeline_of):
    bare.put(0x10000, b"\x90\x90\x0f\x0b")  # nop, nop, ud2
    timeline = timeline_of(bare.machine)
    timeline.run()
    timeline.breakpoints.add(Breakpoint.at(0x3000 + 16 * 6))
    timeline.seek(0)
    hit = timeline.run_to()
    assert hit.point.instructions == 2
    assert timeline.registers.eip == 0x10002
    timeline.step()
    assert timeline.registers.eip > 0x3000 + 16 * 6


@pytest.mark.parametrize("direction", [1, -1])
def test_several_breakpoints_stop_at_the_nearest_and_say_which(only, steps, direction):
    """One pass watches them all."""
    random.seed(11)
    addresses = random.sample(sorted({eip for eip, _registers in steps}), 6)
    timeline = only(*(Breakpoint.at(address) for address in addresses))
    here, far = (0, COUNT) if direction > 0 else (COUNT, 0)
    for _ in range(40):
        passed = range(here + direction, far + direction, direction)
        expected = next((i for i in passed if steps[i][0] in addresses), None)
        if expected is None:
            break
        timeline.seek(START + here)
        hit = timeline.run_to(direction)
        assert hit is not None
        assert (timeline.cursor - START, hit.what) == (expected, Breakpoint.at(steps[expected][0]))
        here = expected


@pytest.mark.parametrize("direction", [1, -1])
def test_what_is_looked_for_once_is_no_breakpoint(recorded, steps, only, direction):
    timeline = only()
    address = steps[COUNT // 2][0]
    timeline.seek(START if direction > 0 else START + COUNT)
    hit = timeline.run_to(direction, also=[Breakpoint.at(address)])
    assert hit.what == Breakpoint.at(address)
    assert timeline.registers.eip == address
    assert not list(timeline.breakpoints)


@pytest.mark.parametrize("direction", [1, -1])
def test_progress_goes_one_way_and_a_search_torn_off_leaves_the_cursor(recorded, only, direction):
    timeline = only(Breakpoint.at(0xF0000000))
    begin, far = (timeline.start, timeline.end)[::direction]
    timeline.seek(begin)
    told = []
    assert timeline.run_to(direction, on_progress=told.append) is None
    assert told == sorted(told, reverse=direction < 0)
    assert told[-1] == far == timeline.cursor

    def torn_off(_: int) -> None:
        raise KeyboardInterrupt

    timeline.seek((timeline.start + timeline.end) // 2)
    here, registers = timeline.cursor, timeline.registers
    with pytest.raises(KeyboardInterrupt):
        timeline.run_to(direction, on_progress=torn_off)
    assert (timeline.cursor, timeline.registers) == (here, registers)


def test_stretches_lead_from_checkpoint_to_checkpoint(recorded):
    clocks = [checkpoint.clock for checkpoint in recorded.machine.checkpoints.list]
    recorded.seek(recorded.end)
    back = [recorded.end]
    while recorded.cursor > recorded.start:
        recorded.seek(recorded.cursor - recorded.stretch(-1))
        back.append(recorded.cursor)
    assert sorted(back) == sorted({*clocks, recorded.end})
    assert recorded.stretch(-1) == 0
    assert recorded.stretch(1, 10**6) == recorded.end - recorded.start
