"""The commands and their options; each imports what it needs when it is called, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli import engine_bench, options, recordings

__all__ = ["command"]

app = typer.Typer(
    help="A virtual machine monitor that you can see through.",
    epilog="Exit codes: 0 done, 1 the guest ended otherwise, 2 wrong use, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bench = typer.Typer(help="Measure labkit beside something else.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(bench, name="bench")
engine_bench.add_to(bench)

Rounds = Annotated[int, typer.Option(min=1, max=99, help="Repetitions; medians are shown.")]


def command() -> Any:
    """The whole command line as one callable; Any, because typer and click name its type differently."""
    return typer.main.get_command(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"labkit {version('labkit')}")
        raise typer.Exit


@app.callback()
def _labkit(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A virtual machine monitor that you can see through."""


@app.command()
def doctor(json: options.Json = False) -> int:
    """Check whether this machine can run guests.

    Versions, the processor's layout, compiled hooks, guests, tools.
    """
    from labkit.cli.doctor import doctor as run_doctor

    return run_doctor(as_json=json)


@app.command()
def guests(json: options.Json = False) -> int:
    """List the guests that can be run by name."""
    from labkit.cli.guests import list_guests

    return list_guests(as_json=json)


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A guest's name; `labkit guests` lists them.")]) -> int:
    """Obtain a guest through the system's package manager.

    It goes into the user's cache; nothing is installed, and it needs no root.
    """
    from labkit.cli.fetch import fetch as run_fetch

    return run_fetch(name)


@app.command()
def run(
    guest: options.Guest = None,
    kernel: options.Kernel = None,
    initrd: options.Initrd = None,
    at: options.At = None,
    append: options.Append = "",
    disk: options.Disks = None,
    memory: options.Memory = "128M",
    firmware_path: options.FirmwarePath = False,
    until_text: options.UntilText = None,
    say: options.Say = None,
    input_after: options.After = None,
    until_screen: options.UntilScreen = None,
    keys: options.Keys = None,
    keys_after: options.KeysAfter = None,
    limit: options.Limit = None,
    clock: Annotated[
        str | None,
        typer.Option(metavar="virtual|live", help="Time from instructions (the default), or from the host's "
                     "clock (the default where a person types)."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(metavar="hw|bt", help="Hardware assistance, or binary translation of the kernel, to the same "
                     "state at every point (labkit bench lockstep)."),
    ] = "hw",
    protection: Annotated[
        str,
        typer.Option(metavar="WAY", help="How privilege levels are kept apart: paging (the default) or keyed-paging; "
                     "for rings: shadow-keys (the default), purge, entry-per-level, or none. --json has the counts."),
    ] = "",
    descriptors: options.Descriptors = "",
    screen: Annotated[bool, typer.Option("--screen", help="Print the VGA text screen at the end.")] = False,
    json: options.Json = False,
) -> int:  # fmt: skip
    """Run a guest: its console goes to stdout, a closing line to stderr.

    At a terminal, with no end asked for, what is typed goes to the guest's console.

    Exits with 0 when what was asked for came to pass: the text appeared, the instructions were run, or, with
    neither asked for, the guest switched itself off; with 1 when the guest ended otherwise or the text never
    came; with 2 when something cannot be used; with 130 on Ctrl-C (again: at once).
    """
    from labkit.cli.keyboard import at_terminal
    from labkit.cli.request import Request
    from labkit.cli.run import run as run_guest

    request = Request.parse(
        guest=guest, kernel=kernel, initrd=initrd, at=at, append=append, disks=disk or [], memory=memory,
        firmware_path=firmware_path, until_text=until_text, say=say, input_after=input_after, limit=limit,
        clock=clock, terminal=at_terminal() and not json, keys=keys, keys_after=keys_after,
        until_screen=until_screen, engine=engine, protection=protection, descriptors=descriptors,
    )  # fmt: skip
    return run_guest(request, screen=screen, as_json=json)


recordings.add_to(app)  # `labkit --help` lists the commands in this order


@app.command()
def trace(
    source: Annotated[str, typer.Argument(help="A recording, or a guest's name: it runs on the virtual clock.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Where the trace goes.")],
    kind: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="parquet, text or champsim.")
    ] = "parquet",
    what: Annotated[
        str,
        typer.Option(
            help="Of instructions, bytes, branches, memory, values, linear, registers, walks, events, spaces, with "
            "commas."
        ),
    ] = "instructions,values,events,spaces",
    window: Annotated[
        list[str] | None, typer.Option(metavar="A:B", help="Only these execution points; may be repeated.")
    ] = None,
    times: Annotated[
        list[str] | None,
        typer.Option("--time", metavar="A:B", help="Only this guest time, in seconds: 1.5:2, or 20ms+500us."),
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option(metavar="A:B", help="From event number A to before B.")
    ] = None,
    hit: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS#N+COUNT", help="COUNT instructions from the Nth at ADDRESS on."),
    ] = None,
    start_at: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="From each instruction at this address, ...")
    ] = None,
    stop_at: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="... to the next one at that.")
    ] = None,
    cpl: Annotated[list[int] | None, typer.Option(min=0, max=3, help="Only this privilege level.")] = None,
    code: Annotated[
        list[str] | None, typer.Option(metavar="A:B", help="Only code at these linear addresses.")
    ] = None,
    code_physical: Annotated[list[str] | None, typer.Option(metavar="A:B", help="... physical ones.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="A:B", help="Only references to these physical addresses.")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(metavar="CR3", help="Only in this address space.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="One instruction in so many.")] = 1,
    period: Annotated[
        str | None, typer.Option(metavar="N/M", help="The first N instructions of every M.")
    ] = None,
    memory: options.Memory = "128M",
    append: options.Append = "",
    until_text: Annotated[
        str | None, typer.Option(metavar="STR", help="The run ends when the console has printed this.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--for", metavar="INSTRUCTIONS", help="Only the first so many.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=999, help="Workers that share the run.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler; default: a cluster here.")
    ] = None,
    json: options.Json = False,
) -> int:  # fmt: skip
    """Trace a run: every instruction and memory reference.

    Or what the options leave of them.
    """
    from labkit.cli.trace import Wanted
    from labkit.cli.trace import trace as run_trace
    from labkit.cli.values import count, size

    wanted = Wanted(
        source, out, kind, size(memory), append, until_text, None if limit is None else count(limit),
        window or [], times or [], events or [], hit or [], start_at, stop_at, what, cpl or [], code or [],
        code_physical or [], data or [], space or [], every, period, jobs, scheduler,
    )  # fmt: skip
    return run_trace(wanted, as_json=json)


