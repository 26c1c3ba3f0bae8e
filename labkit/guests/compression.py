"""Compressed kernel payloads: told apart by their first bytes, unpacked with a bound on the result."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from labkit.guests.errors import GuestError

__all__ = ["kind_of", "unpack"]

_MEMORY_LIMIT = 256 << 20  # for the decoder's own dictionary: Linux uses up to 128 MB (zstd -22 --ultra)


class _Decoder(Protocol):
    """What the decoders of the standard library have in common."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _decode(decoder: _Decoder, data: bytes, limit: int) -> bytes:
    result = decoder.decompress(data, limit)
    if not decoder.eof and len(result) < limit:
        raise EOFError("it is cut off")
    return result


def _gzip(data: bytes, limit: int) -> bytes:
    return _decode(zlib.decompressobj(wbits=31), data, limit)


def _lzma(data: bytes, limit: int) -> bytes:
    return _decode(lzma.LZMADecompressor(memlimit=_MEMORY_LIMIT), data, limit)


def _bzip2(data: bytes, limit: int) -> bytes:
    return _decode(bz2.BZ2Decompressor(), data, limit)


def _zstd(data: bytes, limit: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_MEMORY_LIMIT)
    with decoder.stream_reader(data, read_across_frames=False) as reader:
        return reader.read(limit)


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes, int], bytes] | None], ...] = (
    (b"\xfd7zXZ\0", "xz", _lzma),
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"BZh", "bzip2", _bzip2),
    (b"\x5d\0\0", "lzma", _lzma),
    (b"\x02\x21\x4c\x18", "lz4", None),
    (b"\x89LZO", "lzo", None),
)


def kind_of(data: bytes) -> str | None:
    """The name of the format that `data` starts like, None if it starts like none."""
    return next((name for magic, name, _ in _FORMATS if data.startswith(magic)), None)


def unpack(data: bytes, limit: int) -> bytes:
    """The unpacked form of `data`, at most `limit` bytes; what follows the compressed stream is ignored.

    Raises GuestError for a damaged stream, an unknown format, or more than `limit` bytes.
    """
    name, decode = next((entry[1:] for entry in _FORMATS if data.startswith(entry[0])), (None, None))
    if name is None:
        raise GuestError(f"the payload starts with {data[:6].hex(' ') or 'nothing'}: no known compression")
    if decode is None:
        raise GuestError(
            f"the payload is compressed with {name}, which labkit does not unpack;"
            " with the firmware path (--firmware-path) the kernel unpacks itself"
        )
    try:
        result = decode(data, limit + 1)
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, OSError, EOFError, ValueError) as error:
        raise GuestError(f"the {name} payload is damaged: {error}") from None
    except MemoryError:
        raise GuestError(f"the {name} payload asks for too much memory to unpack") from None
    if len(result) > limit:
        raise GuestError(f"the {name} payload unpacks to more than {limit:,} bytes")
    return result
