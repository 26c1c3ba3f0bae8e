"""How fast guest code runs: labkit beside raw Unicorn, on three loops.

Raw Unicorn is what labkit stands on with nothing added: a fresh engine with its defaults, the program written
into mapped memory, no hooks, run to the HLT. It counts no instructions, has no exact clock, and its own MMU.
"""

import gc
import time
from collections.abc import Sequence
from typing import Any

from unicorn import UC_ARCH_X86, UC_MODE_32, Uc, unicorn_const, x86_const

from labkit import guests
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage
from labkit.vm.monitor import Monitor

_engine: Any = Uc  # the binding is untyped

__all__ = ["PROGRAMS", "measure", "on_labkit", "on_unicorn"]

PROGRAMS = {"compute": 0.8, "stores": 3.0, "calls": None}
"""The loops, and how many times as fast as raw Unicorn labkit should be."""
MEMORY = 16 << 20
METHOD = "retired instructions / CPU time from the first instruction to HLT; median of the rounds"


def on_labkit(image: BootImage) -> tuple[int, float, int]:
    """One run on a new machine: retired instructions, seconds of CPU time, EDX at the end."""
    gc.collect()  # the machine of the last round
    machine = Machine(memory=MEMORY)
    machine.load(image)
    monitor = Monitor(machine)
    start = time.process_time()
    monitor.run()
    seconds = time.process_time() - start
    return machine.point.instructions, seconds, machine.registers.edx


def on_unicorn(image: BootImage) -> tuple[float, int]:
    """One run on a new engine: seconds of CPU time, EDX at the end."""
    engine = _engine(UC_ARCH_X86, UC_MODE_32)
    engine.mem_map(0, MEMORY, unicorn_const.UC_PROT_ALL)
    for placement in image.placements:
        engine.mem_write(placement.address, placement.data)
    start = time.process_time()
    engine.emu_start(image.start.eip, MEMORY)
    seconds = time.process_time() - start
    return seconds, int(engine.reg_read(x86_const.UC_X86_REG_EDX))


def measure(rounds: int, say: Progress, programs: Sequence[str] = tuple(PROGRAMS)) -> list[Figure]:
    """MIPS of both and their ratio for each program. Raises `RuntimeError` where the two do not agree."""
    return [figure for name in programs for figure in _program(name, rounds, say)]


def _program(name: str, rounds: int, say: Progress) -> list[Figure]:
    image = guests.boot(name, memory=MEMORY)
    ours: list[float] = []
    raw: list[float] = []
    for turn in range(rounds):
        say(f"{name}: round {turn + 1} of {rounds}")
        count, seconds, result = on_labkit(image)
        ours.append(count / seconds / 1e6)
        seconds, expected = on_unicorn(image)
        raw.append(count / seconds / 1e6)
        if result != expected:
            raise RuntimeError(f"{name}: EDX is {result:08x} on labkit and {expected:08x} on Unicorn")
    ratios = [one / other for one, other in zip(ours, raw, strict=True)]
    return [
        Figure(f"{name}.labkit", median(ours), "MIPS", METHOD, spread(ours)),
        Figure(f"{name}.unicorn", median(raw), "MIPS", f"{METHOD}; counted by labkit", spread(raw)),
        Figure(
            f"{name}.ratio", median(ratios), "x", "labkit / raw Unicorn in one round; median of the rounds",
            spread(ratios), PROGRAMS[name],
        ),
    ]  # fmt: skip
