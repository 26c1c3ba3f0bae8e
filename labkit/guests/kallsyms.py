"""The symbol table that a Linux kernel carries inside itself (CONFIG_KALLSYMS): names for a stripped kernel.

Nothing points to the table: it is found by its shape. The parts, each aligned to 4 (scripts/kallsyms.c):

============= ==============================================================================================
num_syms      32-bit word
names         per symbol its length (1 byte; 2 from 128 on) and as many bytes, each the number of a token
markers       32-bit words: where in names every 256th symbol is
seqs_of_names 3 bytes per symbol, in newer kernels; not used here
token_table   256 strings, each with a NUL: the text of each token
token_index   256 16-bit words: where in token_table each token is
offsets       one 32-bit word per symbol, counted from relative_base, in order of address
relative_base 32-bit word
============= ==============================================================================================

Before Linux 6.4 offsets and relative_base stand before num_syms.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, islice, pairwise
from typing import overload

from labkit.vm.machine.boot import Symbol

__all__ = ["Symbols", "find"]

_MAX_SYMBOLS = 1 << 18
_MAX_CANDIDATES = 16  # places that look like a table, or like its start: a file made to look so takes no time
_MAX_NAME = 130  # bytes that a symbol takes in names, at most (with its length)
_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))  # tokens 30h-39h stand for themselves


class Symbols(Sequence[Symbol]):
    """The symbols in a kernel's segments, looked for when first asked for: that takes 0.1 s for Debian's."""

    def __init__(self, segments: Sequence[bytes]) -> None:
        self._segments = segments

    @cached_property
    def _found(self) -> tuple[Symbol, ...]:
        return max((find(data) for data in self._segments), key=len, default=())

    @overload
    def __getitem__(self, index: int) -> Symbol: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Symbol]: ...
    def __getitem__(self, index: int | slice) -> Symbol | Sequence[Symbol]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._found == tuple(other)

    def __hash__(self) -> int:
        return hash(self._found)


def find(data: bytes) -> tuple[Symbol, ...]:
    """The symbols of the kernel segment `data`, in order of address; empty if it carries no such table."""
    at = -1
    for _ in range(_MAX_CANDIDATES):
        at = data.find(_DIGITS, at + 1)
        if at < 0:
            break
        start, tokens = _tokens(data, at)
        if tokens and (symbols := _symbols(data, start, tokens)):
            return symbols
    return ()


def _tokens(data: bytes, zero: int) -> tuple[int, list[bytes]]:
    """Where the token table starts that has token 30h at `zero`; its texts, none if the index disagrees."""
    second = zero
    for _ in range(0x30 - 1):
        second = data.rfind(b"\0", max(second - 64, 0), max(second - 1, 0)) + 1
    texts = data[second : second + 0x4000].split(b"\0", 255)[:255]
    ends = list(accumulate(len(text) + 1 for text in texts))
    index = data[_aligned(second + ends[-1]) :][:512]
    # What stands before the first token may be anything; the index says how long that token is.
    size = int.from_bytes(index[2:4], "little")
    start = second - size
    if len(texts) < 255 or start < 0 or index != struct.pack("<256H", 0, *_places(size, ends[:-1])):
        return 0, []
    return start, [data[start : second - 1], *texts]


def _places(first: int, ends: list[int]) -> list[int]:
    return [min(first + end, 0xFFFF) for end in (0, *ends)]


def _symbols(data: bytes, tokens_at: int, tokens: list[bytes]) -> tuple[Symbol, ...]:
    """Walk from the token table back to names, and from there to the addresses."""
    index_at = _aligned(tokens_at + sum(len(text) + 1 for text in tokens))
    at, found = _markers(data, tokens_at)
    for markers in (found, found[:-1]):  # what comes after the markers can look like one more
        for names_at, count in islice(_beginnings(data, at, markers), _MAX_CANDIDATES):
            names = list(_names(data[names_at:at], markers, count, tokens))
            before = names_at - 8 - 4 * count, names_at - 8
            after = index_at + 512, index_at + 512 + 4 * count
            for offsets_at, base_at in (before, after) if len(names) == count else ():
                if addresses := _addresses(data, offsets_at, base_at, count):
                    return tuple(Symbol(a, n) for a, n in zip(addresses, names, strict=True) if n)
    return ()


def _beginnings(data: bytes, markers_at: int, markers: list[int]) -> Iterator[tuple[int, int]]:
    """Where names can begin, nearest first, with num_syms: at most 256 symbols follow a marker."""
    nearest = _aligned(markers_at - markers[-1]) if markers else 0
    for names_at in range(nearest, max(nearest - 256 * _MAX_NAME, 4), -4):
        (count,) = struct.unpack_from("<I", data, names_at - 4)
        if (count + 255) // 256 == len(markers):
            yield names_at, count


def _markers(data: bytes, end: int) -> tuple[int, list[int]]:
    """The last run of words before `end` that starts at 0 and grows as markers do: where, and the words."""
    start = max(end - 4 * (_MAX_SYMBOLS + 1024), end % 4)
    words = struct.unpack_from(f"<{(end - start) // 4}I", data, start)
    run = 0
    for at in range(len(words) - 2, -1, -1):
        if 512 <= words[at + 1] - words[at] <= 256 * _MAX_NAME:
            run += 1
            if words[at] == 0 and run >= 3:
                return start + 4 * at, list(words[at : at + run + 1])
        else:
            run = 0
    return 0, []


def _names(names: bytes, markers: list[int], count: int, tokens: list[bytes]) -> Iterator[str]:
    """The symbols' names without the type letter in front; fewer than `count` if the markers disagree."""
    at = 0
    for number in range(count):
        if at + 2 > len(names) or (number % 256 == 0 and markers[number // 256] != at):
            return
        length = names[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | names[at] << 7
            at += 1
        text = b"".join([tokens[token] for token in names[at : at + length]])
        yield text[1:].decode("latin-1")
        at += length


def _addresses(data: bytes, offsets_at: int, base_at: int, count: int) -> list[int]:
    """The symbols' addresses, none if these places do not hold them."""
    if min(offsets_at, base_at) < 0 or max(offsets_at + 4 * count, base_at + 4) > len(data):
        return []
    offsets = struct.unpack_from(f"<{count}I", data, offsets_at)
    (base,) = struct.unpack_from("<I", data, base_at)
    if offsets[0] or base + offsets[-1] >= 1 << 32 or any(b < a for a, b in pairwise(offsets)):
        return []
    return [base + offset for offset in offsets]


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
