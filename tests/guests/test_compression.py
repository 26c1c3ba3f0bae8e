import bz2
import contextlib
import gzip
import lzma
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import compression
from labkit.guests.errors import GuestError

PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstandard.compress,
}
kinds = pytest.mark.parametrize("kind", PACK)


@kinds
@given(data=st.binary(min_size=1, max_size=300), tail=st.binary(max_size=8))
def test_round_trip_with_a_tail(kind, data, tail):
    packed = PACK[kind](data) + tail
    assert compression.kind_of(packed) == kind
    assert compression.unpack(packed, 300) == data


@kinds
def test_a_bomb_is_stopped_at_the_limit(kind):
    bomb = PACK[kind](bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(GuestError, match="unpacks to more than 1,000 bytes"):
            compression.unpack(bomb, 1000)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20  # a dictionary of 8 MB
    finally:
        tracemalloc.stop()


@kinds
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_cut_off_stream_is_refused(kind, where):
    data = bytes(range(256)) * 8
    packed = PACK[kind](data)
    cut = packed[: int(where * (len(packed) - 1))]
    try:
        result = compression.unpack(cut, 4096)
    except GuestError:
        return
    assert kind == "zstd"  # a frame that does not say its size: the caller knows it
    assert data.startswith(result)


@kinds
@given(damage=st.data())
def test_damage_gives_bytes_or_a_guest_error(kind, make, damage):
    packed = damage.draw(make.damages)(PACK[kind](bytes(range(256)) * 8), 64)
    with contextlib.suppress(GuestError):
        assert len(compression.unpack(packed, 4096)) <= 4096


@pytest.mark.parametrize(("start", "name"), [(b"\x02\x21\x4c\x18", "lz4"), (b"\x89LZO\0", "lzo")])
def test_what_cannot_be_unpacked_here_says_what_to_do(start, name):
    with pytest.raises(GuestError, match=f"{name}, which labkit does not unpack; .*--firmware-path"):
        compression.unpack(start + bytes(20), 100)


def test_unknown_bytes_are_shown():
    assert compression.kind_of(b"hello") is None
    with pytest.raises(GuestError, match="68 65 6c 6c 6f"):
        compression.unpack(b"hello", 100)
