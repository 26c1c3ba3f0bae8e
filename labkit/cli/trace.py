"""`labkit trace`: a run, gone through again, as a trace file."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli.errors import DONE, INTERRUPTED, CommandError, complain
from labkit.cli.fetch import obtain

if TYPE_CHECKING:
    from labkit.vm.replay.expansion_parameters import ExpansionParameters
    from labkit.vm.replay.trace_parts import Recipe

__all__ = ["Wanted", "trace"]

FORMATS = ("parquet", "text", "champsim")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `labkit trace` as they were typed."""

    source: str
    out: Path
    format: str
    memory: int
    append: str
    until_text: str | None
    limit: int | None
    windows: list[str]
    times: list[str]
    events: list[str]
    hits: list[str]
    start_at: str | None
    stop_at: str | None
    what: str
    privilege: list[int]
    code: list[str]
    code_physical: list[str]
    data: list[str]
    spaces: list[str]
    every: int
    period: str | None
    jobs: int
    scheduler: str | None


def trace(wanted: Wanted, *, as_json: bool) -> int:
    """Write the trace; the exit code. Raises CommandError and GuestError."""
    from labkit.vm.replay.errors import TimelineError

    if wanted.format not in FORMATS:
        raise CommandError(f"--format {wanted.format!r} is not known; it is {', '.join(FORMATS)}")
    try:
        told = _trace(wanted)
    except (TimelineError, OSError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        print(json.dumps(told))
    else:
        print(_closing_line(told))
    if told["interrupted"]:
        complain(f"interrupted: {told['out']} is a whole trace of the {told['instructions']} instructions before")
        return INTERRUPTED
    return DONE


def _closing_line(told: dict[str, Any]) -> str:
    count, size = told["instructions"], told["bytes"]
    rate = count / told["seconds"] / 1e6 if told["seconds"] else 0.0
    each = f", {size / count:.2f} bytes each" if count else ""
    shown = f"{count:,}".replace(",", " ")
    return f"{told['out']}: {shown} instructions in {told['seconds']:.1f} s ({rate:.1f} million per second){each}"


def _parameters(wanted: Wanted) -> "ExpansionParameters":
    from labkit.vm.replay.expansion_parameters import ExpansionParameters, parse_hits, parse_range, parse_time

    def ranges(texts: list[str]) -> tuple[tuple[int, int], ...]:
        return tuple(parse_range(text) for text in texts)

    def place(text: str | None) -> int | None:
        return None if text is None else parse_hits(text).address

    length, _, period = (wanted.period or "0/0").partition("/")
    windows = ranges(wanted.windows)
    if wanted.limit is not None:
        windows = windows or ((0, wanted.limit),)
    return ExpansionParameters(
        windows=windows, times=tuple(map(parse_time, wanted.times)),
        events=ranges(wanted.events), hits=tuple(map(parse_hits, wanted.hits)),
        start_at=place(wanted.start_at), stop_at=place(wanted.stop_at),
        what=frozenset(word.strip() for word in wanted.what.split(",")), privilege=frozenset(wanted.privilege),
        code=ranges(wanted.code), code_physical=ranges(wanted.code_physical), data=ranges(wanted.data),
        spaces=frozenset(parse_hits(text).address for text in wanted.spaces), every=wanted.every,
        period=parse_hits(period or "0").address, length=parse_hits(length).address,
    )  # fmt: skip


def _recipe(wanted: Wanted) -> "Recipe":
    from labkit.guests import catalog
    from labkit.vm.replay.trace_parts import GuestRecipe, RecordingRecipe

    if Path(wanted.source).is_file():
        if wanted.append or wanted.until_text:
            raise CommandError("--append and --until-text are for a guest; a recording is what it is")
        return RecordingRecipe(wanted.source)
    known = catalog.guest(wanted.source)
    if known.fetch:
        obtain(wanted.source)
    return GuestRecipe(
        wanted.source, wanted.memory, wanted.append, (wanted.until_text or "").encode("utf-8", "surrogateescape")
    )


def _trace(wanted: Wanted) -> dict[str, Any]:
    from labkit.vm.replay import trace_file
    from labkit.vm.replay.trace_windows import windows

    parameters, recipe = _parameters(wanted), _recipe(wanted)
    if wanted.format == "parquet":
        trace_file.begin(wanted.out)
    start = time.perf_counter()
    source = recipe.source()
    found = windows(source, parameters)
    goal = found[-1].end if found and found[-1].end < 1 << 59 else None
    made = _Made()
    interrupted = False
    try:
        with _progress(goal) as tell:
            if wanted.format == "parquet":
                _write(wanted, recipe, source, found, parameters, tell, made)
            else:
                _export(wanted, source, found, parameters, tell, made)
    except KeyboardInterrupt:
        interrupted = True
    if made.left_out:
        complain(f"{made.left_out} references found no room in ChampSim's records")
    told = {"source": wanted.source, "out": str(wanted.out), "instructions": made.count, "bytes": made.size,
            "rows": made.rows, "interrupted": interrupted}  # fmt: skip
    if wanted.format == "parquet":
        of = {"source": wanted.source, "parameters": parameters.document(), "interrupted": interrupted}
        trace_file.finish(wanted.out, of, made.rows.items())
    return {**told, "seconds": time.perf_counter() - start}


@dataclass(slots=True)
class _Made:
    """What has been written so far."""

    count: int = 0
    size: int = 0
    left_out: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, size: int, count: int, rows: dict[str, int]) -> None:
        """More of it."""
        self.size += size
        self.count += count
        for name, more in rows.items():
            self.rows[name] = self.rows.get(name, 0) + more


def _write(
    wanted: Wanted, recipe: Any, source: Any, found: Any, parameters: Any, tell: Callable[[int], None], made: _Made
) -> None:
    from labkit.vm.replay.trace_file import write_part
    from labkit.vm.replay.trace_parts import parts_by

    def told(clock: int, _end: int) -> None:
        tell(clock)

    for part in parts_by(recipe, source, found, parameters, told, jobs=wanted.jobs, scheduler=wanted.scheduler):
        made.add(write_part(wanted.out, part.number, part.files), part.instructions, part.rows)


def _export(
    wanted: Wanted, source: Any, found: Any, parameters: Any, tell: Callable[[int], None], made: _Made
) -> None:
    from labkit.vm.replay.trace_expand import expand_windows
    from labkit.vm.replay.trace_text import champsim, text

    with wanted.out.open("wb") as file:
        for batch in expand_windows(source, found, parameters):
            if wanted.format == "text":
                data = text(batch).encode()
            else:
                records, left_out = champsim(batch)
                data, made.left_out = records.tobytes(), made.left_out + left_out
            made.add(file.write(data), len(batch), {})
            tell(batch.end)


@contextmanager
def _progress(goal: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr with rate and time left; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _clock: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("tracing"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, start = bar.add_task("", total=goal, rate=""), time.perf_counter()

        def tell(clock: int) -> None:
            rate = clock / max(time.perf_counter() - start, 1e-3) / 1e6
            bar.update(task, completed=clock, rate=f"{clock / 1e6:.0f} M instructions, {rate:.0f} M/s")

        yield tell
