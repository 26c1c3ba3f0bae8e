"""`labkit bench engine | boot | ...`: measure, and show the figures: a table or a JSON object."""

import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cli.errors import DONE, CommandError, complain
from labkit.cli.first_start import announce

if TYPE_CHECKING:
    from labkit.bench.figure import Figure

__all__ = [
    "attacks", "boot", "engine", "keys", "notebook", "record", "segmentation", "thread_local", "timeline", "trace",
    "ui",
]  # fmt: skip


def engine(*, rounds: int, as_json: bool) -> int:
    """Loops beside raw Unicorn, exits, checkpoints."""
    from labkit.bench import checkpoint, exits
    from labkit.bench import engine as loops
    from labkit.guests.fetch import fetched

    guest = "linux" if fetched("linux") else "teaching"

    def measure() -> Sequence["Figure"]:
        return [
            *loops.measure(rounds, complain),
            *exits.measure(rounds, complain),
            *checkpoint.measure(guest, complain, rounds=min(rounds, 3)),
        ]

    return _report("engine", rounds, as_json, measure)


def boot(*, rounds: int, as_json: bool, firmware_path: bool) -> int:
    """A Linux boot beside QEMU."""
    from labkit.bench.boot import measure

    return _report(
        "boot", rounds, as_json, lambda: measure(rounds, complain, firmware_path=firmware_path),
        firmware_path=firmware_path,
    )  # fmt: skip


def ui(*, presses: int, as_json: bool) -> int:
    """Key press to changed page, beside a plain ipywidgets update."""
    from labkit.bench.ui import measure

    return _report("ui", presses, as_json, lambda: measure(presses, complain))


def attacks(*, accesses: int, seed: int, as_json: bool) -> int:
    """Random accesses of a guest that shares the monitor's address space."""
    from labkit.bench.attacks import measure

    return _report("attacks", 1, as_json, lambda: measure(accesses, seed, complain), accesses=accesses, seed=seed)


def segmentation(*, rounds: int, as_json: bool) -> int:
    """The segmentation unit on flat code."""
    from labkit.bench.segmentation import measure

    return _report("segmentation", rounds, as_json, lambda: measure(rounds, complain))


def notebook(path: Path, *, cores: int, rounds: int, as_json: bool) -> int:
    """A notebook opened and run in JupyterLab."""
    from labkit.bench.notebook import measure

    return _report(
        "notebook", rounds, as_json, lambda: measure(path, cores, rounds, complain),
        notebook=path.name, cores=cores,
    )  # fmt: skip


def thread_local(*, trace: Path | None, output: Path | None, as_json: bool) -> int:
    """Thread-local storage of Linux's programs, and the strategies on our own guests."""
    from labkit.bench import strategies
    from labkit.bench.thread_local import measure

    return _report(
        "thread-local", 1, as_json, lambda: [*measure(trace, output, complain), *strategies.measure(complain)]
    )


def timeline(*, rounds: int, as_json: bool) -> int:
    """Looking back on a boot."""
    from labkit.bench.timeline import measure
    from labkit.guests.fetch import fetched

    guest = "linux" if fetched("linux") else "teaching"
    return _report("timeline", rounds, as_json, lambda: measure(guest, rounds, complain), guest=guest)


def keys(*, accesses: int, as_json: bool) -> int:
    """What a privilege change costs when access rights are virtualized."""
    from labkit.bench.keys import measure

    return _report("keys", 1, as_json, lambda: measure(accesses, complain), accesses=accesses)


def trace(*, rounds: int, as_json: bool) -> int:
    """Tracing a boot."""
    from labkit.bench.trace import measure
    from labkit.guests.fetch import fetched

    guest = "linux" if fetched("linux") else "teaching"
    return _report("trace", rounds, as_json, lambda: measure(guest, rounds, complain), guest=guest)


def record(*, rounds: int, as_json: bool) -> int:
    """Recording a live boot, beside QEMU's log of it."""
    from labkit.bench.record import measure
    from labkit.guests.fetch import fetched

    guest = "linux" if fetched("linux") else "teaching"
    return _report("record", rounds, as_json, lambda: measure(guest, rounds, complain), guest=guest)


def _report(
    name: str, rounds: int, as_json: bool, measure: Callable[[], Sequence["Figure"]], **more: object
) -> int:
    announce()
    try:
        figures = measure()
    except (RuntimeError, ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        shown = {figure.name: figure.document() for figure in figures}
        print(json.dumps({"benchmark": name, "rounds": rounds, **more, "host": _host(), "figures": shown}))
    else:
        _show(name, rounds, figures)
    return DONE


def _host() -> dict[str, object]:
    return {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()}


def _show(name: str, rounds: int, figures: Sequence["Figure"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"labkit bench {name}, {rounds} rounds")
    methods = list(dict.fromkeys(figure.method for figure in figures))
    for column in ("figure", "value", "unit", "spread", "goal", "how"):
        table.add_column(column, justify="right" if column in {"value", "spread"} else "left")
    for figure in figures:
        spread = f"±{figure.spread:.0%}" if figure.spread else ""
        how = str(methods.index(figure.method) + 1)
        table.add_row(figure.name, _number(figure.value), figure.unit, spread, _goal(figure), how)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for number, method in enumerate(methods, 1):
        console.print(f"{number} {method}", soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _goal(figure: "Figure") -> str:
    if figure.goal is None:
        return ""
    relation = "at least" if figure.at_least else "at most"
    return f"{relation} {figure.goal:,g}: {'met' if figure.met else 'MISSED'}"
