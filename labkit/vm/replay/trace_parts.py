"""Parallel expansion: the run is cut at fixed points, and each worker expands some of the pieces.

    serial    | part 0 | part 1 | part 2 | part 3 | part 4 |
    2 jobs    |<------- a worker ------->|
              |........ runs on ........>|<-- another ---->|     which must first get there: so it gets less

A part is PART instructions and begins at a multiple of it, whoever expands it: so the files are the same,
byte for byte. Each worker makes the machine anew from its recipe, and works on one core. Where the run has been
gone through before (trace_states.py) it begins at a state of then, and need not get there.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from typing import Any

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.parquet_file import Scratch
from labkit.vm.replay.trace_expand import expand_windows
from labkit.vm.replay.trace_file import PartWriter
from labkit.vm.replay.trace_source import Replayed, Rerun, Source
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_states import State, States, resume, run_through

__all__ = [
    "PART", "GuestRecipe", "Part", "Recipe", "RecordingRecipe", "bounded", "cut", "expand_parts", "in_parallel",
    "local_cluster", "parts_by",
]  # fmt: skip

PART = 1 << 23
FOREVER = 1 << 59
"""No run is as long."""
ENCODED_LATER = 2
"""Batches that may wait for the encoder."""
TRACED, BRANCHES_ONLY = 3.3, 1.3
"""How many times as long as a plain run an expansion takes, about: with memory references, and without."""


@dataclass(frozen=True, slots=True)
class GuestRecipe:
    """How to make a machine with a guest, by name, that runs the same way everywhere; it ends at `until`."""

    guest: str
    memory: int = 128 << 20
    append: str = ""
    until: bytes = b""
    firmware_path: bool = False

    def source(self) -> Rerun:
        """The run. Raises `GuestError`, `TraceError`."""
        return Rerun(self._machine, self.until)

    def _machine(self) -> Machine:
        machine = Machine(memory=self.memory)
        image = guests.boot(
            self.guest, memory=self.memory, append=self.append, firmware_path=self.firmware_path
        )
        if image.mmu:
            raise TraceError(f"{self.guest} runs with a protection unit, of which there is no trace")
        machine.load(image)
        return machine


@dataclass(frozen=True, slots=True)
class RecordingRecipe:
    """A recording in a file, which every worker must be able to read."""

    path: str

    def source(self) -> Replayed:
        """The run. Raises `RecordingError`, OSError."""
        return Replayed(self.path)


Recipe = GuestRecipe | RecordingRecipe


@dataclass(frozen=True, slots=True)
class Part:
    """What came out of PART instructions: Parquet files by table, rows by table, the clock of its end."""

    number: int
    files: dict[str, bytes]
    rows: dict[str, int]
    instructions: int


def expand_parts(
    source: Source, wanted: Sequence[Window], parameters: ExpansionParameters,
    progress: Callable[[int], None] | None = None, *, turns: bool = False,
) -> Iterator[Part]:  # fmt: skip
    """The parts of an expansion, in order; `progress` is told the clock now and then.

    Runs, makes columns and encodes in three threads; with `turns` in one, for one core.
    """
    batches = expand_windows(source, wanted, parameters, turns=turns)
    encoder: Executor = _Here() if turns else ThreadPoolExecutor(1, "encode")
    with closing(batches), encoder:
        waiting: deque[Future[Part | None]] = deque()
        number, count = -1, 0
        scratch = Scratch()
        writer = PartWriter(parameters, 0, scratch)
        for batch in batches:
            if batch.start // PART != number:
                if number >= 0:
                    waiting.append(encoder.submit(_closed, writer, number, count))
                number, count = batch.start // PART, 0
                writer = PartWriter(parameters, number, scratch)
            waiting.append(encoder.submit(writer.write, writer.tables(batch)))
            count += len(batch)
            while len(waiting) > ENCODED_LATER:
                if (part := waiting.popleft().result()) is not None:
                    yield part
            if progress is not None:
                progress(batch.end)
        if number >= 0:
            waiting.append(encoder.submit(_closed, writer, number, count))
        for later in waiting:
            if (part := later.result()) is not None:
                yield part


def _closed(writer: PartWriter, number: int, count: int) -> Part:
    return Part(number, writer.close(), writer.rows, count)


class _Here(Executor):
    """Does what it is given at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Raises what the function raises."""
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **named))
        return done


def bounded(source: Source, wanted: Sequence[Window]) -> tuple[list[Window], States | None]:
    """The windows, the last one up to the run's own end, which must be known before it can be cut.

    With them the states of the run, where it had to be gone through for that.
    """
    if wanted[-1].end <= FOREVER:
        return list(wanted), None
    states = run_through(source, FOREVER, PART)
    return [*wanted[:-1], Window(wanted[-1].start, states.end)], states


def cut(wanted: Sequence[Window], jobs: int, cost: float) -> list[list[Window]]:
    """Windows for each of `jobs` workers that will be done at the same time, cut at parts' ends.

    `cost` is how much longer an instruction takes expanded than on the way to the first window.
    """
    first, end = wanted[0].start, wanted[-1].end
    slower = 1 - 1 / cost
    whole = 1 - slower**jobs
    edges = [first + int((end - first) * (1 - slower**j) / whole) for j in range(jobs + 1)]
    return _between(wanted, [first, *(round(edge / PART) * PART for edge in edges[1:-1]), end])


def _between(wanted: Sequence[Window], edges: Sequence[int]) -> list[list[Window]]:
    """Windows cut at edges."""
    pieces = []
    for low, high in pairwise(edges):
        inside = [Window(max(w.start, low), min(w.end, high)) for w in wanted]
        if inside := [window for window in inside if window.start < window.end]:
            pieces.append(inside)
    return pieces


def _work(recipe: Recipe, state: State | None, wanted: list[Window], parameters: ExpansionParameters) -> list[Part]:
    source = recipe.source()
    if state is not None:
        resume(source, state)
    return list(expand_parts(source, wanted, parameters, turns=True))


def in_parallel(
    recipe: Recipe, wanted: Sequence[Window], parameters: ExpansionParameters,
    *, jobs: int = 2, scheduler: str | None = None, states: States | None = None,
) -> Iterator[Part]:  # fmt: skip
    """The same parts by `jobs` workers of a cluster: a local one, or that of a Dask scheduler's address.

    `states` of the same run, where it was gone through. Raises `TraceError` where Dask is not installed or the
    scheduler does not answer.
    """
    cost = TRACED if parameters.references else BRANCHES_ONLY
    if states is None:
        pieces = cut(wanted, jobs, cost)
    else:
        whole = Window(wanted[0].start, wanted[-1].end)
        pieces = _between(wanted, [whole.start, *states.edges(whole, jobs, cost), whole.end])
    bare = replace(parameters, windows=(), times=(), events=(), hits=(), start_at=None, stop_at=None)
    cluster, client = _client(len(pieces), scheduler)
    try:
        workers = sorted(client.nthreads())
        futures = []
        for number, piece in enumerate(pieces):
            where = workers[number % len(workers) : number % len(workers) + 1]  # not to where another one's state is
            state = None
            if states is not None and (clock := states.before(piece[0].start)):
                state = client.scatter(states.state(clock), workers=where)
            futures.append(
                client.submit(_work, recipe, state, piece, bare, pure=False, workers=where, allow_other_workers=True)
            )
        for future in futures:
            yield from future.result()
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def parts_by(
    recipe: Recipe, source: Source, wanted: Sequence[Window], parameters: ExpansionParameters,
    tell: Callable[[int, int], None], *, jobs: int = 1, scheduler: str | None = None,
) -> Iterator[Part]:  # fmt: skip
    """The parts by this process, or by workers; `tell` hears the clock and the last one."""
    if not wanted:
        return
    if jobs == 1 and scheduler is None:
        yield from expand_parts(source, wanted, parameters, lambda clock: tell(clock, wanted[-1].end))
        return
    wanted, states = bounded(source, wanted)
    for part in in_parallel(recipe, wanted, parameters, jobs=jobs, scheduler=scheduler, states=states):
        yield part
        tell((part.number + 1) * PART, wanted[-1].end)


def local_cluster(jobs: int) -> dict[str, Any]:
    """Dask's settings for workers on this machine: no dashboard, and no port that another cluster could hold."""
    anywhere = {"dashboard_address": "127.0.0.1:0"}
    return {
        "n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50,
        "scheduler_kwargs": anywhere,
    }  # fmt: skip


def _client(jobs: int, scheduler: str | None) -> tuple[Any, Any]:
    try:
        dask: Any = import_module("distributed")
    except ImportError:
        raise TraceError("jobs need Dask: run `pip install 'labkit[trace]'`") from None
    if scheduler is None:
        cluster = dask.LocalCluster(**local_cluster(jobs))
        return cluster, dask.Client(cluster)
    try:
        return None, dask.Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise TraceError(f"no Dask scheduler answers at {scheduler}: {error}") from None
