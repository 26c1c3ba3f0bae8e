"""An expansion as a job: it runs in a thread of its own, says how far it is, and can be cancelled."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from labkit.vm.replay import trace_file
from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_caches import Caches
from labkit.vm.replay.trace_expand import expand_windows
from labkit.vm.replay.trace_parts import Part, Recipe, RecordingRecipe, parts_by
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_text import champsim, text
from labkit.vm.replay.trace_windows import windows

__all__ = ["Expanded", "Job", "Tell", "expansion"]

Tell = Callable[[int, int], None]
"""Hears the clock and the last one; raises to end the work."""
Result = TypeVar("Result")
STEP = 10_000_000


class CancelledError(Exception):
    """Somebody wants no more of it."""


class Job(Generic[Result]):
    """Work in a thread. `state` is running, done, cancelled or failed."""

    def __init__(self, work: Callable[[Tell], Result]) -> None:
        self._work, self._cancelled = work, False
        self.state = "running"
        self.result: Result | None = None
        self.error = ""
        """A sentence, where it has failed."""
        self.clock, self.end = 0, 1
        self.started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="expansion", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work(self._tell)
            self.state = "done"
        except CancelledError:
            self.state = "cancelled"
        except Exception as error:  # noqa: BLE001 (said where the job is shown)
            self.error = " ".join(str(error).split()) or type(error).__name__
            self.state = "failed"

    def _tell(self, clock: int, end: int) -> None:
        self.clock, self.end = min(clock, end), max(end, 1)
        if self._cancelled:
            raise CancelledError

    def cancel(self) -> None:
        """End it soon; what has been written so far stays."""
        self._cancelled = True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; False when it is still running."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def done(self) -> float:
        """How much of it is done, 0 to 1."""
        return 1.0 if self.state == "done" else self.clock / self.end

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None at the start."""
        passed = time.monotonic() - self.started
        return passed * (1 - self.done) / self.done if self.done > 0.01 else None


@dataclass(frozen=True, slots=True)
class Expanded:
    """What an expansion has made: instructions and rows, bytes in `out`, seconds, or what a consumer says."""

    instructions: int
    rows: dict[str, int]
    size: int
    seconds: float
    out: str
    said: str = ""


def expansion(
    recipe: Recipe, parameters: ExpansionParameters, form: str, out: str, *, jobs: int = 1, scheduler: str = ""
) -> Callable[[Tell], Expanded]:
    """The work of a `Job`: `form` is parquet, text, champsim, or caches for the cache simulator (no file).

    Parquet is made by `jobs` workers, here or of the Dask `scheduler` at an address.
    """

    def work(tell: Tell) -> Expanded:
        start = time.perf_counter()
        if form == "parquet":
            trace_file.begin(Path(out))
        elif form not in {"text", "champsim", "caches"}:
            raise TraceError(f"there is no form {form!r}: it is parquet, text, champsim or caches")
        source = recipe.source()
        wanted = windows(source, parameters)
        if not wanted:
            raise TraceError("there is nothing at that place of the run")
        if form != "parquet" or (jobs == 1 and not scheduler):
            _approach(source, wanted[0].start, wanted[-1].end, tell)
        if form == "parquet":
            parts = parts_by(recipe, source, wanted, parameters, tell, jobs=jobs, scheduler=scheduler or None)
            made = _parquet(recipe, parts, parameters, Path(out))
        else:
            made = _stream(expand_windows(source, wanted, parameters), form, Path(out), wanted[-1].end, tell)
        count, rows, size, said = made
        return Expanded(count, rows, size, time.perf_counter() - start, "" if said else out, said)

    return work


def _approach(source: Source, start: int, end: int, tell: Tell) -> None:
    """Replay to the first window in steps, so that it can be cancelled on the way."""
    for clock in range(source.machine.processor.clock + STEP, start, STEP):
        source.goto(clock)
        tell(clock, end)


Made = tuple[int, dict[str, int], int, str]


def _parquet(recipe: Recipe, parts: Iterable[Part], parameters: ExpansionParameters, out: Path) -> Made:
    count = size = 0
    rows: dict[str, int] = {}
    for part in parts:
        size += trace_file.write_part(out, part.number, part.files)
        count += part.instructions
        for name, more in part.rows.items():
            rows[name] = rows.get(name, 0) + more
    of = recipe.path if isinstance(recipe, RecordingRecipe) else recipe.guest
    trace_file.finish(out, {"source": of, "parameters": parameters.document()}, rows.items())
    return count, rows, size, ""


def _stream(batches: Iterable[Batch], form: str, out: Path, end: int, tell: Tell) -> Made:
    count = references = 0

    def counted() -> Iterable[Batch]:
        nonlocal count, references
        for batch in batches:
            count, references = count + len(batch), references + len(batch.address)
            yield batch
            tell(batch.end, end)

    size, said = 0, ""
    if form == "caches":
        said = str(Caches().feed(counted()))
    else:
        with out.open("wb") as file:
            for batch in counted():
                data = text(batch).encode() if form == "text" else champsim(batch)[0].tobytes()
                size += file.write(data)
    return count, {"instructions": count, "references": references}, size, said
