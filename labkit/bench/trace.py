"""How fast a run's trace comes out: whole Linux boot or a part of it, beside what others do for the same.

Unicorn      a Python hook before each instruction and on each access of the same machine, a short window
QEMU         its instruction log (-d exec,nochain, one instruction per block), the boot's first seconds, to a file
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from unicorn import UC_HOOK_CODE, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE

from labkit import guests
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.guests.fetch import fetched
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_expand import expand_windows
from labkit.vm.replay.trace_parts import PART, GuestRecipe, expand_parts, in_parallel, local_cluster
from labkit.vm.replay.trace_source import Rerun
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_states import States, run_through

__all__ = ["measure"]

PROMPT = b"/ # "
FULL, VALUES = frozenset(("instructions", "memory")), frozenset(("instructions", "values", "events", "spaces"))
HOOKED = 300_000
"""Instructions under Python hooks."""
QEMU, QEMU_SECONDS = "qemu-system-i386", 6.0
STREAM = "retired instructions / wall time, from the start of the guest; median of the rounds"


def measure(guest: str, rounds: int, say: Progress, *, jobs: bool = True) -> list[Figure]:
    """Rates of plain run and of each kind of trace. Raises `RuntimeError` where they come to different ends."""
    recipe = GuestRecipe(guest, until=PROMPT if guest == "linux" else b"", memory=128 << 20)
    whole = recipe.source()
    states = run_through(whole, 1 << 59, PART)
    end, state = states.end, _state(whole)
    window = [Window(0, end)]
    rates: dict[str, list[float]] = {}
    size = 0
    with _cluster(jobs) as scheduler:
        for turn in range(rounds):
            for name, run in _runs(recipe, window, scheduler, states):
                say(f"{name}: round {turn + 1} of {rounds}")
                start = time.perf_counter()
                source, count, written = run()
                rates.setdefault(name, []).append(end / (time.perf_counter() - start) / 1e6)
                size = written or size
                if count != end or (source is not None and _state(source) != state):
                    raise RuntimeError(f"{name}: the traced run is not the plain one")
    return [*_figures(rates, size / end), *_beside(recipe, end, say)]


def _state(source: Rerun) -> tuple[str, str]:
    return source.machine.registers_sha256(), source.machine.ram_sha256()


Run = Callable[[], tuple[Rerun | None, int, int]]


def _runs(
    recipe: GuestRecipe, window: list[Window], scheduler: str | None, states: States
) -> Iterable[tuple[str, Run]]:
    def plain() -> tuple[Rerun, int, int]:
        source = recipe.source()
        source.forward(window[-1].end)
        return source, source.machine.processor.clock, 0

    def streamed(what: frozenset[str]) -> Run:
        def run() -> tuple[Rerun, int, int]:
            source, count = recipe.source(), 0
            for batch in expand_windows(source, window, ExpansionParameters(what=what)):
                count += int(batch.end - batch.start)
                _look_at(batch)
            return source, count, 0

        return run

    def written() -> tuple[Rerun, int, int]:
        source = recipe.source()
        parts = list(expand_parts(source, window, ExpansionParameters(what=VALUES)))
        size = sum(len(data) for part in parts for data in part.files.values())
        return source, sum(part.instructions for part in parts), size

    def shared(workers: int) -> Run:
        def run() -> tuple[None, int, int]:
            parts = in_parallel(
                recipe, window, ExpansionParameters(what=VALUES), jobs=workers, scheduler=scheduler, states=states
            )
            return None, sum(part.instructions for part in parts), 0

        return run

    yield "plain", plain
    yield "branches", streamed(frozenset(("branches",)))
    yield "streamed", streamed(FULL)
    yield "parquet", written
    if scheduler is not None:
        yield "jobs1", shared(1)
        yield "jobs2", shared(2)


def _look_at(batch: Batch) -> int:
    """What the least consumer does: every instruction's address, every reference's address and size, once."""
    columns = batch.linear, batch.refs, batch.address, batch.meta
    return sum(int(column.sum(dtype=np.uint64)) for column in columns)


@contextmanager
def _cluster(wanted: bool) -> Iterator[str | None]:
    """A local cluster of two workers that have started: its address."""
    if not wanted:
        yield None
        return
    dask: Any = import_module("distributed")
    with dask.LocalCluster(**local_cluster(2)) as cluster, dask.Client(cluster) as client:
        client.wait_for_workers(2)
        client.run(_warm)
        yield str(cluster.scheduler_address)


def _warm() -> None:
    """A worker's imports, and its functions loaded."""
    recipe = GuestRecipe("teaching", memory=8 << 20)
    list(expand_parts(recipe.source(), [Window(0, 1000)], ExpansionParameters(what=VALUES), turns=True))


