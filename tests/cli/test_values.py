import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cli.errors import CommandError
from labkit.cli.values import address, count, keystrokes, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128M", 128 << 20), ("1G", 1 << 30), ("512k", 512 << 10), ("64MiB", 64 << 20), ("4096", 4096),
        ("0x8000000", 128 << 20), (" 16m ", 16 << 20), ("0640", 640), ("2GB", 2 << 30),
    ],
)  # fmt: skip
def test_sizes(text: str, value: int):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "M", "128X", "-1M", "1.5G", "128 M B", "0x", "1e6", "nan", "\u0661M"])
def test_not_a_size(text: str):
    with pytest.raises(CommandError, match="not a size"):
        size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 10**9), ("100M", 10**8), ("2.5G", 2_500_000_000), ("1_000_000", 10**6), ("1,000,000", 10**6),
        ("17", 17), ("3k", 3000), ("338214006", 338_214_006), ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_counts(text: str, value: int):
    assert count(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x100000", 1 << 20), ("100000h", 1 << 20), ("0FFFFFFFFh", 0xFFFFFFFF), ("4096", 4096)],
)
def test_addresses(text: str, value: int):
    assert address(text) == value


@pytest.mark.parametrize("text", ["", "h", "0x", "ffh", "-1", "4294967296", "0x100000000", "FFFFFFFFFh"])
def test_not_an_address(text: str):
    with pytest.raises(CommandError, match="not a 32-bit address"):
        address(text)


@pytest.mark.parametrize("text", ["", "M", "-5", "1e", "ten", "0", "0.4", "1e999", "inf", "1 2"])
def test_not_a_count(text: str):
    with pytest.raises(CommandError):
        count(text)


def test_escapes():
    assert keystrokes(r"echo A$((6*7))\n") == b"echo A$((6*7))\n"
    assert keystrokes(r"\r\t\e[A\x03\xff\0\\n") == b"\r\t\x1b[A\x03\xff\x00\\n"
    assert keystrokes("ä") == "ä".encode()
    for wrong in (r"\q", "ends in \\", r"\x", r"\xg1"):
        with pytest.raises(CommandError, match="escape"):
            keystrokes(wrong)


@given(st.binary())
def test_every_byte_can_be_typed(data: bytes):
    assert keystrokes("".join(f"\\x{byte:02x}" for byte in data)) == data


@given(st.binary())
def test_text_without_a_backslash_is_typed_as_it_is(data: bytes):
    text = os.fsdecode(data.replace(b"\\", b"/"))
    assert keystrokes(text) == os.fsencode(text)
