"""Where an expansion looks: windows of clocks, found from times, event numbers, hits and triggers by a first pass."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import Column
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_spans import Window, merged
from labkit.vm.replay.trace_times import clock_at, corners_of_log, corners_of_run

__all__ = ["windows"]

FOREVER = 1 << 60


def windows(source: Source, parameters: ExpansionParameters) -> list[Window]:
    """Windows that an expansion shows, in order and apart."""
    first, end = getattr(source, "start", 0), getattr(source, "end", FOREVER)
    if parameters.anywhere:
        return [Window(first, end)]
    found = [Window(max(a, first), min(b, end)) for a, b in parameters.windows]
    log = getattr(source.machine.pace, "recording", None)
    if parameters.times and log is not None:
        corners = corners_of_log(log.entries)
        found += [Window(clock_at(corners, a), min(clock_at(corners, b), end)) for a, b in parameters.times]
        parameters = replace(parameters, times=())
    if parameters.times or parameters.events or parameters.hits or parameters.start_at is not None:
        found += _looked_up(source, parameters, Window(first, end))
    return merged([window for window in found if window.start < window.end])


def _looked_up(source: Source, parameters: ExpansionParameters, whole: Window) -> Iterator[Window]:
    """One pass over the run, instructions only."""
    clocks: list[int] = []
    seen = [0] * len(parameters.hits)
    opened: int | None = None
    last, corners = whole.start, corners_of_run(())
    for batch in full_trace(source, [whole], memory=False, values=False):
        clocks.extend(row[0] for row in batch.rows)
        corners = corners_of_run(batch.rows, corners)
        last = batch.end
        for k, hit in enumerate(parameters.hits):
            at = np.flatnonzero(batch.linear == hit.address)
            if seen[k] < hit.number <= seen[k] + len(at):
                clock = batch.start + int(at[hit.number - seen[k] - 1])
                yield Window(clock, min(clock + hit.count, whole.end))
            seen[k] += len(at)
        for clock, address in _marks(batch.linear, batch.start, parameters):
            if address == parameters.start_at and opened is None:
                opened = clock
            elif address == parameters.stop_at and opened is not None:
                yield Window(opened, clock)
                opened = None
    if opened is not None:
        yield Window(opened, last)
    for first, end in parameters.times:
        yield Window(clock_at(corners, first), min(clock_at(corners, end), last))
    for first, end in parameters.events:
        inside = clocks[first:end]
        if inside:
            yield Window(inside[0], inside[-1] + 1)


def _marks(linear: Column, start: int, parameters: ExpansionParameters) -> Iterator[tuple[int, int]]:
    """Clock and address of instructions where rows begin or end."""
    wanted = [address for address in (parameters.start_at, parameters.stop_at) if address is not None]
    if wanted:
        for at in np.flatnonzero(np.isin(linear, wanted)).tolist():
            yield start + at, int(linear[at])
