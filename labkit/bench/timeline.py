"""What looking back costs: a Linux boot with checkpoints beside a plain one, seeks, steps, last writers.

Places and addresses are drawn with a fixed seed: clocks evenly over the boot; addresses evenly over the
frames that were written, each byte of them alike.
"""

import gc
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from labkit import guests
from labkit.bench.figure import Figure, Progress
from labkit.vm.machine import Machine
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.paging import translate
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Timeline

__all__ = ["measure"]

PROMPT = {"linux": "/ # ", "teaching": "$ "}
KERNEL = 0xC0000000
SEED = 4


def measure(guest: str, rounds: int, say: Progress, count: int = 100) -> list[Figure]:
    """Everything, on one boot of `guest`, of which `rounds` alternate with plain ones."""
    say(f"timeline: {guest}, plain boots and boots with checkpoints, {rounds} each")
    plain, kept, timeline = _boots(guest, rounds)
    ratio = statistics.median(b / a for a, b in zip(plain, kept, strict=True))
    figures = [Figure("boot.ratio", ratio, "x", "boot with checkpoints / plain boot after it, median of "
                      "rounds, CPU time", goal=1.2, at_least=False)]  # fmt: skip
    end = timeline.machine.registers_sha256(), timeline.machine.ram_sha256()
    say("timeline: seeks and steps")
    figures += _moves(timeline, count)
    say("timeline: last writers")
    figures += _writers(timeline, count)
    timeline.seek(timeline.end)
    if end != (timeline.machine.registers_sha256(), timeline.machine.ram_sha256()):
        raise RuntimeError("the end of the boot is not what it was before the measurements")
    figures.append(
        Figure("process.memory", _resident() / 1e6, "MB", "resident set of this process at the end, "
               "the index of writes included", goal=600, at_least=False)
    )  # fmt: skip
    return figures


def _boots(guest: str, rounds: int) -> tuple[list[float], list[float], Timeline]:
    plain, kept, timeline = [], [], None
    _timed(lambda: _plain(guest))  # translates the hooks, reads the files
    for _ in range(rounds):
        timeline = None
        gc.collect()  # machines are large, and hold on to themselves
        timeline = Timeline.boot(guest)
        kept.append(_timed(partial(timeline.run, until_text=PROMPT[guest]), time.process_time))
        plain.append(_plain(guest))
        gc.collect()
    if timeline is None:
        raise ValueError("give at least one round")
    return plain, kept, timeline


def _plain(guest: str) -> float:
    """CPU seconds of a boot with the same work at the console, without events and checkpoints."""
    machine = Machine()
    machine.load(guests.boot(guest))
    monitor, text, seen = Monitor(machine), PROMPT[guest].encode(), bytearray()

    def printed(data: bytes) -> None:
        seen.extend(data)
        if text in seen[-len(text) - len(data) :]:
            monitor.request_stop("text seen")

    machine.board.serial.on_output.append(printed)
    return _timed(monitor.run, time.process_time)


def _timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def _moves(timeline: Timeline, count: int) -> list[Figure]:
    rng = random.Random(SEED)  # noqa: S311  (places, no secrets)
    clocks = [rng.randrange(1000, timeline.end) for _ in range(count)]
    seeks, backs, again = [], [], []
    for clock in clocks:
        seeks.append(_timed(partial(timeline.seek, clock)))
        backs.append(_timed(timeline.back))
        again += [_timed(timeline.back) for _ in range(3)]
    timeline.seek(timeline.end // 2)
    steps = [_timed(timeline.step) for _ in range(5 * count)]
    return [
        *_figures("seek", seeks, f"{count} random places", 20, 200),
        *_figures("back", backs, "one back, right after each of those seeks", 5, 20),
        *_figures("back_again", again, "three more after each of those", 5, 20),
        *_figures("step", steps, f"{5 * count} single steps in a row, with what each touched", None, None),
    ]


def _writers(timeline: Timeline, count: int) -> list[Figure]:
    first = _asked(timeline, count // 5, SEED)
    made = _timed(timeline.index_writes)
    with_index = _asked(timeline, count, SEED + 1)
    unindexed = f"{count // 5} random addresses and places, not indexed before (the index is made on the way)"
    return [
        *_figures("last_writer_first", first, unindexed, None, None),
        Figure("index_writes", made, "s", "the rest of the index of writes, over the whole boot"),
        *_figures("last_writer", with_index, f"{count} random addresses and places, indexed", 50, 500),
    ]


def _asked(timeline: Timeline, count: int, seed: int) -> list[float]:
    rng = random.Random(seed)  # noqa: S311
    found: list[float] = []
    checkpoints = timeline.machine.checkpoints.list
    while len(found) < count:
        frames = rng.choice(checkpoints[1:] or checkpoints).frames
        linear = KERNEL + int(rng.choice(frames)) * FRAME_SIZE + rng.randrange(FRAME_SIZE)
        timeline.seek(rng.randrange(timeline.end // 3, timeline.end))
        if translate(timeline.machine.processor.registers, timeline.machine.memory, linear) is not None:
            found.append(_timed(partial(timeline.last_writer, linear)))
    return found


def _figures(
    name: str, seconds: Sequence[float], method: str, middle: float | None, worst: float | None
) -> list[Figure]:
    ordered = sorted(1e3 * value for value in seconds)
    return [
        Figure(f"{name}.median", statistics.median(ordered), "ms", method, goal=middle, at_least=False),
        Figure(f"{name}.p90", ordered[int(0.9 * (len(ordered) - 1))], "ms", method),
        Figure(f"{name}.worst", ordered[-1], "ms", method, goal=worst, at_least=False),
    ]


def _resident() -> int:
    """Bytes of this process in memory; its peak where the system tells no more."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
