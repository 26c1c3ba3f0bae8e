"""Linux to its shell: the same registers, clock and RAM however it is run.

Whatever the guest can see must not depend on who translates its addresses, on hooks, or on stops.
"""

import hashlib
import os
import random
from collections.abc import Callable

import pytest
from numba import cfunc, types

from labkit.guests import boot
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor

pytestmark = pytest.mark.guest("linux")

MEMORY = 128 << 20
UNTIL = b"/ # "
HOOK_CODE = 4  # Unicorn's number for a hook before each instruction
COUNTER = 95  # a cell that nobody uses
EVERYWHERE = (1, 0)
WINDOW = 50_000_000
State = tuple[str, str, int]
PINNED = (
    "5f3fb71f3516c43a2116f1f8adc37ab9bd05c9d306b71e837a308ac64dc08609",
    "c16cbab13056e7af1a4caf3122c8022080263f6fe061639150889f4f14ceb0fb",
    139_663_961,
)
"""RAM, registers and clock at the shell's prompt for one kernel, initrd and command line."""
PINNED_IMAGE = "15a375bea8180c56cd254a5cf9e9df933739d60f82373bcfa28e6b9b2f8361fc"


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, types.CPointer(types.uint64)))
def count(_engine, _linear, _size, cells):
    cells[COUNTER] += 1


def linux(mmu: str = "labkit", append: str = "") -> Monitor:
    machine = Machine(memory=MEMORY, mmu=mmu)
    machine.load(boot("linux", memory=MEMORY, append=append))
    monitor = Monitor(machine)
    serial = machine.board.serial

    def look(_new: bytes) -> None:
        if serial.output.endswith(UNTIL):
            monitor.request_stop("shell")

    serial.on_output.append(look)
    return monitor


def to_shell(monitor: Monitor) -> State:
    assert monitor.run().message == "shell"
    machine = monitor.machine
    return machine.ram_sha256(), machine.registers_sha256(), machine.processor.clock


@pytest.fixture(scope="module")
def plain() -> State:
    return to_shell(linux())


def test_history_is_what_it_was(plain: State) -> None:
    image, sha = boot("linux", memory=MEMORY), hashlib.sha256()
    for part in sorted(image.placements, key=lambda placement: placement.address):
        sha.update(part.address.to_bytes(8, "little") + part.data)
    if sha.hexdigest() != PINNED_IMAGE:
        pytest.skip(f"pinned for another kernel or initrd than was fetched (this: {sha.hexdigest()})")
    # who changes it on purpose says why, and pins the new one
    assert plain == PINNED


def test_two_runs(plain: State) -> None:
    assert to_shell(linux()) == plain


def test_with_a_hook_before_each_instruction(plain: State) -> None:
    monitor = linux()
    monitor.machine.processor.add_hook(HOOK_CODE, count, *EVERYWHERE)
    assert to_shell(monitor) == plain


def test_with_the_engines_own_page_walk() -> None:
    without = "nolapic noapic"  # Unicorn's own memory has no device registers
    assert to_shell(linux("unicorn", without)) == to_shell(linux("labkit", without))


@pytest.mark.parametrize("seed", range(3 if os.environ.get("LABKIT_FULL") == "1" else 1))
def test_with_a_thousand_stops(plain: State, seed: int) -> None:
    chance, monitor = random.Random(seed), linux()
    for point in sorted(chance.sample(range(plain[2]), 1000)):
        assert monitor.run(point - monitor.machine.processor.clock).reason == "instructions"
        assert monitor.machine.processor.clock == point
    assert to_shell(monitor) == plain


def hooked(make: Callable[[], Monitor], instructions: int) -> tuple[int, Monitor]:
    monitor = make()
    processor = monitor.machine.processor
    processor.add_hook(HOOK_CODE, count, *EVERYWHERE)
    monitor.run(instructions)
    return int(processor.cells[COUNTER]), monitor


def unfinished(monitor: Monitor) -> int:
    """Instructions that began and did not retire: the hook has seen them, the clock must not count them."""
    exits, counts = monitor.exits, monitor.machine.processor.counts
    again = sum(exits.get(kind, 0) for kind in ("page fault", "exception", "mmio", "rom write"))
    return again + counts["code write"]


def test_the_clock_against_a_count_of_all_instructions() -> None:
    seen, monitor = hooked(linux, WINDOW)
    clock = monitor.machine.processor.clock
    assert clock == WINDOW
    assert clock <= seen <= clock + unfinished(monitor)
