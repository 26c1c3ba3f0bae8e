import bz2
import gzip
import struct

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.guests import linux
from labkit.guests.errors import GuestError

fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def vmlinux(make):
    code = make.noise(5000)
    return make.elf([(0x0100_0000, code, 6000), (0x0100_4000, b"data" * 10, 40)], 0x0100_0000)


def params(image):
    (page,) = [p for p in image.placements if p.address == image.start.esi]
    return page.data


def e820(page):
    return [struct.unpack_from("<QQI", page, 0x2D0 + 20 * n) for n in range(page[0x1E8])]


def test_the_unpacked_kernel_is_placed_where_its_elf_file_says(make, vmlinux):
    image = linux.load(make.bzimage(vmlinux), b"initrd" * 1000, "quiet", make.memory)
    make.check(image)
    assert image.start.eip == 0x0100_0000
    assert (image.start.code_selector, image.start.data_selector) == (0x10, 0x18)
    assert {p.address: p.data for p in image.placements if p.what == "ELF segment"} == {
        0x0100_0000: make.noise(5000),
        0x0100_4000: b"data" * 10,
    }


def test_with_the_firmware_path_all_behind_the_setup_code_is_at_1_mb(make, vmlinux):
    kernel = make.bzimage(vmlinux)
    image = linux.load(kernel, None, "", make.memory, firmware_path=True)
    make.check(image)
    assert make.placed(image, "the kernel").data == kernel[1024:]
    assert image.start.eip == make.placed(image, "the kernel").address == 0x10_0000


@given(
    pages=st.integers(0x1800, 0x10000),
    words=st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=255),
)
@fixtures
def test_the_kernel_finds_its_memory_initrd_and_command_line(make, vmlinux, pages, words):
    memory = pages * 4096
    image = linux.load(make.bzimage(vmlinux), b"cpio" * 3000, words, memory)
    make.check(image, memory)
    page = params(image)
    address, size = struct.unpack_from("<II", page, 0x218)
    assert make.placed(image, "initrd").data == b"cpio" * 3000
    assert (address, size) == (make.placed(image, "initrd").address, 12000)
    assert address % 4096 == 0
    (line,) = struct.unpack_from("<I", page, 0x228)
    assert next(p.data for p in image.placements if p.address == line) == words.encode() + b"\0"
    assert page[0x210] == 0xFF
    usable = [(start, start + length) for start, length, kind in e820(page) if kind == 1]
    assert usable == [(0, 0x9FC00), (0x10_0000, memory)]
    assert struct.unpack_from("<I", page, 0x1E0)[0] == (memory >> 10) - 1024
    assert (page[0x06], page[0x07], page[0x0E], page[0x0F]) == (3, 80, 25, 1)


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, zstandard.compress], ids=["gzip", "bzip2", "zstd"]
)
def test_other_compressions(make, vmlinux, compress):
    # gzip's own trailer is the size; the build appends it for the others
    packed = compress(vmlinux) + (b"" if compress is gzip.compress else struct.pack("<I", len(vmlinux)))
    image = linux.load(make.bzimage(vmlinux, payload=packed), None, "", make.memory)
    assert image.start.eip == 0x0100_0000


def test_a_second_load_takes_the_kernel_from_the_cache_and_damage_there_is_found(
    make, vmlinux, own_cache, monkeypatch
):
    kernel = make.bzimage(vmlinux)
    first = linux.load(kernel, None, "", make.memory)
    (kept,) = own_cache.glob("unpacked/*.elf")
    assert kept.read_bytes() == vmlinux
    with monkeypatch.context() as patch:
        patch.setattr("labkit.guests.compression.unpack", lambda *_: pytest.fail("unpacked again"))
        assert linux.load(kernel, None, "", make.memory) == first
    kept.write_bytes(vmlinux.replace(b"data", b"DATA"))
    assert linux.load(kernel, None, "", make.memory) == first


