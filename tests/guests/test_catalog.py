import struct

import pytest

from labkit import guests
from labkit.guests import GuestError, catalog

MB = 1 << 20
OURS = [name for name in guests.names() if not catalog.guest(name).fetch]


def command_line(image):
    return next(p.data for p in image.placements if p.what == "the command line").rstrip(b"\0").decode()


@pytest.mark.parametrize("name", OURS)
def test_our_guests_boot_from_an_installation_alone(make, name, own_cache):
    image = guests.boot(name, memory=16 * MB)
    make.check(image, 16 * MB)
    assert image.name == name
    assert image.symbols
    assert catalog.guest(name).description


def test_the_teaching_kernel_gets_its_command_line(make):
    image = guests.boot("teaching", append="words", initrd=b"module", memory=make.memory)
    assert image.start.eax == 0x2BADB002
    information = make.placed(image, "boot information")
    (at,) = struct.unpack_from("<I", information.data, 16)
    assert information.data[at - information.address :].startswith(b"words\0")
    assert make.placed(image, "module").data == b"module"


@pytest.mark.guest("linux")
@pytest.mark.parametrize("firmware_path", [False, True])
def test_linux(make, firmware_path):
    image = guests.boot("linux", memory=128 * MB, append="quiet", firmware_path=firmware_path)
    make.check(image, 128 * MB)
    words = command_line(image).split()
    assert words[0] == "console=ttyS0"
    assert words[-1] == "quiet"
    assert ("nokaslr" in words) is firmware_path
    assert image.start.eip == (0x10_0000 if firmware_path else 0x0100_0000)
    assert make.placed(image, "initrd").data.startswith(b"070701")
    assert image == guests.boot("linux", memory=128 * MB, append="quiet", firmware_path=firmware_path)


@pytest.mark.guest("linux")
def test_another_initrd_and_too_little_memory(make):
    image = guests.boot("linux", memory=128 * MB, initrd=b"mine")
    assert make.placed(image, "initrd").data == b"mine"
    with pytest.raises(GuestError, match="give it more"):
        guests.boot("linux", memory=16 * MB)


@pytest.mark.guest("memtest86+")
def test_memtest(make):
    image = guests.boot("memtest86+", memory=16 * MB, append="nosmp")
    make.check(image, 16 * MB)
    assert command_line(image) == "nopause console=ttyS0,115200 nosmp"
    assert image.start.eip == make.placed(image, "the kernel").address


def test_a_linux_of_ones_own_gets_our_words_first_and_other_kernels_only_theirs(make, own_cache):
    vmlinux = make.elf([(0x0100_0000, b"\x90" * 64, 64)], 0x0100_0000)
    kernel = make.bzimage(vmlinux, cmdline_size=2047)
    image = guests.boot_files(kernel, b"initrd", "panic=1", make.memory)
    assert command_line(image) == f"{catalog.LINUX_COMMAND_LINE} panic=1"
    plain = make.bzimage(b"", payload=b"", cmdline_size=2047)
    assert command_line(guests.boot_files(plain, None, "nothing", make.memory)) == "nothing"


def test_raw_code_at_an_address(make, tmp_path):
    (tmp_path / "code").write_bytes(b"\xeb\xfe")
    image = guests.boot_files(tmp_path / "code", at=0x7C00, memory=make.memory)
    assert (image.start.eip, image.name) == (0x7C00, "code")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        GuestError, match=r"no guest is named 'minix'; there are teaching, .*linux, linux-net, memtest86\+"
    ):
        guests.boot("minix")


def test_the_package_face():
    from labkit.guests.fetch import fetch

    assert guests.fetch is fetch
    assert set(guests.__all__) == {"GuestError", "boot", "boot_files", "fetch", "names"}


@pytest.mark.guest("memtest86+")
def test_memtest_takes_no_initrd(make):
    with pytest.raises(GuestError, match="takes no initrd"):
        guests.boot("memtest86+", memory=make.memory, initrd=b"x")
