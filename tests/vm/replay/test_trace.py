"""The trace of a run against counts that it does not make itself, and against the instructions' own places."""

from collections.abc import Callable

import numpy as np
import pytest
from unicorn import UC_HOOK_CODE

from labkit.vm.machine.trace import Tracer
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Timeline
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_parts import GuestRecipe
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Rerun
from labkit.vm.replay.trace_spans import Window

MEMORY = 8 << 20
COUNT = 1_500_000


def teaching() -> Rerun:
    return GuestRecipe("teaching", MEMORY).source()


def hashes(source: Rerun) -> tuple[int, str, str]:
    machine = source.machine
    return machine.processor.clock, machine.registers_sha256(), machine.ram_sha256()


def whole(batches: list[Batch], column: str):
    return np.concatenate([getattr(batch, column) for batch in batches])


@pytest.fixture(scope="module")
def traced() -> tuple[Rerun, list[Batch]]:
    source = teaching()
    return source, list(full_trace(source, [Window(0, COUNT)]))


def test_a_traced_run_is_the_same_run(traced: tuple[Rerun, list[Batch]]):
    plain = teaching()
    plain.forward(COUNT)
    assert hashes(plain) == hashes(traced[0])


def test_not_one_instruction_is_missing(traced: tuple[Rerun, list[Batch]]):
    _, batches = traced
    point = whole(batches, "point")
    assert np.array_equal(point, np.arange(COUNT, dtype=np.uint64))
    assert sum(batch.end - batch.start for batch in batches) == COUNT


def test_instructions_are_those_that_unicorn_runs(traced: tuple[Rerun, list[Batch]]):
    """Unicorn's own hook before each instruction tells the same addresses; a fault's attempt comes once more."""
    source = teaching()
    source.forward(400_000)
    processor = source.machine.processor
    engine = processor.core.emulator._uc
    clocks: dict[int, tuple[int, int]] = {}

    def note(_uc: object, address: int, size: int, _data: object) -> None:
        processor.in_hook = True
        clocks[processor.clock] = address, size
        processor.in_hook = False

    handle = engine.hook_add(UC_HOOK_CODE, note)
    processor.flush_code()
    try:
        source.forward(440_000)
    finally:
        engine.hook_del(handle)
    _, batches = traced
    linear, size = whole(batches, "linear"), whole(batches, "size")
    for clock, (address, length) in clocks.items():
        if clock < 440_000:
            assert (int(linear[clock]), int(size[clock])) == (address, length), clock
    assert len(clocks) > 39_000


@pytest.mark.parametrize("guest", ["teaching"])
def test_references_belong_to_their_instructions(guest: str, traced: tuple[Rerun, list[Batch]]):
    """In exact mode each reference comes with the EIP of its instruction."""
    source = GuestRecipe(guest, MEMORY).source()
    exact = list(full_trace(source, [Window(0, COUNT)], exact=True))
    checked = 0
    for batch in exact:
        assert batch.value is not None
        mask = (np.uint64(1) << (np.minimum(batch.width, 4).astype(np.uint64) * np.uint64(8))) - np.uint64(1)
        place = batch.linear[batch.owner].astype(np.uint64)
        assert np.array_equal(place & mask, batch.value & mask)
        checked += len(place)
    assert checked > 100_000
    _, batches = traced
    for column in ("address", "meta", "refs", "linear", "physical", "cpl", "space"):
        assert np.array_equal(whole(exact, column), whole(batches, column)), column


def test_what_is_read_is_what_was_written_last(traced: tuple[Rerun, list[Batch]]):
    """Loads of what was stored before give that value, but from stacks on which the monitor put event frames."""
    _, batches = traced
    known: dict[int, int] = {}
    same = checked = 0
    for batch in batches[:1]:
        assert batch.value is not None
        columns = batch.address, batch.width, batch.write, batch.value
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for address, width, write, value in rows:
            for i in range(width):
                byte = value >> 8 * i & 0xFF
                if write:
                    known[address + i] = byte
                elif address + i in known:
                    checked += 1
                    same += known[address + i] == byte
    assert checked > 50_000
    assert same >= 0.9 * checked


def test_a_history_is_traced_in_the_middle(recorded: Timeline, make_teaching: Callable[..., Timeline]):
    history = recorded._history
    start = history.end - 60_000
    before = recorded.cursor
    batches = list(full_trace(history, [Window(start, history.end)]))
    assert sum(map(len, batches)) == 60_000
    history.goto(before)
    again = list(full_trace(history, [Window(start + 777, start + 5_000)]))
    assert np.array_equal(whole(again, "linear"), whole(batches, "linear")[777:5_000])
    history.goto(before)


def test_only_our_own_paging_unit_can_be_traced(make_bare):
    with pytest.raises(ValueError, match="mmu='labkit'"):
        Tracer(make_bare(mmu="unicorn").machine.processor)


def test_a_consumer_may_leave():
    source = teaching()
    batches = full_trace(source, [Window(0, 5_000_000)])
    next(iter(batches))
    batches.close()  # type: ignore[attr-defined]
    assert source.machine.processor.clock < 5_000_000
    monitor = Monitor(source.machine)
    monitor.run(1000)


@pytest.mark.guest("linux")
def test_linux_boots_the_same_when_traced():
    plain, traced = GuestRecipe("linux").source(), GuestRecipe("linux").source()
    plain.forward(14_000_000)
    count = refs = 0
    for batch in full_trace(traced, [Window(0, 14_000_000)]):
        count += len(batch)
        refs += len(batch.address)
    assert count == 14_000_000
    assert refs > 5_000_000
    assert hashes(plain) == hashes(traced)
