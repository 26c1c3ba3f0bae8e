"""The core of a boot image: the kernel itself, before a loader adds what its boot protocol asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.guests import elf, layout
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import Placement, Symbol

__all__ = ["AddressFields", "Core", "from_addresses", "from_elf"]


@dataclass(frozen=True, slots=True)
class Core:
    """What of the kernel is placed, where it starts, its names, and all the memory that it needs to start."""

    placements: tuple[Placement, ...]
    entry: int
    symbols: Sequence[Symbol]
    extents: tuple[layout.Extent, ...]

    @property
    def end(self) -> int:
        """First address after all that the kernel needs to start."""
        return max(extent.end for extent in self.extents)


@dataclass(frozen=True, slots=True)
class AddressFields:
    """Where a kernel that is no ELF file goes, by its Multiboot header; an end of 0: the file's, none."""

    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


def from_elf(data: bytes, memory: int, more: Sequence[layout.Extent] = ()) -> Core:
    """The core of an ELF executable, which needs the memory of `more` besides."""
    kernel = elf.parse(data, memory)
    return Core(kernel.placements, kernel.entry, kernel.symbols, (*kernel.extents, *more))


def from_addresses(data: bytes, header_offset: int, fields: AddressFields, memory: int) -> Core:
    """The core of a flat image whose Multiboot header, at `header_offset`, says where it goes.

    Raises GuestError when the addresses contradict each other, the file or the memory.
    """
    first = header_offset - (fields.header - fields.load)
    size = fields.load_end - fields.load if fields.load_end else len(data) - first
    if not 0 <= first <= header_offset or size <= 0 or first + size > len(data):
        raise GuestError(
            f"the Multiboot header at offset {header_offset:#x} places {size:,} bytes from offset {first:#x}"
            f" at {fields.load:08x}; the file has {len(data):,}"
        )
    whole = max(size, fields.bss_end - fields.load)
    extent = layout.Extent(fields.load, whole, "the kernel")
    layout.check_extents([extent], memory)
    if not extent.address <= fields.entry < extent.end:
        raise GuestError(f"the entry point {fields.entry:08x} in the Multiboot header lies outside {extent}")
    placement = Placement(fields.load, data[first : first + size], "the kernel")
    return Core((placement,), fields.entry, (), (extent,))
