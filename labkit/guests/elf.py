"""ELF executables for 32-bit x86: segments at their physical addresses, and the symbol table.

pyelftools knows the structures. Its object layer, which follows every pointer in a file, is not used here:
on a hostile file that has no bound.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from elftools.common.exceptions import ELFParseError
from elftools.common.utils import struct_parse
from elftools.elf.structs import ELFStructs

from labkit.guests import files, layout
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement, Symbol

__all__ = ["Executable", "Segment", "is_elf", "load", "parse"]

_MAX_SEGMENTS = 64
_MAX_SECTIONS = 4096
_MAX_SYMBOLS = 1 << 20
_MAX_NAME = 512
_MACHINES = {
    2: "SPARC", 4: "Motorola 68000", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "ARM", 42: "SuperH",
    50: "Itanium", 62: "x86-64", 183: "ARM 64", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip
_RESERVED = 0xFF00  # section indexes from here on mean something else: FFF1 a constant, not an address

_Header = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Segment:
    """A PT_LOAD segment: bytes at a physical address; memory after them, up to `size` bytes, is zero."""

    address: int
    virtual: int
    size: int
    data: bytes

    @property
    def extent(self) -> layout.Extent:
        """What the segment occupies, zeros included."""
        return layout.Extent(self.address, self.size, "an ELF segment")


@dataclass(frozen=True, slots=True)
class Executable:
    """What an ELF file asks for: segments, the physical entry point, names."""

    entry: int
    segments: tuple[Segment, ...]
    symbols: tuple[Symbol, ...]

    @property
    def placements(self) -> tuple[Placement, ...]:
        """The segments' file contents (the zeros after them are what memory starts with)."""
        return tuple(Placement(s.address, s.data, "ELF segment") for s in self.segments if s.data)

    @property
    def extents(self) -> list[layout.Extent]:
        """What the segments occupy."""
        return [segment.extent for segment in self.segments]


def is_elf(data: bytes) -> bool:
    """Whether `data` starts as ELF files do."""
    return data.startswith(b"\x7fELF")


def parse(data: bytes, memory: int = layout.MAX_MEMORY) -> Executable:
    """Read an ELF file's headers (System V ABI, Intel386 supplement); segments must fit `memory` bytes.

    Raises GuestError for anything but a whole 32-bit x86 executable.
    """
    _check_ident(data)
    try:
        tables = _Tables(data)
        segments = _segments(tables)
        symbols = _symbols(tables)
    except ELFParseError as error:
        raise GuestError(f"the ELF headers are cut off or damaged: {error}") from None
    entry = _physical(tables.number("e_entry"), segments)
    executable = Executable(entry, segments, symbols)
    layout.check_extents(executable.extents, memory)
    return executable


def load(source: files.Source, memory: int = layout.DEFAULT_MEMORY) -> BootImage:
    """The boot image of an ELF executable; it starts at its entry point, without parameters.

    Raises GuestError when the file is no 32-bit x86 executable or does not fit `memory` bytes.
    """
    executable = parse(files.read(source, "ELF file"), memory)
    gdt = layout.flat_gdt(executable.extents)
    layout.check_extents([layout.extent_of(gdt), *executable.extents], memory)
    placements = (gdt, *executable.placements)
    start = layout.bare_start(executable.entry, gdt)
    return BootImage(files.name_of(source, "ELF"), placements, start, executable.symbols)


# e_ident: 7F 'E' 'L' 'F'   4 class (1: 32-bit, 2: 64-bit)   5 data (1: little-endian)
#  10 e_type   12 e_machine (3: Intel 80386)   18 e_entry   1C e_phoff   20 e_shoff   2A e_phentsize, e_phnum
def _check_ident(data: bytes) -> None:
    if not is_elf(data):
        raise GuestError(f"no ELF magic at offset 0 (found {data[:4].hex(' ') or 'an empty file'})")
    if len(data) < 52:
        raise GuestError(f"the ELF header is cut off at offset {len(data)} (it has 52 bytes)")
    if data[4] == 2:
        raise GuestError(
            "a 64-bit ELF file (class 2 at offset 4); labkit runs 32-bit x86: build it with -m32"
        )
    machine = struct.unpack_from(">H" if data[5] == 2 else "<H", data, 0x12)[0]
    if data[4] != 1 or data[5] != 1 or machine != 3:
        name = f"{_MACHINES[machine]}, " if machine in _MACHINES else ""
        raise GuestError(
            f"an ELF file for another machine ({name}class {data[4]}, byte order {data[5]}, machine {machine} at"
            " offset 12h); labkit runs 32-bit x86"
        )