def _figures(rates: dict[str, list[float]], each: float) -> list[Figure]:
    goals = {"streamed": 45.0, "parquet": 30.0}
    found = [
        Figure(f"trace.{name}", median(values), "M insn/s", STREAM, spread(values), goals.get(name))
        for name, values in rates.items()
    ]
    method = "all files / instructions: every instruction, reference and value, events, address spaces"
    found.append(Figure("trace.size", each, "bytes/insn", method, goal=0.6, at_least=False))
    ratios = [one / other for one, other in zip(rates["branches"], rates["plain"], strict=True)]
    text = "branches only / plain in one round; median of the rounds"
    found.append(Figure("trace.branches_ratio", median(ratios), "x", text, spread(ratios), 0.8))
    if "jobs2" in rates:
        ratios = [two / one for two, one in zip(rates["jobs2"], rates["jobs1"], strict=True)]
        text = (
            "two jobs / one job, of one core each, on a cluster that has started, cut at a checkpoint of the run that "
            "has found the end; median of the rounds"
        )
        found.append(Figure("trace.jobs_ratio", median(ratios), "x", text, spread(ratios), 1.7))
    return found


def _beside(recipe: GuestRecipe, end: int, say: Progress) -> list[Figure]:
    say("beside: Python hooks on Unicorn")
    found = [
        Figure(
            "trace.unicorn_python", _python_hooks(recipe, end), "M insn/s",
            f"Python hooks before each instruction and on each access of the same machine, {HOOKED} instructions "
            "in the middle of the run",
        )
    ]  # fmt: skip
    if shutil.which(QEMU) is None:
        say(f"{QEMU} is not installed: its log is left out")
    elif recipe.guest == "linux":
        say("beside: QEMU's instruction log")
        rate, each = _qemu_log()
        text = f"lines of -d exec,nochain with one instruction per block, first {QEMU_SECONDS:g} s of the boot"
        found += [
            Figure("trace.qemu_log", rate, "M insn/s", f"{text}; no memory references"),
            Figure("trace.qemu_log_size", each, "bytes/insn", text),
        ]
    return found


def _python_hooks(recipe: GuestRecipe, end: int) -> float:
    source = recipe.source()
    source.forward(end // 2)
    processor = source.machine.processor
    engine: Any = processor.core.emulator._uc  # noqa: SLF001  (a benchmark of Unicorn's own way)
    noted: list[tuple[int, ...]] = []

    def instruction(_uc: Any, address: int, size: int, _data: Any) -> None:
        noted.append((address, size))

    def access(_uc: Any, kind: int, address: int, size: int, value: int, _data: Any) -> None:
        noted.append((kind, address, size, value))

    handles = [
        engine.hook_add(UC_HOOK_CODE, instruction),
        engine.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, access),
    ]
    processor.flush_code()
    start = time.perf_counter()
    source.forward(end // 2 + HOOKED)
    seconds = time.perf_counter() - start
    for handle in handles:
        engine.hook_del(handle)
    return HOOKED / seconds / 1e6


def _one_by_one() -> tuple[str, ...]:
    """One instruction per block: an option of its own before QEMU 8.1, a property of TCG from then on."""
    shown = subprocess.run([QEMU, "-help"], capture_output=True, text=True, check=True).stdout
    if "one-insn-per-tb" in shown:
        return "-accel", "tcg,one-insn-per-tb=on"
    return "-accel", "tcg", "-singlestep"


def _qemu_log() -> tuple[float, float]:
    parts = fetched("linux")
    if parts is None:
        return 0.0, 0.0
    image = guests.boot("linux", memory=128 << 20)
    given = {placement.what: placement.data for placement in image.placements}
    with tempfile.TemporaryDirectory() as folder:
        initrd, log = Path(folder, "initrd"), Path(folder, "log")
        initrd.write_bytes(given["the initrd"])
        words = given["the command line"].rstrip(b"\0").decode()
        command = [
            QEMU, *_one_by_one(), "-m", "128M", "-kernel", str(parts.files["vmlinuz"]),
            "-initrd", str(initrd), "-append", words, "-display", "none", "-serial", "none", "-monitor", "none",
            "-no-reboot", "-d", "exec,nochain", "-D", str(log),
        ]  # fmt: skip
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(QEMU_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        seconds = time.perf_counter() - start
        log.touch()
        size = log.stat().st_size
        with log.open("rb") as file:
            head = file.read(1 << 20)
        lines = head.count(b"\n")
        if not lines:
            raise RuntimeError(f"{QEMU} has logged nothing: see what it says to {' '.join(command[1:4])}")
        each = len(head) / lines
        return size / each / seconds / 1e6, each
