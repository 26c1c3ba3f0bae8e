"""Multiboot 2: the header's tags, and the boot information as tags. Source: Multiboot2 Specification 2.0."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labkit.guests import elf, layout
from labkit.guests.core import AddressFields, Core, from_addresses, from_elf
from labkit.guests.errors import GuestError
from labkit.guests.modules import BOOT_LOADER, Module, Strings, text

__all__ = ["START_EAX", "Header", "core", "find_header", "information"]

START_EAX = 0x36D76289
_MAGIC = 0xE85250D6
_SEARCH = 32768

_END, _REQUEST, _ADDRESS, _ENTRY, _CONSOLE, _FRAMEBUFFER, _ALIGN, _RELOCATABLE = 0, 1, 2, 3, 4, 5, 6, 10
_UNDERSTOOD = {_END, _REQUEST, _ADDRESS, _ENTRY, _CONSOLE, _FRAMEBUFFER, _ALIGN, _RELOCATABLE}


@dataclass(frozen=True, slots=True)
class Header:
    """A Multiboot 2 header: where in the file it lies, and what its tags say of addresses."""

    offset: int
    addresses: tuple[int, int, int, int] | None
    """header_addr, load_addr, load_end_addr, bss_end_addr"""
    entry: int | None


# 00 magic E85250D6   04 architecture (0: 32-bit x86)   08 header_length   0C checksum (the four add up to 0)
# 10 tags
def find_header(data: bytes) -> Header | None:
    """The Multiboot 2 header: 8-byte aligned and whole within the first 32768 bytes; None if there is none.

    Raises GuestError when its tags are damaged or demand what labkit lacks.
    """
    start = data[:_SEARCH]
    for offset in range(0, len(start) - 15, 8):
        magic, architecture, length, checksum = struct.unpack_from("<4I", start, offset)
        if magic == _MAGIC and (magic + architecture + length + checksum) & 0xFFFF_FFFF == 0:
            if architecture:
                raise GuestError(
                    f"a Multiboot2 kernel for architecture {architecture}; labkit runs 32-bit x86"
                )
            return _header(start, offset, length)
    return None


def _header(start: bytes, offset: int, length: int) -> Header:
    addresses: tuple[int, int, int, int] | None = None
    entry: int | None = None
    for kind, optional, at, body in _tags(start, offset, length):
        if kind == _ADDRESS and len(body) >= 16:
            addresses = struct.unpack_from("<4I", body)
        elif kind == _ENTRY and len(body) >= 4:
            (entry,) = struct.unpack_from("<I", body)
        elif kind not in _UNDERSTOOD and not optional:
            raise GuestError(
                f"the Multiboot2 tag at offset {at:#x} demands feature {kind}, which labkit does not have"
            )
    return Header(offset, addresses, entry)


# 0 type (2 bytes)   2 flags (2 bytes; bit 0: optional)   4 size (with these 8 bytes)   8 body; aligned to 8
def _tags(start: bytes, offset: int, length: int) -> Iterator[tuple[int, bool, int, bytes]]:
    """Type, whether optional, offset and body of each tag of the header."""
    at, end = offset + 16, offset + length
    if end > len(start):
        raise GuestError(
            f"the Multiboot2 header at offset {offset:#x} has {length:,} bytes: cut off or damaged"
        )
    while at + 8 <= end:
        kind, flags, size = struct.unpack_from("<HHI", start, at)
        if size < 8 or at + size > end:
            raise GuestError(f"the Multiboot2 tag at offset {at:#x} has {size:,} bytes: damaged")
        if kind == _END:
            return
        yield kind, bool(flags & 1), at, start[at + 8 : at + size]
        at += (size + 7) & ~7
    raise GuestError(f"the tags of the Multiboot2 header at offset {offset:#x} have no end tag")


def core(data: bytes, header: Header, memory: int) -> Core:
    """The kernel of a file with this header. Raises GuestError if nothing says where it goes."""
    if header.addresses:
        if header.entry is None:
            raise GuestError(
                f"the Multiboot2 header at offset {header.offset:#x} has addresses, but no entry"
            )
        return from_addresses(data, header.offset, AddressFields(*header.addresses, header.entry), memory)
    if not elf.is_elf(data):
        raise GuestError(
            f"the Multiboot2 header at offset {header.offset:#x} has no address tag, and the file is no ELF:"
            " nothing says where it goes"
        )
    found = from_elf(data, memory)
    return found if header.entry is None else replace(found, entry=header.entry)


# The information: total_size, reserved, then tags: type (4), size (4), body; aligned to 8; type 0 ends.
def information(strings: Strings, modules: Sequence[Module], memory: int) -> bytes:
    """The boot information of a PC with `memory` bytes in VGA text mode."""
    regions = b"".join(struct.pack("<QQII", r.address, r.size, r.kind, 0) for r in layout.memory_map(memory))
    tags = [
        _tag(1, strings.cmdline_bytes),
        _tag(2, BOOT_LOADER),
        *(_tag(3, struct.pack("<II", m.placement.address, m.placement.end) + text(m.name)) for m in modules),
        _tag(4, struct.pack("<II", layout.LOW_MEMORY_END >> 10, (memory - layout.HIGH_MEMORY) >> 10)),
        _tag(6, struct.pack("<II", 24, 0) + regions),
        _tag(8, struct.pack("<QIIIBBH", 0xB8000, 160, 80, 25, 16, 2, 0)),
        _tag(0, b""),
    ]
    body = b"".join(tags)
    return struct.pack("<II", 8 + len(body), 0) + body


def _tag(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, 8 + len(body)) + body + bytes(-len(body) % 8)
