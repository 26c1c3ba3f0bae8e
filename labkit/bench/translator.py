"""What binary translation costs: Linux on both engines side by side, and a loop in translated kernel code.

boot     from the first instruction to the shell's prompt
find     `find /sys | wc -l` at that prompt, the second time (what is to be translated has been)
compute  our own guest of that name, which is all kernel code
"""

import gc
import time

from labkit import guests
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage
from labkit.vm.monitor import Monitor

__all__ = ["GOALS", "measure"]

GOALS = {"boot": 3.0, "find": 1.5, "compute": 0.8}
MEMORY, SMALL = 128 << 20, 16 << 20
PROMPT, COMMAND, NUMBER = b"/ # ", b"find /sys | wc -l\n", b"\r\n/ # "
BURST = 500_000
"""Instructions between two looks at the console."""
LOOP = 40_000_000
METHOD = "CPU time of the run; the median of the rounds"


def _made(image: BootImage, engine: str, memory: int) -> Monitor:
    gc.collect()  # the machine before
    machine = Machine(memory=memory)
    machine.load(image)
    return Monitor(machine, engine=BinaryTranslator(machine.processor) if engine == "bt" else engine)


def _until(monitor: Monitor, text: bytes) -> float:
    """Run until the console has printed that; seconds of CPU time."""
    output = monitor.machine.board.serial.output
    begin, start = len(output), time.process_time()
    while text not in bytes(output[begin:]):
        monitor.run(BURST)
    return time.process_time() - start


def _linux(image: BootImage, engine: str) -> tuple[float, float]:
    monitor = _made(image, engine, MEMORY)
    boot, find = _until(monitor, PROMPT), 0.0
    for _ in range(2):
        monitor.machine.board.serial.type(COMMAND)
        find = _until(monitor, NUMBER)
    return boot, find


def _compute(image: BootImage, engine: str) -> float:
    monitor = _made(image, engine, SMALL)
    monitor.run(LOOP // 8)
    start = time.process_time()
    monitor.run(LOOP)
    return time.process_time() - start


def measure(rounds: int, say: Progress) -> list[Figure]:
    """All figures. Raises `GuestError` where Linux was not fetched."""
    linux, loop = guests.boot("linux", memory=MEMORY), guests.boot("compute", memory=SMALL)
    taken: dict[tuple[str, str], list[float]] = {(name, engine): [] for name in GOALS for engine in ("hw", "bt")}
    for turn in range(rounds):
        for engine in ("hw", "bt"):
            say(f"{engine}: round {turn + 1} of {rounds}")
            boot, find = _linux(linux, engine)
            taken["boot", engine].append(boot)
            taken["find", engine].append(find)
            taken["compute", engine].append(_compute(loop, engine))
    return [figure for name in GOALS for figure in _figures(name, taken[name, "hw"], taken[name, "bt"])]


def _figures(name: str, hw: list[float], bt: list[float]) -> list[Figure]:
    speed = name == "compute"
    ratios = [h / b if speed else b / h for h, b in zip(hw, bt, strict=True)]
    how = "speed, bt / hw in one round" if speed else "time, bt / hw in one round"
    return [
        Figure(f"bt.{name}.hw", median(hw), "s", METHOD, spread(hw)),
        Figure(f"bt.{name}.bt", median(bt), "s", METHOD, spread(bt)),
        Figure(
            f"bt.{name}.ratio", median(ratios), "x", f"{how}; the median", spread(ratios), GOALS[name], at_least=speed
        ),
    ]