class _Tables:
    """The ELF header, and the program and section headers by index."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._stream = io.BytesIO(data)
        self._structs = ELFStructs(little_endian=True, elfclass=32)
        self._structs.create_basic_structs()
        self._structs.create_advanced_structs("ET_EXEC", "EM_386", "ELFOSABI_SYSV")
        self._header: _Header = struct_parse(self._structs.Elf_Ehdr, self._stream, stream_pos=0)

    def number(self, field: str) -> int:
        """A field of the ELF header."""
        return int(self._header[field])

    def segment(self, index: int) -> tuple[_Header, int]:
        """A program header and its offset in the file."""
        at = self.number("e_phoff") + index * self.number("e_phentsize")
        return struct_parse(self._structs.Elf_Phdr, self._stream, stream_pos=at), at

    def section(self, index: int) -> _Header:
        """A section header."""
        at = self.number("e_shoff") + index * self.number("e_shentsize")
        header: _Header = struct_parse(self._structs.Elf_Shdr, self._stream, stream_pos=at)
        return header

    def contents(self, section: _Header) -> bytes:
        """The bytes of a section, as far as the file has them."""
        offset = int(section["sh_offset"])
        return self.data[offset : offset + int(section["sh_size"])]


def _segments(tables: _Tables) -> tuple[Segment, ...]:
    count = tables.number("e_phnum")
    if not 0 < count <= _MAX_SEGMENTS or tables.number("e_phentsize") < 32:
        raise GuestError(
            f"{count} program headers of {tables.number('e_phentsize')} bytes (offset 2Ah);"
            f" an executable has 1 to {_MAX_SEGMENTS} of 32"
        )
    segments = []
    for index in range(count):
        header, at = tables.segment(index)
        if header["p_type"] != "PT_LOAD" or not header["p_memsz"]:
            continue
        offset, size, room = int(header["p_offset"]), int(header["p_filesz"]), int(header["p_memsz"])
        if size > room or offset + size > len(tables.data):
            raise GuestError(
                f"the program header at offset {at:#x} asks for {size:,} bytes at {offset:#x} in {room:,}"
                f" of memory; the file has {len(tables.data):,}"
            )
        contents = tables.data[offset : offset + size]
        segments.append(Segment(int(header["p_paddr"]), int(header["p_vaddr"]), room, contents))
    if not segments:
        raise GuestError(f"none of the {count} program headers is to be loaded (PT_LOAD): not an executable")
    return tuple(segments)


def _physical(entry: int, segments: tuple[Segment, ...]) -> int:
    """The entry point as a physical address: kernels linked high give the physical or the virtual one."""
    for segment in segments:
        if segment.address <= entry < segment.address + segment.size:
            return entry
    for segment in segments:
        if segment.virtual <= entry < segment.virtual + segment.size:
            return entry - segment.virtual + segment.address
    raise GuestError(f"the entry point {entry:08x} (offset 18h) lies in no segment that is loaded")


def _symbols(tables: _Tables) -> tuple[Symbol, ...]:
    """Names from the first .symtab; a table that cannot be read is no reason not to start the guest."""
    try:
        for index in range(min(tables.number("e_shnum"), _MAX_SECTIONS)):
            table = tables.section(index)
            if table["sh_type"] == "SHT_SYMTAB":
                strings = tables.section(int(table["sh_link"]))
                return _names(tables.contents(table), tables.contents(strings))
    except ELFParseError:
        pass
    return ()


#  0 st_name   4 st_value   8 st_size   C st_info (3:0 type: 0 none, 1 object, 2 function)   E st_shndx
def _names(table: bytes, strings: bytes) -> tuple[Symbol, ...]:
    usable = table[: min(len(table) // 16, _MAX_SYMBOLS) * 16]
    found = set()
    for name, value, size, info, _, section in struct.iter_unpack("<IIIBBH", usable):
        end = strings.find(b"\0", name, name + _MAX_NAME)
        if 0 < section < _RESERVED and info & 15 <= 2 and end > name:
            found.add(Symbol(value, strings[name:end].decode("utf-8", "replace"), size))
    return tuple(sorted(found))
