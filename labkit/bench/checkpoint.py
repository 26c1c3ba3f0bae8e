"""What a checkpoint costs: a fixed part and a part for each page written since the last one.

A guest boots and is checkpointed every million instructions; the line  seconds = fixed + pages * each  is
fitted to all samples by least squares.
"""

import gc
import time
from collections.abc import Sequence

import numpy as np

from labkit import guests
from labkit.bench.figure import Figure, Progress, median
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, StopReason

__all__ = ["fit", "measure", "medians", "samples"]

EVERY = 1_000_000
WARM = 5
"""Checkpoints left out at the start: the first looks at all of RAM, the next ones meet new host memory."""
GOAL_US = 5.0
MIN_SAMPLES = 4


def samples(guest: str, every: int, limit: int) -> list[tuple[int, float]]:
    """Pages and CPU seconds of up to `limit` checkpoints of a guest, one each `every` instructions."""
    machine = Machine()
    machine.load(guests.boot(guest))
    monitor = Monitor(machine)
    taken: list[tuple[int, float]] = []
    while len(taken) < limit and monitor.run(instructions=every).reason is StopReason.INSTRUCTIONS:
        start = time.process_time()
        made = machine.checkpoint()
        taken.append((len(made.frames), time.process_time() - start))
    return taken


def fit(taken: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Fixed seconds and seconds for each page, by least squares."""
    pages, seconds = np.array(taken, float).T
    each, fixed = np.polyfit(pages, seconds, 1)
    return float(fixed), float(each)


def medians(rounds: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Of each checkpoint the median time: a run is the same each time, so its checkpoints are, too."""
    return [(same[0][0], median([seconds for _, seconds in same])) for same in zip(*rounds, strict=True)]


def measure(guest: str, say: Progress, every: int = EVERY, limit: int = 140, rounds: int = 1) -> list[Figure]:
    """Fixed part and part per page in microseconds. Raises `ValueError` when the guest ends too soon."""
    runs = []
    for turn in range(rounds):
        say(f"checkpoints: {guest}, every {every:,} instructions: round {turn + 1} of {rounds}")
        runs.append(samples(guest, every, limit + WARM))
        gc.collect()  # its machine
    taken = medians(runs)[WARM:]
    if len(taken) < MIN_SAMPLES:
        raise ValueError(f"{guest} ended after {len(taken) + WARM} checkpoints, too few to fit a line to")
    fixed, each = fit(taken)
    pages = sum(count for count, _ in taken)
    method = (
        f"least squares over {len(taken)} checkpoints of {guest} ({pages:,} dirty pages), one every"
        f" {every:,} instructions; CPU time, of each the median of the rounds; after {WARM} to warm up"
    )
    average = sum(seconds for _, seconds in taken) / max(pages, 1)
    return [
        Figure("checkpoint.page", each * 1e6, "us/dirty page", method, goal=GOAL_US, at_least=False),
        Figure("checkpoint.fixed", fixed * 1e6, "us/checkpoint", method),
        Figure(
            "checkpoint.page_all_in", average * 1e6, "us/dirty page",
            "all time in those checkpoints / all their dirty pages", goal=GOAL_US, at_least=False,
        ),
    ]  # fmt: skip
