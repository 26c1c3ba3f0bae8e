"""What the tests of the timeline share: small histories with many checkpoints, and a log of all stores.

`LABKIT_FULL=1` makes the property tests as long as they are meant to be.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Timeline

MEMORY = 8 << 20
EPOCH = 20_000


def timeline_of(machine: Machine, epoch: int = EPOCH, budget: int | None = None) -> Timeline:
    """A timeline with checkpoints closer than usual; `budget` in bytes of page versions."""
    made = Timeline(machine)
    made._history.epoch = epoch
    if budget is not None:
        machine.checkpoints.budget = budget
    return made


def teaching(epoch: int = EPOCH, budget: int | None = None) -> Timeline:
    machine = Machine(memory=MEMORY)
    machine.load(guests.boot("teaching", memory=MEMORY))
    return timeline_of(machine, epoch, budget)


def state(timeline: Timeline) -> tuple[str, str]:
    return timeline.machine.registers_sha256(), timeline.machine.ram_sha256()


def examples(few: int, many: int) -> int:
    return many if os.environ.get("LABKIT_FULL") == "1" else few


@dataclass(frozen=True)
class Store:
    clock: int
    eip: int
    physical: int
    size: int
    by_event: bool = False


@dataclass
class StoreLog:
    """Every store of a history, as Unicorn's own Python hook and the monitor's own writes tell them."""

    timeline: Timeline
    stores: list[Store] = field(default_factory=list)

    def __post_init__(self) -> None:
        history = self.timeline._history
        processor = history.machine.processor
        engine = processor._core.emulator._uc
        registers = processor.registers

        def stored(_uc, _kind, physical, size, _value, _data):
            processor.in_hook = True
            self.stores.append(Store(processor.clock, registers.eip, physical, size))
            processor.in_hook = False

        memory = history.monitor._delivery._memory
        write = memory.write

        def delivered(linear, size, value):
            write(linear, size, value)
            for at in range(linear, linear + size):
                physical = self.timeline._physical(at & 0xFFFFFFFF)
                assert physical is not None
                self.stores.append(Store(processor.clock, registers.eip, physical, 1, by_event=True))

        self.timeline.seek(self.timeline.start)
        handle = engine.hook_add(2048, stored)
        processor.flush_code()
        setattr(memory, "write", delivered)  # noqa: B010
        try:
            history.forward(self.timeline.end)
        finally:
            delattr(memory, "write")
            engine.hook_del(handle)
            processor.flush_code()

    def touching(self, physical: int, size: int = 1) -> list[Store]:
        return [s for s in self.stores if s.physical < physical + size and s.physical + s.size > physical]


@pytest.fixture(scope="session")
def recorded() -> Timeline:
    """The teaching kernel: boot, two commands typed, 23 checkpoints. Tests leave its history as it is."""
    made = teaching()
    made.run(until_text="$ ")
    made.type(b"help\n")
    made.run(150_000)
    made.type(b"forks 2\n")
    made.run(150_000)
    return made


@pytest.fixture(scope="session")
def stores(recorded: Timeline) -> StoreLog:
    return StoreLog(recorded)


@pytest.fixture
def make_teaching() -> Callable[..., Timeline]:
    return teaching


@pytest.fixture(name="timeline_of")
def _timeline_of() -> Callable[..., Timeline]:
    return timeline_of


@pytest.fixture(scope="session")
def linux() -> Timeline:
    """The first 12 million instructions of Linux."""
    made = Timeline.boot("linux", memory=64 << 20)
    made.run(12_000_000)
    return made


@pytest.fixture
def plain_run() -> Callable[[Timeline, list[int]], dict[int, tuple[str, str]]]:
    """States at rising clocks, by a machine that only runs forward and makes no checkpoint but the first."""

    def run(like: Timeline, clocks: list[int]) -> dict[int, tuple[str, str]]:
        machine = Machine(memory=MEMORY)
        machine.load(guests.boot("teaching", memory=MEMORY))
        monitor, inputs, found = Monitor(machine), list(like._history.inputs), {}
        for clock in clocks:
            while inputs and inputs[0].clock <= clock:
                monitor.run(inputs[0].clock - machine.processor.clock)
                machine.board.serial.type(inputs.pop(0).data)
            monitor.run(clock - machine.processor.clock)
            found[clock] = machine.registers_sha256(), machine.ram_sha256()
        return found

    return run
