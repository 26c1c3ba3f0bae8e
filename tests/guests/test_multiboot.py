import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import multiboot, multiboot2
from labkit.guests.errors import GuestError

CODE = b"\x90" * 64


def kernel(make, flags=3):
    """An ELF kernel with a Multiboot 1 header at the start of its only segment."""
    return make.elf([(0x10_0000, make.multiboot(flags) + CODE, 4096)], 0x10_000C, [("start", 0x10_000C, 0)])


def flat_kernel(make, addresses, before=b"", flags=0x1_0003):
    return before + make.multiboot(flags, addresses) + CODE


class Memory:
    """What the kernel sees: bytes at addresses."""

    def __init__(self, image):
        self.parts = image.placements

    def read(self, address, size):
        for part in self.parts:
            if part.address <= address and address + size <= part.end:
                return part.data[address - part.address :][:size]
        raise AssertionError(f"nothing at {address:x}")

    def words(self, address, count):
        return struct.unpack(f"<{count}I", self.read(address, 4 * count))

    def text(self, address):
        part = next(p for p in self.parts if p.address <= address < p.end)
        return part.data[address - part.address :].partition(b"\0")[0].decode()


@given(
    cmdline=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200),
    modules=st.lists(st.binary(max_size=9000), max_size=4),
    memory=st.sampled_from([16 << 20, 128 << 20, 3 << 30]),
)
def test_version_1_information(make, cmdline, modules, memory):
    image = multiboot.load(kernel(make), cmdline, modules, memory)
    make.check(image, memory)
    assert (image.start.eip, image.start.eax) == (0x10_000C, 0x2BADB002)
    assert (image.start.code_selector, image.start.data_selector) == (0x08, 0x10)
    ram, at = Memory(image), image.start.ebx
    flags, lower, upper, _, line, count, listed = ram.words(at, 7)
    assert flags & 0b1001001111 == 0b1001001101
    assert (lower, upper) == (639, (memory >> 10) - 1024)
    assert ram.text(line) == cmdline
    assert count == len(modules)
    end_of_kernel = 0x10_1000
    for number, data in enumerate(modules):
        start, end, name, _ = ram.words(listed + 16 * number, 4)
        assert start % 4096 == 0
        assert start >= end_of_kernel
        assert end - start == len(data)
        assert not data or ram.read(start, len(data)) == data
        assert ram.text(name) == "module"
    length, regions = ram.words(at + 44, 2)
    usable = {}
    for offset in range(0, length, 24):
        size, base, span, kind = struct.unpack("<IQQI", ram.read(regions + offset, 24))
        assert size == 20
        usable[base] = span if kind == 1 else 0
    assert usable[0x10_0000] == memory - 0x10_0000
    assert ram.text(ram.words(at + 64, 1)[0]) == "labkit"
    assert struct.unpack("<QIIIBB", ram.read(at + 88, 22)) == (0xB8000, 160, 80, 25, 16, 2)


def read_tags(data):
    """The tags of Multiboot 2 information, by the specification's section 3.6."""
    total, _ = struct.unpack_from("<II", data)
    assert total == len(data)
    at, tags = 8, []
    while True:
        kind, size = struct.unpack_from("<II", data, at)
        if kind == 0:
            assert at + size == total
            return tags
        tags.append((kind, data[at + 8 : at + size]))
        at += (size + 7) & ~7


@given(
    cmdline=st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=50),
    modules=st.lists(st.binary(max_size=5000), max_size=3),
)
def test_version_2_information(make, cmdline, modules):
    data = make.elf([(0x10_0000, bytes(4) + make.multiboot2((4, 1, bytes(4))) + CODE, 4096)], 0x10_0020)
    image = multiboot.load(data, cmdline, modules, make.memory)
    make.check(image)
    assert (image.start.eip, image.start.eax) == (0x10_0020, multiboot2.START_EAX)
    ram = Memory(image)
    assert image.start.ebx % 8 == 0
    tags = read_tags(ram.read(image.start.ebx, ram.words(image.start.ebx, 1)[0]))
    found = dict(tags)
    assert found[1] == cmdline.encode() + b"\0"
    assert found[2] == b"labkit\0"
    assert struct.unpack("<II", found[4]) == (639, (make.memory >> 10) - 1024)
    listed = [struct.unpack_from("<II", body) for kind, body in tags if kind == 3]
    assert [ram.read(start, end - start) if end > start else b"" for start, end in listed] == modules
    entry_size, version = struct.unpack_from("<II", found[6])
    regions = list(struct.iter_unpack("<QQII", found[6][8:]))
    assert (entry_size, version) == (24, 0)
    assert (0x10_0000, make.memory - 0x10_0000, 1, 0) in regions


