import gzip
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import image
from labkit.guests.errors import GuestError
from labkit.guests.image import Kind

pytestmark = pytest.mark.usefixtures("own_cache")


def forms(make):
    plain = make.elf([(0x10_0000, b"\x90" * 16, 16)], 0x10_0000)
    return {
        Kind.BZIMAGE: make.bzimage(plain, preferred=0x10_0000),
        Kind.MULTIBOOT: make.elf([(0x10_0000, make.multiboot(), 16)], 0x10_0000),
        Kind.ELF: plain,
        Kind.FLAT: b"\xeb\xfe",
    }


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_told_apart_and_booted(make, kind):
    data = forms(make)[kind]
    assert image.kind_of(data) is kind
    at = 0x7C00 if kind is Kind.FLAT else None
    booted = image.load(data, memory=make.memory, at=at)
    make.check(booted)
    assert booted.start.eip == (at or 0x10_0000)
    assert booted.start.eax == (0x2BADB002 if kind is Kind.MULTIBOOT else 0)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("kind", [Kind.BZIMAGE, Kind.MULTIBOOT, Kind.ELF])
def test_a_compressed_file_is_unpacked(make, tmp_path, kind, pack):
    path = tmp_path / "kernel.gz"
    path.write_bytes(pack(forms(make)[kind]))
    booted = image.load(path, memory=make.memory)
    make.check(booted)
    assert (booted.name, booted.start.eip) == ("kernel.gz", 0x10_0000)


def test_a_compressed_file_holds_a_kernel_or_is_refused(make):
    for inside in (b"", b"text", gzip.compress(b"again")):
        with pytest.raises(GuestError, match="no kernel in it"):
            image.load(gzip.compress(inside), memory=make.memory)
    with pytest.raises(GuestError, match="damaged: it is cut off"):
        image.load(gzip.compress(forms(make)[Kind.ELF])[:-20], memory=make.memory)


def test_an_address_makes_anything_a_flat_image(make):
    data = forms(make)[Kind.ELF]
    booted = image.load(data, memory=make.memory, at=0x20_0000)
    assert make.placed(booted, "flat").data == data


def test_bytes_without_a_signature_need_an_address(make, tmp_path):
    path = tmp_path / "boot.bin"
    path.write_bytes(b"\xeb\xfe")
    with pytest.raises(GuestError, match=r"boot\.bin is no bzImage, .* starts with eb fe"):
        image.load(path, memory=make.memory)


def test_an_initrd_is_a_multiboot_kernels_first_module(make):
    booted = image.load(forms(make)[Kind.MULTIBOOT], memory=make.memory, initrd=b"disk", modules=[b"second"])
    assert [p.data for p in booted.placements if p.what == "module module"] == [b"disk", b"second"]


@pytest.mark.parametrize("kind", [Kind.ELF, Kind.FLAT])
def test_other_kinds_take_no_initrd(make, kind):
    with pytest.raises(GuestError, match="takes no initrd"):
        image.load(forms(make)[kind], memory=make.memory, initrd=b"disk")


@pytest.mark.parametrize("kind", [Kind.ELF, Kind.FLAT])
def test_other_kinds_take_no_command_line(make, kind):
    with pytest.raises(GuestError, match="takes no command line"):
        image.load(forms(make)[kind], memory=make.memory, cmdline="quiet", at=0x100000 if kind is Kind.FLAT else None)


def test_files_that_cannot_be_read(make, tmp_path):
    for path, words in ((tmp_path, "is not a file"), (tmp_path / "none", "does not exist")):
        with pytest.raises(GuestError, match=words):
            image.load(path, memory=make.memory)


def test_a_file_longer_than_any_image_is_not_read(make, tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(GuestError, match="labkit reads at most"):
        image.load(tmp_path / "huge", memory=make.memory)


@pytest.mark.parametrize("memory", [0, 4096, 4 << 30])
@pytest.mark.parametrize("kind", Kind)
def test_memory_that_a_pc_cannot_have(make, kind, memory):
    with pytest.raises(GuestError, match="of memory: a guest can have"):
        image.load(forms(make)[kind], memory=memory, at=0x7C00 if kind is Kind.FLAT else None)


def test_an_empty_flat_image(make):
    with pytest.raises(GuestError, match="empty"):
        image.load(b"", memory=make.memory, at=0x7C00)


@given(data=st.binary(min_size=1, max_size=3000), at=st.integers(0, 0x10_2000))
def test_flat_images_anywhere(make, data, at):
    make.survives(lambda: image.load(data, memory=make.memory, at=at))


@given(st.binary(max_size=600))
def test_noise(make, data):
    make.survives(lambda: image.load(data, memory=make.memory))
