"""Images made by hand for the loaders' tests, and the damage that is done to them."""

import lzma
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement

MEMORY = 64 << 20

settings.register_profile(
    "labkit", deadline=5000
)  # the bound on time of every damaged file, on a busy machine
settings.load_profile("labkit")


def elf_image(
    segments: list[tuple[int, bytes, int]], entry: int, symbols: list[tuple[str, int, int]] | None = None
) -> bytes:
    """A 32-bit ELF executable: segments (address, contents, size); symbols (name, address, size)."""
    programs, contents = b"", b""
    data_at = 52 + 32 * len(segments)
    for address, data, size in segments:
        programs += struct.pack("<8I", 1, data_at + len(contents), address, address, len(data), size, 7, 4096)
        contents += data
    names, table = b"\0", bytes(16)
    for name, address, size in symbols or []:
        table += struct.pack("<IIIBBH", len(names), address, size, 2, 0, 1)
        names += name.encode() + b"\0"
    table_at = data_at + len(contents)
    section_at = table_at + len(table) + len(names)
    sections = (
        bytes(40)
        + struct.pack("<10I", 0, 2, 0, 0, table_at, len(table), 2, 1, 4, 16)
        + struct.pack("<10I", 0, 3, 0, 0, table_at + len(table), len(names), 0, 0, 1, 0)
    )
    header = (
        b"\x7fELF\1\1\1"
        + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, section_at, 0, 52, 32, len(segments), 40, 3, 2)
    )
    return header + programs + contents + table + names + sections


def bzimage(
    kernel: bytes, *, version: int = 0x20C, compress: Callable[[bytes], bytes] = lzma.compress,
    preferred: int = 0x0100_0000, init_size: int = 0x0010_0000, loadflags: int = 1,
    initrd_max: int = 0x7FFF_FFFF, cmdline_size: int = 255, payload: bytes | None = None,
) -> bytes:  # fmt: skip
    """A bzImage around `kernel`, with 64 bytes of decompressor in front of the payload."""
    if payload is None:
        payload = compress(kernel) + struct.pack("<I", len(kernel))
    image = bytearray(1024 + 64) + payload
    image[0x1F1] = 1
    image[0x1FE:0x206] = b"\x55\xaa\xeb\x66HdrS"
    struct.pack_into("<H", image, 0x206, version)
    image[0x211] = loadflags
    struct.pack_into("<I", image, 0x214, 0x10_0000)
    struct.pack_into("<I", image, 0x22C, initrd_max)
    struct.pack_into("<I", image, 0x238, cmdline_size)
    struct.pack_into("<II", image, 0x248, 64, len(payload))
    struct.pack_into("<Q", image, 0x258, preferred)
    struct.pack_into("<I", image, 0x260, init_size)
    return bytes(image)


def multiboot_header(flags: int = 3, addresses: tuple[int, ...] = ()) -> bytes:
    """A Multiboot 1 header."""
    return struct.pack("<III", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFF_FFFF) + struct.pack(
        f"<{len(addresses)}I", *addresses
    )


def multiboot2_header(*tags: tuple[int, int, bytes]) -> bytes:
    """A Multiboot 2 header with tags (type, flags, body) and an end tag."""
    body = b""
    for kind, flags, data in (*tags, (0, 0, b"")):
        body += struct.pack("<HHI", kind, flags, 8 + len(data)) + data + bytes(-len(data) % 8)
    length = 16 + len(body)
    return struct.pack("<4I", 0xE85250D6, 0, length, -(0xE85250D6 + length) & 0xFFFF_FFFF) + body


@dataclass(frozen=True)
class Damage:
    """What is done to a file: words overwritten, then bytes, then the end cut off."""

    words: list[tuple[float, int]]
    bytes_: list[tuple[float, int]]
    keep: float | None

    def __call__(self, data: bytes, header: int = 1024) -> bytes:
        """Half of the places are in the first `header` bytes, where a flip means something."""
        damaged = bytearray(data)
        for number, (place, value) in enumerate(self.words):
            if len(damaged) >= 4:
                at = int(place * (min(header, len(damaged)) if number % 2 else len(damaged))) & ~3
                struct.pack_into("<I", damaged, min(at, len(damaged) - 4), value)
        for number, (place, value) in enumerate(self.bytes_):
            at = int(place * (min(header, len(damaged)) if number % 2 else len(damaged)))
            damaged[min(at, len(damaged) - 1)] = value
        return bytes(damaged if self.keep is None else damaged[: int(self.keep * len(damaged))])


_place = st.floats(0, 1, exclude_max=True)
_word = st.sampled_from([0, 1, 2, 0x20, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]) | st.integers(
    0, 2**32 - 1
)
damages = st.builds(
    Damage,
    st.lists(st.tuples(_place, _word), max_size=4),
    st.lists(st.tuples(_place, st.integers(0, 255)), max_size=4),
    st.none() | _place,
)


def check_image(image: BootImage, memory: int = MEMORY) -> None:
    """What holds for every boot image: parts inside usable memory, none over another, a GDT that is there."""
    spans = sorted((p.address, p.end) for p in image.placements)
    for start, end in spans:
        assert (start >= 0x500 and end <= 0x9FC00) or (start >= 0x10_0000 and end <= memory)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    gdt = next(p for p in image.placements if p.address == image.start.gdt_address)
    assert image.start.gdt_limit == len(gdt.data) - 1
    assert all(0 <= getattr(image.start, name) < 2**32 for name in ("eip", "eax", "ebx", "esi", "esp"))
    assert all(0 <= symbol.address < 2**32 for symbol in image.symbols)


def survives(load: Callable[[], BootImage], memory: int = MEMORY) -> None:
    """A damaged file gives a GuestError of a few lines, or an image as sound as any."""
    message = "not refused"
    try:
        check_image(load(), memory)
    except GuestError as error:
        message = str(error)
    assert 0 < len(message) < 600
    assert message.count("\n") <= 2


def placed(image: BootImage, what: str) -> Placement:
    """The one placement with these words in its description."""
    (found,) = [p for p in image.placements if what in p.what]
    return found


class Make:
    """The helpers above, as a fixture: modules of tests cannot import each other."""

    elf = staticmethod(elf_image)
    bzimage = staticmethod(bzimage)
    multiboot = staticmethod(multiboot_header)
    multiboot2 = staticmethod(multiboot2_header)
    damages = damages
    check = staticmethod(check_image)
    survives = staticmethod(survives)
    placed = staticmethod(placed)
    memory = MEMORY

    @staticmethod
    def noise(size: int, seed: int = 0) -> bytes:
        """Bytes that do not compress."""
        return random.Random(seed).randbytes(size)


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
