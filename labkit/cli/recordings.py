"""The commands on recordings: record, replay, info."""

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli import options

__all__ = ["add_to"]

File = Annotated[Path, typer.Argument(help="A recording.")]


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(record)
    app.command()(replay)
    app.command()(info)


def record(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the recording goes.")],
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
    clock: Annotated[str, typer.Option(hidden=True)] = "live",
    json: options.Json = False,
) -> int:
    """Run a guest on the live clock and record it.

    The recording holds whatever came from outside, with its exact point.

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
        bool, typer.Option("--go-live", help="Go on from there on the host's clock, with no further input out of it.")
    ] = False,
    until_text: options.UntilText = None,
    say: options.Say = None,
    input_after: options.After = None,
    limit: options.Limit = None,
    json: options.Json = False,
) -> int:
    """Replay a recording on a second machine.

    Its console goes to stdout.

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


def info(file: File, json: options.Json = False) -> int:
    """Say what a recording holds, without replaying it."""
    from labkit.cli.info import info as show

    return show(file, as_json=json)
