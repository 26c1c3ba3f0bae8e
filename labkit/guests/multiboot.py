"""Multiboot: a kernel with a Multiboot header, modules and a command line become a boot image.

This module has version 1 and the choice between the two; `multiboot2` has version 2.
Source: Multiboot Specification 0.6.96.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labkit.guests import elf, files, layout, multiboot2
from labkit.guests.core import AddressFields, Core, from_addresses, from_elf
from labkit.guests.errors import GuestError
from labkit.guests.modules import BOOT_LOADER, INFORMATION, Module, Strings, place, text
from labkit.vm.machine.boot import BootImage, Placement

__all__ = ["Header", "find_header", "is_multiboot", "load"]

_MAGIC = 0x1BADB002
_START_EAX = 0x2BADB002
_SEARCH = 8192

_ADDRESS_FIELDS = 1 << 16
_UNDERSTOOD = 0b111  # of flags 0-15, which a loader must obey: page-aligned modules, memory size, video mode


@dataclass(frozen=True, slots=True)
class Header:
    """A Multiboot 1 header: where in the file it lies, its flags, and the address fields if it has them."""

    offset: int
    flags: int
    addresses: AddressFields | None


# 00 magic 1BADB002   04 flags   08 checksum (the three add up to 0)   and if flag 16 is set:
# 0C header_addr   10 load_addr   14 load_end_addr   18 bss_end_addr   1C entry_addr
def find_header(data: bytes) -> Header | None:
    """The Multiboot 1 header: 4-byte aligned and whole within the first 8192 bytes; None if there is none."""
    start = data[:_SEARCH]
    for offset in range(0, len(start) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", start, offset)
        if magic != _MAGIC or (magic + flags + checksum) & 0xFFFF_FFFF:
            continue
        if not flags & _ADDRESS_FIELDS:
            return Header(offset, flags, None)
        if offset + 0x20 <= len(start):
            return Header(offset, flags, AddressFields(*struct.unpack_from("<5I", start, offset + 0x0C)))
    return None


def is_multiboot(data: bytes) -> bool:
    """Whether `data` has a Multiboot header of either version."""
    return find_header(data) is not None or multiboot2.find_header(data) is not None


def load(
    kernel: files.Source, cmdline: str = "", modules: Sequence[files.Source] = (),
    memory: int = layout.DEFAULT_MEMORY,
) -> BootImage:  # fmt: skip
    """The boot image of a Multiboot kernel with its modules, for `memory` bytes.

    Modules lie from the first page after the kernel on. A kernel with headers of both versions starts by
    version 1. Raises GuestError when the file has no Multiboot header, demands what labkit lacks, or parts
    do not fit.
    """
    layout.check_memory(memory)
    data = files.read(kernel, "kernel")
    strings = Strings(cmdline, files.name_of(kernel, "kernel"))
    contents = [(files.name_of(m, "module"), files.read(m, "module")) for m in modules]
    if header := find_header(data):
        core = _core(data, header, memory)
        placed = place(contents, core.end, memory)
        information, eax = _information(strings, placed, memory), _START_EAX
    elif second := multiboot2.find_header(data):
        core = multiboot2.core(data, second, memory)
        placed = place(contents, core.end, memory)
        information, eax = multiboot2.information(strings, placed, memory), multiboot2.START_EAX
    else:
        raise GuestError(f"no Multiboot header in the first {_SEARCH} bytes (magic {_MAGIC:08X})")
    rest = (
        *(module.placement for module in placed),
        Placement(INFORMATION, information, "the boot information"),
    )
    extents = [*core.extents, *(layout.extent_of(p) for p in rest)]
    gdt = layout.flat_gdt(extents)
    layout.check_extents([*extents, layout.extent_of(gdt)], memory)
    start = replace(layout.bare_start(core.entry, gdt), eax=eax, ebx=INFORMATION)
    return BootImage(strings.name, (*core.placements, *rest, gdt), start, core.symbols)


def _core(data: bytes, header: Header, memory: int) -> Core:
    if unknown := header.flags & 0xFFFF & ~_UNDERSTOOD:
        raise GuestError(
            f"the Multiboot header at offset {header.offset:#x} asks for features that no loader knows"
            f" (flags {unknown:#06x})"
        )
    if header.addresses:
        return from_addresses(data, header.offset, header.addresses, memory)
    if not elf.is_elf(data):
        raise GuestError(
            f"the Multiboot header at offset {header.offset:#x} gives no addresses (flag 16), and the file"
            " is no ELF file: nothing says where it goes"
        )
    return from_elf(data, memory)


# 00 flags (what of the following is valid)   04 mem_lower, mem_upper (KB)   0C boot_device   10 cmdline
# 14 mods_count, mods_addr   1C syms (16 bytes)   2C mmap_length, mmap_addr   34 drives   3C config_table
# 40 boot_loader_name   44 apm_table   48 VBE (16 bytes)   58 framebuffer_addr (8)   60 pitch, width, height
# 6C bits per pixel   6D type (2: EGA text)   6E colour information (6)
def _information(strings: Strings, modules: Sequence[Module], memory: int) -> bytes:
    """The Multiboot information structure at INFORMATION and what it points to."""
    tail = bytearray()

    def keep(data: bytes) -> int:
        """Keep `data` behind the structure; its address."""
        address = INFORMATION + 0x74 + len(tail)
        tail.extend(data + bytes(-len(data) % 4))
        return address

    fields = bytearray(0x74)
    flags = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12
    lower, upper = layout.LOW_MEMORY_END >> 10, (memory - layout.HIGH_MEMORY) >> 10
    listed = b"".join(
        struct.pack("<4I", module.placement.address, module.placement.end, keep(text(module.name)), 0)
        for module in modules
    )
    regions = b"".join(struct.pack("<IQQI", 20, r.address, r.size, r.kind) for r in layout.memory_map(memory))
    struct.pack_into("<III", fields, 0x00, flags, lower, upper)
    struct.pack_into("<III", fields, 0x10, keep(strings.cmdline_bytes), len(modules), keep(listed))
    struct.pack_into("<II", fields, 0x2C, len(regions), keep(regions))
    struct.pack_into("<I", fields, 0x40, keep(BOOT_LOADER))
    struct.pack_into("<QIIIBB", fields, 0x58, 0xB8000, 160, 80, 25, 16, 2)
    return bytes(fields + tail)
