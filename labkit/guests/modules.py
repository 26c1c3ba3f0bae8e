"""What both Multiboot versions hand to a kernel: modules, strings, and the place of the boot information."""

from collections.abc import Iterable
from dataclasses import dataclass

from labkit.guests import layout
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import Placement

__all__ = ["BOOT_LOADER", "INFORMATION", "Module", "Strings", "place", "text"]

INFORMATION = 0x90000
"""Where the boot information goes; up to 63 KB."""

BOOT_LOADER = b"labkit\0"
_MAX_TEXT = 16384


@dataclass(frozen=True, slots=True)
class Module:
    """A file that the kernel finds in memory."""

    name: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Strings:
    """The command line and the kernel's file name. Raises GuestError for one that no kernel could read."""

    cmdline: str
    name: str

    def __post_init__(self) -> None:
        if "\0" in self.cmdline or len(self.cmdline_bytes) > _MAX_TEXT:
            raise GuestError(f"the command line holds a NUL character or has more than {_MAX_TEXT:,} bytes")

    @property
    def cmdline_bytes(self) -> bytes:
        """The command line with its final NUL."""
        return text(self.cmdline)


def text(string: str) -> bytes:
    """The bytes of a name or command line as the system gave them, with a final NUL."""
    return string.encode("utf-8", "surrogateescape") + b"\0"


def place(contents: Iterable[tuple[str, bytes]], after: int, memory: int) -> list[Module]:
    """Modules (name and contents), each on a page of its own, above 1 MB and from `after` on."""
    at = max(after, layout.HIGH_MEMORY)
    placed = []
    for name, data in contents:
        at = (at + 0xFFF) & ~0xFFF
        placed.append(Module(name, Placement(at, data, f"module {name}")))
        at += len(data)
    layout.check_extents((layout.extent_of(module.placement) for module in placed), memory)
    return placed
