"""Trace expansion: a deterministic run is gone through once more, and what was asked for comes out in columns.

The run cannot be disturbed by it: clock, registers and memory stay the same.
"""

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from labkit.vm.replay.expansion_parameters import EVERYTHING, ExpansionParameters
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_spans import Window, spans
from labkit.vm.replay.trace_windows import windows

__all__ = ["expand", "expand_windows", "project"]


def expand(source: Source, parameters: ExpansionParameters = EVERYTHING) -> Iterator[Batch]:
    """What `parameters` ask for, in batches of columns: an exact projection of the full trace.

    Raises `TraceError` for parameters that do not fit the run.
    """
    return expand_windows(source, windows(source, parameters), parameters)


def expand_windows(
    source: Source, wanted: Sequence[Window], parameters: ExpansionParameters, *, turns: bool = False
) -> Generator[Batch]:
    """The same with the windows already found; `turns` as in `full_trace`."""
    what, memory = parameters.what, parameters.references
    alone = "branches" in what and not memory and not what & {"registers", "bytes"}
    captured = full_trace(
        source, spans(wanted), memory=memory, values="values" in what, branches=alone, linear="linear" in what,
        registers="registers" in what, walks="walks" in what, turns=turns,
        events="events" in what, code="bytes" in what,
    )  # fmt: skip
    for batch in captured:
        shown = project(batch, wanted, parameters)
        if len(shown) or shown.rows or (shown.walks is not None and len(shown.walks)):
            yield shown


def project(batch: Batch, wanted: Sequence[Window], parameters: ExpansionParameters) -> Batch:
    """The rows of a batch that lie in the windows and satisfy the parameters."""
    inside = parameters.mask(batch)
    whole = any(window.start <= batch.start and batch.end <= window.end for window in wanted)
    rows = [row for row in batch.rows if any(w.start <= row[0] < w.end for w in wanted)]
    if not whole:
        point = batch.point
        in_window = np.zeros(len(point), np.bool_)
        for window in wanted:
            in_window |= (point >= window.start) & (point < window.end)
        inside = in_window if inside is None else inside & in_window
    data = parameters.data_mask(batch)
    shown = batch
    if inside is not None or data is not None:
        shown = batch.select(np.ones(len(batch), np.bool_) if inside is None else inside, data)
        if parameters.data:  # who asks for references to some place wants the instructions that made them
            shown = shown.select(shown.refs != 0)
    if shown.walks is not None and not whole:
        point = shown.walks[:, 0]
        kept = np.zeros(len(point), np.bool_)
        for window in wanted:
            kept |= (point >= window.start) & (point < window.end)
        shown = shown.with_walks(shown.walks[kept])
    return shown.with_rows(rows if "events" in parameters.what else [])