@app.command()
def lab(
    folder: Annotated[Path | None, typer.Argument(help="Where the notebooks are.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> int:
    """Open the lab in JupyterLab."""
    from labkit.cli.lab import lab as open_lab

    return open_lab(folder, browser=browser)


@bench.command(name="engine")
def bench_engine(rounds: Rounds = 5, json: options.Json = False) -> int:
    """Speed beside raw Unicorn; cost of an exit and a checkpoint."""
    from labkit.cli.bench import engine

    return engine(rounds=rounds, as_json=json)


@bench.command(name="boot")
def bench_boot(
    rounds: Rounds = 5,
    firmware_path: Annotated[
        bool, typer.Option("--firmware-path", help="labkit's guest unpacks its kernel itself, too.")
    ] = False,
    json: options.Json = False,
) -> int:
    """A Linux boot beside QEMU's translator: time, peak memory."""
    from labkit.cli.bench import boot

    return boot(rounds=rounds, as_json=json, firmware_path=firmware_path)


@bench.command(name="attacks")
def bench_attacks(
    accesses: Annotated[int, typer.Option(min=1, help="Of each mode and strategy.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Another seed gives other attacks.")] = 1,
    json: options.Json = False,
) -> int:
    """Lab 1: attacks on the monitor in every mode and strategy.

    And with each safeguard left out.
    """
    from labkit.cli.bench import attacks

    return attacks(accesses=accesses, seed=seed, as_json=json)


@bench.command(name="segmentation")
def bench_segmentation(rounds: Rounds = 5, json: options.Json = False) -> int:
    """Lab 1: flat code with the segmentation unit and without."""
    from labkit.cli.bench import segmentation

    return segmentation(rounds=rounds, as_json=json)


@bench.command(name="thread-local")
def bench_thread_local(
    trace: Annotated[Path | None, typer.Option(help="A trace of a Linux boot's user code; default: make one.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the episodes go, as JSON.")] = None,
    json: options.Json = False,
) -> int:
    """Lab 1: faults of real programs by truncated segments.

    How many accesses of a Linux boot's programs the segments would make fault, by strategy.
    """
    from labkit.cli.bench import thread_local

    return thread_local(trace=trace, output=output, as_json=json)


@bench.command(name="timeline")
def bench_timeline(rounds: Rounds = 3, json: options.Json = False) -> int:
    """Looking back on a Linux boot: seeks, steps, who wrote this."""
    from labkit.cli.bench import timeline

    return timeline(rounds=rounds, as_json=json)


@bench.command(name="keys")
def bench_keys(
    accesses: Annotated[
        int, typer.Option(min=1, help="Accesses of each random program, and of random guest code.")
    ] = 1_000_000,
    json: options.Json = False,
) -> int:
    """Lab 2: what a change of level costs, and are verdicts right?

    TLB refills by shadow keys, by purging and by an entry per level; every combination and random accesses against
    the architecture's rules; more keys than registers; Linux booted by keyed paging and by paging.

    Takes ten minutes or so of a processor, most of them for the random accesses; `--accesses 20000` takes one.
    Each step says on stderr how far it is.
    """
    from labkit.cli.bench import keys

    return keys(accesses=accesses, as_json=json)


@bench.command(name="trace")
def bench_trace(rounds: Rounds = 3, json: options.Json = False) -> int:
    """A traced Linux boot beside Python hooks and QEMU's log.

    Every instruction and reference of it.
    """
    from labkit.cli.bench import trace

    return trace(rounds=rounds, as_json=json)


@bench.command(name="record")
def bench_record(rounds: Rounds = 3, json: options.Json = False) -> int:
    """Record a live boot: what recording costs, beside QEMU's.

    And the bytes of log per 1000 instructions.
    """
    from labkit.cli.bench import record

    return record(rounds=rounds, as_json=json)


@bench.command(name="ui")
def bench_ui(
    presses: Annotated[int, typer.Option(min=2, help="Key presses that are measured.")] = 60,
    json: options.Json = False,
) -> int:
    """Key press to changed page in the debugger.

    Beside a plain ipywidgets update in a stock JupyterLab.
    """
    from labkit.cli.bench import ui

    return ui(presses=presses, as_json=json)


@bench.command(name="notebook")
def bench_notebook(
    path: Annotated[Path, typer.Argument(help="The notebook.")] = Path("notebooks/start.ipynb"),
    cores: Annotated[int, typer.Option(min=1, help="Cores for server, kernel and browser together.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, max=99, help="Repetitions; the worst is shown.")] = 1,
    json: options.Json = False,
) -> int:
    """A notebook opened and all run in JupyterLab: time, memory.

    Seconds, and the memory of server and kernel.
    """
    from labkit.cli.bench import notebook

    return notebook(path, cores=cores, rounds=rounds, as_json=json)
