"""Options that more than one command has, each written once: a type with its name and its help."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "After", "Append", "At", "Disks", "FirmwarePath", "Guest", "Initrd", "Json", "Kernel", "Keys", "KeysAfter",
    "Limit", "Memory", "Say", "UntilScreen", "UntilText",
]  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

# --- the guest and its machine
Guest = Annotated[str | None, typer.Argument(help="A guest's name; `labkit guests` lists them.")]
Kernel = Annotated[
    Path | None, typer.Option(metavar="FILE", help="This instead: bzImage, ELF, multiboot or flat image.")
]
Initrd = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The kernel's initial file system, or its module.")
]
At = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The kernel is raw code: load and start it here.")
]
Append = Annotated[
    str, typer.Option(metavar="STR", help="Kernel command line (added to a named guest's own).")
]
Disks = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A disk image; may be repeated. Never written.")
]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Guest memory: 128M, 1G, ...")]
Descriptors = Annotated[
    str,
    typer.Option(
        metavar="WAY",
        help="What translated code runs on: shadow descriptors, cut below the monitor (the default); checked: shadows "
        "with the segmentation unit before each access, slow; own: the guest's, the monitor kept by the TLB alone.",
    ),
]
FirmwarePath = Annotated[
    bool, typer.Option("--firmware-path", help="Let a bzImage unpack itself, as after firmware.")
]

# --- what is typed, and when it is over
UntilText = Annotated[
    str | None, typer.Option(metavar="STR", help="Stop when the console has printed this.")
]
Say = Annotated[
    str | None, typer.Option("--input", metavar="STR", help=r"Type this on the console; knows \n, \xHH.")
]
After = Annotated[
    str | None,
    typer.Option(metavar="STR", help="... once this has appeared (default: the guest's prompt). "
                 "--until-text then counts only what comes after."),
]  # fmt: skip
UntilScreen = Annotated[
    str | None, typer.Option(metavar="STR", help="Stop when the VGA text screen shows this.")
]
Keys = Annotated[str | None, typer.Option(metavar="STR", help="Type this on the PS/2 keyboard, ...")]
KeysAfter = Annotated[
    str | None, typer.Option(metavar="STR", help="... once the VGA text screen shows this.")
]
Limit = Annotated[
    str | None, typer.Option("--for", metavar="INSTRUCTIONS", help="Stop after so many: 1e9, 100M, ...")
]