def test_a_cache_that_cannot_be_written_is_no_obstacle(make, vmlinux, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file" / "below"))
    make.check(linux.load(make.bzimage(vmlinux), None, "", make.memory))


def test_the_initrd_stays_below_what_the_kernel_can_reach(make, vmlinux):
    kernel = make.bzimage(vmlinux, initrd_max=0x01FF_FFFF)
    image = linux.load(kernel, bytes(5000), "", make.memory)
    assert make.placed(image, "initrd").end <= 0x0200_0000


@pytest.mark.parametrize(
    ("change", "size", "words"),
    [
        (
            {"initrd_max": 0x0110_0FFF},
            8192,
            r"does not fit between the kernel's end \(01100000\) and 01101000",
        ),
        ({}, 60 << 20, "give the guest more memory"),
        ({"init_size": 0x7000_0000}, 0, "start-up area.*give it more"),
        ({"preferred": 0x4000_0000, "init_size": 0}, 4096, "initrd"),
    ],
)
def test_parts_that_do_not_fit(make, vmlinux, change, size, words):
    with pytest.raises(GuestError, match=words):
        linux.load(make.bzimage(vmlinux, **change), bytes(size), "", make.memory)


def test_the_command_line_is_at_most_what_the_kernel_takes(make, vmlinux):
    kernel = make.bzimage(vmlinux, cmdline_size=100)
    linux.load(kernel, None, "x" * 100, make.memory)
    with pytest.raises(GuestError, match="the command line has 101 bytes; this kernel takes at most 100"):
        linux.load(kernel, None, "x" * 101, make.memory)
    with pytest.raises(GuestError, match="NUL"):
        linux.load(kernel, None, "a\0b", make.memory)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 0x0205}, r"boot protocol 2\.05 .* needs 2\.06"),
        ({"loadflags": 0}, "a zImage"),
        ({"payload": b"\xfd7zXZ\0" + bytes(50) + b"\1\0\0\0"}, "the xz payload is damaged"),
        ({"payload": b"\xfd7zXZ\0" + bytes(50) + b"\0\0\0\xf0"}, "labkit unpacks at most"),
        ({"payload": gzip.compress(b"not a kernel")}, "no ELF file"),
        ({"payload": b"\x02\x21\x4c\x18" + bytes(20)}, "lz4.*--firmware-path"),
    ],
)
def test_each_fault_is_named(make, vmlinux, change, words):
    with pytest.raises(GuestError, match=words):
        linux.load(make.bzimage(vmlinux, **change), None, "", make.memory)


def test_no_bzimage(make):
    with pytest.raises(GuestError, match="not a bzImage"):
        linux.load(b"\x7fELF" + bytes(1000), None, "", make.memory)


def test_a_payload_that_claims_another_size_is_refused(make, vmlinux):
    packed = gzip.compress(vmlinux)[:-4] + struct.pack("<I", len(vmlinux) - 1)
    with pytest.raises(GuestError, match="payload"):
        linux.load(make.bzimage(vmlinux, payload=packed), None, "", make.memory)


@given(damage=st.data(), firmware_path=st.booleans())
@fixtures
def test_damage_gives_a_sound_image_or_a_guest_error(make, vmlinux, damage, firmware_path):
    hurt = damage.draw(make.damages)(make.bzimage(vmlinux))
    make.survives(lambda: linux.load(hurt, b"initrd", "quiet", make.memory, firmware_path))


@pytest.mark.guest("linux")
@given(damage=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_to_debians_kernel_does_no_worse(make, debian, damage):
    hurt = damage.draw(make.damages)(debian)
    make.survives(lambda: linux.load(hurt, b"initrd", "quiet", make.memory))


@pytest.mark.guest("linux")
def test_debians_kernel_asks_for_what_we_know(make, debian):
    header = linux.SetupHeader.parse(debian)
    assert header.load_at == 0x10_0000
    assert header.preferred == 0x0100_0000
    assert header.command_line_max == 2047
    image = linux.load(debian, b"initrd", "", make.memory)
    make.check(image)
    assert image.start.eip == header.preferred


@pytest.fixture(scope="module")
def debian():
    from labkit.guests.fetch import fetched

    found = fetched("linux")
    assert found is not None
    return found.files["vmlinuz"].read_bytes()


def test_fields_that_an_older_protocol_does_not_have_are_not_read(make):
    """iPXE says 2.07, and has code of its own where the payload's place would be."""
    kernel = bytearray(make.bzimage(bytes(4096), version=0x0207, payload=bytes(4096)))
    struct.pack_into("<II", kernel, 0x248, 0x2E303A31, 0x69666666)
    header = linux.SetupHeader.parse(bytes(kernel))
    assert (header.payload, header.preferred, header.init_size) == (range(1024, 1024), 0, 0)
    linux.load(bytes(kernel), None, "", make.memory)
