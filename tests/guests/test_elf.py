import io
import struct
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

import labkit.guests
from labkit.guests import elf
from labkit.guests.errors import GuestError

GUESTS = Path(labkit.guests.__file__).parent
TYPES = {"STT_NOTYPE", "STT_OBJECT", "STT_FUNC"}
IMAGES = sorted([*GUESTS.glob("programs/*.elf"), GUESTS / "kernel/teaching.elf"])


@given(
    contents=st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5),
    zeros=st.integers(0, 5000),
    names=st.lists(
        st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20), max_size=5
    ),
)
def test_what_went_in_comes_out(make, contents, zeros, names):
    segments = [(0x10_0000 + 0x2000 * n, data, len(data) + zeros) for n, data in enumerate(contents)]
    symbols = [(name, 0x10_0000 + n, n) for n, name in enumerate(names)]
    image = elf.load(make.elf(segments, 0x10_0000, symbols), make.memory)
    make.check(image)
    assert [(p.address, p.data) for p in image.placements if p.what == "ELF segment"] == [
        s[:2] for s in segments
    ]
    assert [(s.name, s.address, s.size) for s in image.symbols] == symbols
    assert image.start.eip == 0x10_0000


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_pyelftools_sees_the_same_in_our_guests(path):
    data = path.read_bytes()
    found = elf.parse(data)
    oracle = ELFFile(io.BytesIO(data))
    loaded = [s for s in oracle.iter_segments("PT_LOAD") if s["p_memsz"]]
    assert [(s.address, s.size, s.data) for s in found.segments] == [
        (s["p_paddr"], s["p_memsz"], s.data()) for s in loaded
    ]
    table = oracle.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    wanted = {
        (s["st_value"], s.name, s["st_size"])
        for s in table.iter_symbols()
        if s.name and isinstance(s["st_shndx"], int) and s["st_info"]["type"] in TYPES
    }  # fmt: skip
    assert {(s.address, s.name, s.size) for s in found.symbols} == wanted
    assert wanted


@given(damage=st.data())
def test_damage_gives_a_sound_image_or_a_guest_error(make, damage):
    whole = make.elf(
        [(0x10_0000, b"\x90" * 200, 300), (0x10_2000, b"data", 4)], 0x10_0000, [("start", 0x10_0000, 4)]
    )
    hurt = damage.draw(make.damages)(whole)
    make.survives(lambda: elf.load(hurt, make.memory))


@given(damage=st.data())
def test_damage_to_a_real_kernel_does_no_worse(make, damage):
    hurt = damage.draw(make.damages)((GUESTS / "kernel/teaching.elf").read_bytes())
    make.survives(lambda: elf.load(hurt, make.memory))


@given(st.binary(max_size=200))
def test_noise_behind_the_magic_is_refused_or_read(make, noise):
    make.survives(lambda: elf.load(b"\x7fELF\1\1\1" + noise, make.memory))


def patched(make, offset, form, *values):
    image = bytearray(make.elf([(0x10_0000, b"\x90" * 16, 16)], 0x10_0000))
    struct.pack_into(form, image, offset, *values)
    return bytes(image)


@pytest.mark.parametrize(
    ("offset", "form", "value", "words"),
    [
        (4, "B", 2, "64-bit ELF"),
        (5, "B", 2, "another machine"),
        (0x12, "<H", 62, "another machine .x86-64,"),
        (0x18, "<I", 0x20_0000, "entry point 00200000"),
        (0x1C, "<I", 0xFFFF_FFF0, "cut off or damaged"),
        (0x2A, "<H", 8, "program headers of 8 bytes"),
        (0x2C, "<H", 0xFFFF, "65535 program headers"),
        (0x2C, "<H", 0, "0 program headers"),
        (52, "<I", 2, "PT_LOAD"),
        (52 + 4, "<I", 0x1000_0000, "program header at offset 0x34 asks for"),
        (52 + 16, "<I", 17, "program header at offset 0x34 asks for"),
        (52 + 12, "<I", 0xC010_0000, "outside usable memory"),
        (52 + 12, "<I", 0xB_8000, "outside usable memory"),
        (52 + 20, "<I", 0xFFFF_FFFF, "outside usable memory"),
        (52 + 20, "<I", 0x1000_0000, "give it more"),
    ],
)
def test_each_fault_is_named(make, offset, form, value, words):
    with pytest.raises(GuestError, match=words):
        elf.load(patched(make, offset, form, value), make.memory)


def test_a_cut_off_header_says_where():
    with pytest.raises(GuestError, match="cut off at offset 40"):
        elf.parse(b"\x7fELF".ljust(40, b"\1"))
    with pytest.raises(GuestError, match="empty file"):
        elf.parse(b"")


def test_a_kernel_linked_high_starts_at_its_physical_address(make):
    image = bytearray(make.elf([(0x10_0000, b"\x90" * 16, 16)], 0xC010_0004))
    struct.pack_into("<I", image, 52 + 8, 0xC010_0000)  # p_vaddr
    assert elf.parse(bytes(image)).entry == 0x10_0004


def test_constants_are_no_addresses(make):
    image = bytearray(make.elf([(0x10_0000, b"\x90", 1)], 0x10_0000, [("FLAGS", 3, 0)]))
    at = image.index(struct.pack("<IIIBBH", 1, 3, 0, 2, 0, 1))
    struct.pack_into("<H", image, at + 14, 0xFFF1)
    assert elf.parse(bytes(image)).symbols == ()


def test_a_hostile_symbol_table_takes_no_time(make):
    """Many symbols that all name one string of megabytes without an end."""
    names = b"a" * (4 << 20)
    table = struct.pack("<IIIBBH", 1, 0x10_0000, 0, 2, 0, 1) * 200_000
    image = bytearray(make.elf([(0x10_0000, b"\x90", 1)], 0x10_0000))
    sections = struct.unpack_from("<I", image, 0x20)[0]
    struct.pack_into("<II", image, sections + 40 + 16, len(image), len(table))
    struct.pack_into("<II", image, sections + 80 + 16, len(image) + len(table), len(names))
    start = time.process_time()
    assert elf.parse(bytes(image) + table + names).symbols == ()
    assert time.process_time() - start < 5
