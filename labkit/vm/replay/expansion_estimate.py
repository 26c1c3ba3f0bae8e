"""What an expansion will cost, told before it is run: from samples of the run, taken once for all parameters.

    run      |--------##--------##--------##--------##--------##--------##----|
    samples           full traces of a few thousand instructions each

Any parameters are then tried on the samples; rows and bytes are scaled to the length that is wanted. The run
between samples is timed, which says how long a plain replay takes; tracing takes TRACED times as long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_expand import project
from labkit.vm.replay.trace_file import PartWriter
from labkit.vm.replay.trace_parts import BRANCHES_ONLY, TRACED, Recipe
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_spans import Window, merged
from labkit.vm.replay.trace_tables import Tables
from labkit.vm.replay.trace_text import CHAMPSIM, text

__all__ = ["Estimate", "Samples", "length", "take"]

FOREVER = 1 << 59
STEP = 20_000_000
ALL = Window(0, FOREVER)


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what will come out: rows by table, bytes of the file, seconds on one core."""

    through: int
    """Instructions gone through under the tracer."""
    instructions: int
    """Instructions that are kept."""
    rows: dict[str, int]
    size: int
    seconds: float
    seen: int
    """Instructions of that place which are in samples; 0: it is told by what is usual elsewhere in the run."""
    bound: bool
    """The place is found while running: this is the whole run, and it will not be more."""

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class Samples:
    """Full traces of some places of a run, its length, and plain instructions per second."""

    batches: tuple[Batch, ...]
    end: int
    rate: float

    def estimate(self, parameters: ExpansionParameters, form: str = "parquet") -> Estimate:
        """What these parameters make of the run. `form` is parquet, text, champsim or none."""
        places, bound = self._places(parameters)
        wanted = sum(place.end - place.start for place in places)
        seen = here = sum(_overlap(batch, places) for batch in self.batches)
        if seen:
            chosen = [project(b, places, parameters) for b in self.batches if _overlap(b, places)]
        else:  # no sample lies there: what is usual for the run
            chosen = [project(b, [ALL], parameters) for b in self.batches]
            seen = sum(batch.end - batch.start for batch in self.batches)
        scale = wanted / max(1, seen)
        rows: dict[str, int] = {}
        made = Tables(parameters.what)
        for batch in chosen:
            for name, table in made.of(batch).items():
                rows[name] = rows.get(name, 0) + len(next(iter(table.values())))
        before = places[0].start if places and not bound else 0
        slower = TRACED if parameters.references else BRANCHES_ONLY
        return Estimate(
            wanted, round(sum(map(len, chosen)) * scale),
            {name: round(count * scale) for name, count in rows.items()},
            round(_size(chosen, parameters, form) * scale), (before + wanted * slower) / max(1.0, self.rate),
            here, bound,
        )  # fmt: skip

    def _places(self, parameters: ExpansionParameters) -> tuple[list[Window], bool]:
        whole = Window(0, self.end)
        if parameters.times or parameters.events or parameters.start_at is not None or parameters.anywhere:
            return [whole], not parameters.anywhere
        found = [Window(a, min(b, self.end)) for a, b in parameters.windows if a < self.end]
        if parameters.hits:
            return [Window(0, min(self.end, sum(hit.count for hit in parameters.hits))), *found], True
        return merged(found), False


def _overlap(batch: Batch, places: list[Window]) -> int:
    return sum(max(0, min(batch.end, p.end) - max(batch.start, p.start)) for p in places)


def _size(batches: list[Batch], parameters: ExpansionParameters, form: str) -> int:
    if form == "text":
        return sum(len(text(batch)) for batch in batches)
    if form == "champsim":
        return sum(len(batch) for batch in batches) * CHAMPSIM.itemsize
    if form != "parquet":
        return 0
    writer = PartWriter(parameters)
    for batch in batches:
        writer.add(batch)
    return sum(map(len, writer.close().values()))


def length(source: Source) -> int:
    """Instructions of a run; one that is not known to end is run for that."""
    end: int | None = getattr(source, "end", None)
    if end is None:
        source.goto(FOREVER)
        end = source.machine.processor.clock
    return end


def take(
    recipe: Recipe, *, places: int = 12, size: int = 1 << 15, more: Samples | None = None,
    inside: tuple[int, int] | None = None, tell: Callable[[int, int], None] | None = None,
) -> Samples:  # fmt: skip
    """Go through the run once and take samples at so many places, of it all or `inside` two clocks.

    Those of `more` are kept where the new ones leave room; `tell` hears of clock and end.
    """
    source = recipe.source()
    end = length(source) if more is None else more.end
    first, last = (0, end) if inside is None else (inside[0], min(inside[1], end))
    apart = (last - first) // places
    if apart <= 2 * size:
        windows = [Window(at, min(at + size, last)) for at in range(first, last, size)]
    else:
        windows = [Window(at, at + size) for at in range(first + apart // 2, last - size, apart)]
    kept = more.batches if more is not None else ()
    batches = [batch for batch in kept if not _overlap(batch, windows)]
    spent, ran = 1e-6, 0
    for window in windows:
        here, start = source.machine.processor.clock, time.perf_counter()
        for clock in (*range(here + STEP, window.start, STEP), window.start):
            source.goto(clock)
            if tell is not None:
                tell(clock, end)
        if window.start > here:
            spent, ran = spent + time.perf_counter() - start, ran + window.start - here
        batches += full_trace(source, [window], values=True, linear=True, registers=True, walks=True, code=True)
    rate = ran / spent if ran > STEP else DEFAULT_RATE if more is None else more.rate
    return Samples(tuple(batches), end, rate)


DEFAULT_RATE = 100e6
"""Plain instructions per second, where a run is too short to time it."""
