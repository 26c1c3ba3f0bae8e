"""The commands that put the binary translator beside the other engine."""

from typing import Annotated

import typer

from labkit.cli import options

__all__ = ["add_to"]


def _lockstep(
    guest: Annotated[str, typer.Argument(help="A guest's name.")],
    every: Annotated[str, typer.Option(metavar="INSTRUCTIONS", help="Compare so often.")] = "1M",
    first: Annotated[
        str, typer.Option("--from", metavar="INSTRUCTIONS", help="The first point that is compared.")
    ] = "0",
    limit: Annotated[str | None, typer.Option("--for", metavar="INSTRUCTIONS", help="The last one.")] = None,
    until_text: Annotated[
        str | None, typer.Option(metavar="STR", help="The end is when the console has printed this.")
    ] = None,
    say: Annotated[
        str | None, typer.Option("--input", metavar="STR", help="Typed once it has; the next such text is the end.")
    ] = None,
    memory: options.Memory = "128M",
    append: Annotated[str, typer.Option(metavar="STR", help="Added to the kernel's command line.")] = "",
    json: options.Json = False,
) -> int:  # fmt: skip
    """Both engines in lockstep: are registers and RAM the same?

    They are compared at the same points; the first difference is located.
    """
    from labkit.bench.lockstep import Plan
    from labkit.cli.lockstep import lockstep
    from labkit.cli.values import count, keystrokes, size

    plan = Plan(
        0 if first == "0" else count(first), count(every), None if limit is None else count(limit),
        (until_text or "").encode(), keystrokes(say) if say else b"",
    )  # fmt: skip
    return lockstep(guest, plan, memory=size(memory), append=append, as_json=json)


def _bt(
    rounds: Annotated[int, typer.Option(min=1, max=99, help="Repetitions; medians are shown.")] = 3,
    json: options.Json = False,
) -> int:
    """Binary translation beside hardware assistance.

    On a Linux boot, find /sys, and a loop in kernel code.
    """
    from labkit.bench.translator import measure
    from labkit.cli.bench import _report as report
    from labkit.cli.errors import complain

    return report("bt", rounds, json, lambda: measure(rounds, complain))


def add_to(bench: typer.Typer) -> None:
    """Give these commands to `labkit bench`."""
    bench.command(name="lockstep")(_lockstep)
    bench.command(name="bt")(_bt)
