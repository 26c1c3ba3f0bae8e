"""Flat images: bytes without a header, placed at an address and started at the first, in 32-bit mode."""

from labkit.guests import files, layout
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement

__all__ = ["load"]


def load(
    source: files.Source, at: int = layout.HIGH_MEMORY, memory: int = layout.DEFAULT_MEMORY
) -> BootImage:
    """The boot image of raw code that goes, and starts, at the physical address `at`.

    Raises GuestError when the file is empty or does not lie in usable memory.
    """
    data = files.read(source, "flat image")
    if not data:
        raise GuestError("the flat image is empty: there is nothing to run")
    code = Placement(at, data, "the flat image")
    gdt = layout.flat_gdt([layout.extent_of(code)])
    layout.check_extents((layout.extent_of(p) for p in (code, gdt)), memory)
    return BootImage(files.name_of(source, "flat"), (code, gdt), layout.bare_start(at, gdt))
