"""What the segmentation unit costs flat code: the same run with the unit and without, turn about.

compute, stores, calls   the loops of `labkit bench engine`, to their HLT
linux                    a boot to the shell's prompt; its final RAM and registers must be the same, too
"""

import gc
import time
from collections.abc import Sequence

from labkit import guests
from labkit.bench.boot import PROMPT
from labkit.bench.engine import MEMORY, PROGRAMS
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.guests.fetch import fetched
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage
from labkit.vm.monitor import Monitor

__all__ = ["GOAL", "measure", "run"]

GOAL = 1.05
METHOD = "CPU time with the unit / without it, in one round; median of the rounds"


def run(image: BootImage, memory: int, until: bytes, *, segmentation: bool) -> tuple[float, str]:
    """One run on a new machine: seconds of CPU time, and fingerprints of RAM and registers at its end."""
    gc.collect()  # the machine of the last run
    machine = Machine(memory=memory, segmentation=segmentation)
    machine.load(image)
    monitor = Monitor(machine)
    seen = bytearray()

    def printed(piece: bytes) -> None:
        seen.extend(piece)
        if until and until in seen[-len(until) - len(piece) :]:
            monitor.request_stop("text seen")

    machine.board.serial.on_output.append(printed)
    start = time.process_time()
    monitor.run()
    seconds = time.process_time() - start
    return seconds, f"{machine.registers_sha256()} {machine.ram_sha256()}"


def measure(rounds: int, say: Progress) -> list[Figure]:
    """Ratios of CPU time. Raises `RuntimeError` where the guest ends in another state with the unit on."""
    runs = [(name, guests.boot(name, memory=MEMORY), MEMORY, b"") for name in PROGRAMS]
    if fetched("linux"):
        runs.append(("linux", guests.boot("linux"), 128 << 20, PROMPT.encode()))
    return [figure for one in runs for figure in _compare(*one, rounds, say)]


def _compare(
    name: str, image: BootImage, memory: int, until: bytes, rounds: int, say: Progress
) -> Sequence[Figure]:
    off: list[float] = []
    on: list[float] = []
    for turn in range(rounds):
        say(f"{name}: round {turn + 1} of {rounds}")
        seconds, expected = run(image, memory, until, segmentation=False)
        off.append(seconds)
        seconds, found = run(image, memory, until, segmentation=True)
        on.append(seconds)
        if found != expected:
            raise RuntimeError(f"{name}: the guest ends in another state with the segmentation unit")
    ratios = [one / other for one, other in zip(on, off, strict=True)]
    return [
        Figure(f"{name}.off", median(off), "s", "CPU time without the unit; median of the rounds", spread(off)),
        Figure(f"{name}.ratio", median(ratios), "x", METHOD, spread(ratios), GOAL, at_least=False),
    ]
