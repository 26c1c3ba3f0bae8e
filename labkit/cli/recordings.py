"""The options of the commands on recordings: record, replay, info."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_to"]

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
File = Annotated[Path, typer.Argument(help="A recording.")]
Guest = Annotated[str | None, typer.Argument(help="A guest's name; `labkit guests` lists them.")]
Append = Annotated[
    str, typer.Option(metavar="STR", help="Kernel command line (added to a named guest's own).")
]
Text = Annotated[
    str | None, typer.Option("--until-text", metavar="STR", help="Stop when the console has printed this.")
]
Say = Annotated[
    str | None, typer.Option("--input", metavar="STR", help=r"Type this on the console; knows \n, \xHH.")
]
After = Annotated[
    str | None,
    typer.Option("--input-after", metavar="STR", help="... once this has appeared (default: the prompt)."),
]
Limit = Annotated[
    str | None, typer.Option("--for", metavar="INSTRUCTIONS", help="Stop after so many: 1e9, 100M, ...")
]


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(record)
    app.command()(replay)
    app.command()(info)


def record(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the recording goes.")],
    guest: Guest = None,
    kernel: Annotated[Path | None, typer.Option(metavar="FILE", help="Record this kernel instead.")] = None,
    initrd: Annotated[Path | None, typer.Option(metavar="FILE", help="Its initial file system.")] = None,
    at: Annotated[str | None, typer.Option(metavar="ADDRESS", help="It is raw code: start it here.")] = None,
    append: Append = "",
    disk: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A disk image; may be repeated. Never written.")
    ] = None,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Guest memory: 128M, 1G, ...")] = "128M",
    firmware_path: Annotated[
        bool, typer.Option("--firmware-path", help="Let a bzImage unpack itself, as after firmware.")
    ] = False,
    until_text: Text = None,
    say: Say = None,
    input_after: After = None,
    until_screen: Annotated[
        str | None, typer.Option(metavar="STR", help="Stop when the VGA text screen shows this.")
    ] = None,
    keys: Annotated[
        str | None, typer.Option(metavar="STR", help="Type this on the PS/2 keyboard, ...")
    ] = None,
    keys_after: Annotated[
        str | None, typer.Option(metavar="STR", help="... once the VGA text screen shows this.")
    ] = None,
    limit: Limit = None,
    clock: Annotated[str, typer.Option(hidden=True)] = "live",
    json: Json = False,
) -> int:
    """Run a guest on the live clock and record it: whatever came from outside, with its exact point.

    At a terminal, with no end asked for, what is typed goes to the guest's console; Ctrl-C ends the recording.
    Exits as `labkit run` does.
    """
    from labkit.cli.keyboard import at_terminal
    from labkit.cli.record import record as record_guest
    from labkit.cli.request import Request

    request = Request.parse(
        guest=guest, kernel=kernel, initrd=initrd, at=at, append=append, disks=disk or [], memory=memory,
        firmware_path=firmware_path, until_text=until_text, say=say, input_after=input_after, limit=limit,
        clock=clock, terminal=at_terminal() and not json, keys=keys, keys_after=keys_after,
        until_screen=until_screen,
    )  # fmt: skip
    return record_guest(request, output, as_json=json)


def replay(
    file: File,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare registers and RAM with the recorded end.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(metavar="INSTRUCTION", help="Replay up to this point: 1e9, 100M, ...")
    ] = None,
    go_live: Annotated[
        bool, typer.Option("--go-live", help="Go on from there on the host's clock; what follows is for it.")
    ] = False,
    until_text: Text = None,
    say: Say = None,
    input_after: After = None,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """Replay a recording on a second machine; its console goes to stdout.

    Exits with 0 when it went as recorded; with 1 at the first difference (told on stderr), or where there is
    nothing to `--verify` with; with 2 for a file that cannot be replayed.
    """
    from labkit.cli.errors import CommandError
    from labkit.cli.keyboard import at_terminal
    from labkit.cli.replay import replay as replay_file
    from labkit.cli.request import Request
    from labkit.cli.values import count

    if not go_live and (until_text or say or input_after or limit):
        raise CommandError("--until-text, --input and --for are for what follows --go-live")
    live = Request.parse(
        guest=str(file), kernel=None, initrd=None, at=None, append="", disks=[], memory="128M",
        firmware_path=False, until_text=until_text, say=say, input_after=input_after, limit=limit,
        clock="live", terminal=at_terminal() and not json,
    )  # fmt: skip
    stop = count(until) if until is not None else None
    return replay_file(file, verify=verify, until=stop, live=live if go_live else None, as_json=json)


def info(file: File, json: Json = False) -> int:
    """Say what a recording holds, without replaying it."""
    from labkit.cli.info import info as show

    return show(file, as_json=json)
