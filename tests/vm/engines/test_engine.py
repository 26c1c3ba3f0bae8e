"""The binary translator beside the other engine: the same guest, the same points, the same state."""

import pytest

from labkit import guests
from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.trace import Tracer
from labkit.vm.monitor import Monitor

MEMORY = 16 << 20


def made(image: BootImage, engine: str, memory: int = MEMORY) -> Monitor:
    machine = Machine(memory=memory)
    machine.load(image)
    return Monitor(machine, engine=BinaryTranslator(machine.processor) if engine == "bt" else engine)


def state(monitor: Monitor) -> tuple[object, ...]:
    machine = monitor.machine
    return (
        machine.point.instructions, machine.point.branches, machine.registers, machine.ram_sha256(),
        bytes(machine.board.serial.output),
    )  # fmt: skip


def counts(monitor: Monitor) -> dict[str, int]:
    engine = monitor.engine
    assert isinstance(engine, BinaryTranslator)
    return engine.counts


@pytest.mark.parametrize("name", ["hello", "bounce", "paging32", "triple", "compute"])
def test_a_guest_ends_as_under_the_other_engine(name: str) -> None:
    image = guests.boot(name, memory=MEMORY)
    most = 3_000_000  # compute: within its loop
    hw, bt = made(image, "hw"), made(image, "bt")
    assert str(hw.run(most)) == str(bt.run(most))
    assert state(hw) == state(bt)
    assert counts(bt)["translations"]


@pytest.mark.parametrize("name", ["calls", "stores", "selfmod"])
def test_lockstep_at_odd_points(name: str) -> None:
    image = guests.boot(name, memory=MEMORY)
    hw, bt = made(image, "hw"), made(image, "bt")
    for step in (1, 2, 3, 5, 8, 13, 997, 4001, 7919, 10_007):
        hw.run(step)
        bt.run(step)
        assert state(hw) == state(bt)


def test_every_instruction_of_a_stretch_is_a_point() -> None:
    image = guests.boot("paging32", memory=MEMORY)
    hw, bt = made(image, "hw"), made(image, "bt")
    hw.run(20_000)
    bt.run(20_000)
    for _ in range(300):
        hw.run(1)
        bt.run(1)
        assert hw.machine.point.eip == bt.machine.point.eip
        assert hw.machine.registers == bt.machine.registers


def test_a_deadline_before_what_the_monitor_does() -> None:
    image = guests.boot("teaching", memory=MEMORY)
    hw, bt = made(image, "hw"), made(image, "bt")
    for step in [4999, *[1] * 40] * 20:  # single steps meet each kind of instruction at a deadline
        hw.run(step)
        bt.run(step)
        assert hw.machine.point == bt.machine.point
        assert hw.machine.registers == bt.machine.registers


def test_blocks_that_count_themselves_end_with_the_other_engine() -> None:
    image = guests.boot("calls", memory=MEMORY)
    hw, changed = made(image, "hw"), made(image, "hw")
    for monitor in (hw, changed):
        monitor.run(1_000_000)  # long enough for blocks that count themselves
    bt = Monitor(changed.machine, engine=BinaryTranslator(changed.machine.processor))
    for step in (1, 997, 200_003):
        hw.run(step)
        bt.run(step)
        assert state(hw) == state(bt)
        assert not bt.machine.processor.cells[c.SITE]


def test_a_trace_of_translated_code_is_refused() -> None:
    bt = made(guests.boot("hello", memory=MEMORY), "bt")
    with pytest.raises(RuntimeError, match="hw engine"), Tracer(bt.machine.processor).tracing():
        pass


def test_a_machine_with_another_mmu_is_refused() -> None:
    with pytest.raises(ValueError, match="mmu 'unicorn'"):
        BinaryTranslator(Machine(memory=MEMORY, mmu="unicorn").processor)


def test_a_machine_with_the_segmentation_unit_wants_shadows() -> None:
    with pytest.raises(ValueError, match="segmentation unit"):
        BinaryTranslator(Machine(memory=MEMORY, segmentation=True).processor, shadowed=False)