def test_address_fields_place_a_flat_kernel(make):
    before = b"#" * 8
    data = flat_kernel(make, (0x20_0000 + 8, 0x20_0000, 0, 0x20_8000, 0x20_0040), before)
    image = multiboot.load(data, "", [b"module"], make.memory)
    make.check(image)
    assert image.start.eip == 0x20_0040
    assert make.placed(image, "the kernel").address == 0x20_0000
    assert make.placed(image, "the kernel").data == data
    assert make.placed(image, "module").address == 0x20_8000  # after the bss


def test_address_fields_can_leave_out_both_ends_of_the_file(make):
    data = flat_kernel(make, (0x20_0000, 0x20_0000, 0x20_0030, 0, 0x20_0020), b"#" * 16)
    image = multiboot.load(data, "", (), make.memory)
    assert make.placed(image, "the kernel").data == data[16:64]


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ((0x20_0000, 0x20_0010, 0, 0, 0x20_0000), "places"),
        ((0x20_0000, 0x10_0000, 0, 0, 0x20_0000), "places"),
        ((0x20_0000, 0x20_0000, 0x30_0000, 0, 0x20_0000), "places 1,048,576 bytes"),
        ((0x20_0000, 0x20_0000, 0x10_0000, 0, 0x20_0000), "places"),
        ((0x20_0000, 0x20_0000, 0, 0xFFFF_FFFF, 0x20_0000), "outside usable memory"),
        ((0xA_0000, 0xA_0000, 0, 0, 0xA_0000), "outside usable memory"),
        ((0x20_0000, 0x20_0000, 0, 0, 0x30_0000), "entry point 00300000"),
        ((0x9_0000, 0x9_0000, 0, 0, 0x9_0000), "overlaps"),
    ],
)
def test_address_fields_that_contradict(make, addresses, words):
    with pytest.raises(GuestError, match=words):
        multiboot.load(flat_kernel(make, addresses), "", (), make.memory)


@given(st.integers(0, 9000))
def test_the_header_is_found_exactly_where_the_specification_allows_it(make, offset):
    data = bytes(offset) + make.multiboot() + bytes(100)
    found = multiboot.find_header(data)
    if offset % 4 == 0 and offset + 12 <= 8192:
        assert found is not None
        assert (found.offset, found.flags) == (offset, 3)
    else:
        assert found is None


@given(st.integers(0, 33000))
def test_so_is_a_header_of_version_2(make, offset):
    found = multiboot2.find_header(bytes(offset) + make.multiboot2() + bytes(100))
    if offset % 8 == 0 and offset + 24 <= 32768:
        assert found is not None
        assert found.offset == offset
    else:
        assert found is None


def test_a_wrong_checksum_is_no_header(make):
    header = bytearray(make.multiboot())
    header[8] ^= 1
    assert multiboot.find_header(bytes(header) + bytes(100)) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda make: kernel(make, 0x8003), r"features that no loader knows \(flags 0x8000\)"),
        (lambda make: make.multiboot() + CODE, "no ELF file"),
        (lambda make: make.multiboot2() + CODE, "no ELF"),
        (lambda make: make.multiboot2((7, 0, b"")) + CODE, "demands feature 7"),
        (lambda make: make.multiboot2((2, 0, bytes(16))) + CODE, "no entry"),
        (lambda make: CODE, "no Multiboot header"),
    ],
)
def test_each_fault_is_named(make, data, words):
    with pytest.raises(GuestError, match=words):
        multiboot.load(data(make), "", (), make.memory)


def test_optional_tags_of_version_2_may_be_unknown(make):
    data = make.multiboot2((99, 1, b"abc"), (2, 0, struct.pack("<4I", 0x20_0000, 0x20_0000, 0, 0)),
                           (3, 0, struct.pack("<I", 0x20_0040)))  # fmt: skip
    image = multiboot.load(data + CODE, "", (), make.memory)
    assert image.start.eip == 0x20_0040
    assert make.placed(image, "the kernel").data == data + CODE


def test_modules_that_do_not_fit(make):
    with pytest.raises(GuestError, match=r"module module .* give it more"):
        multiboot.load(kernel(make), "", [bytes(make.memory)], make.memory)


@given(damage=st.data(), form=st.sampled_from(["elf", "flat", "second"]))
def test_damage_gives_a_sound_image_or_a_guest_error(make, damage, form):
    whole = {
        "elf": kernel(make),
        "flat": flat_kernel(make, (0x20_0000, 0x20_0000, 0, 0x20_8000, 0x20_0020)),
        "second": make.multiboot2(
            (2, 0, struct.pack("<4I", 0x20_0000, 0x20_0000, 0, 0)), (3, 0, struct.pack("<I", 0x20_0040))
        )
        + CODE,
    }[form]
    hurt = damage.draw(make.damages)(whole, 64)
    make.survives(lambda: multiboot.load(hurt, "words", [b"module"], make.memory))
