"""Where an engine keeps its translated code: found by what QEMU puts first into the buffer, its way in.

engine -> translator's context (TCGContext) -> buffer:  push rbp; push rbx; push r12 ... push r15; mov rbp, rdi
"""

import numpy as np

from labkit.vm.machine.probes.layout import WINDOW, SafeReader

__all__ = ["find_code_buffer"]

PROLOGUE = bytes.fromhex("5553 4154 4155 4156 4157 488bef")
ENGINE = 0x1000
LOWEST, HIGHEST = 0x10000, 1 << 47

_known: tuple[int, int] | None = None  # offset of the context's pointer in the engine, of the buffer's in it


def find_code_buffer(engine: int) -> int:
    """Host address of the buffer of the engine at `engine`; 0 where it is not found."""
    global _known
    reader = SafeReader()
    try:
        if _known is not None:
            found = _word(reader, _word(reader, engine + _known[0]) + _known[1])
            if reader.read(found, len(PROLOGUE)) == PROLOGUE:
                return found
        for at, pointer in enumerate(np.frombuffer(reader.read(engine, ENGINE), np.uint64).tolist()):
            if LOWEST <= pointer < HIGHEST and not pointer & 7:
                inside, found = _search(reader, pointer)
                if found:
                    _known = (8 * at, inside)
                    return found
    finally:
        reader.close()
    return 0


def _word(reader: SafeReader, address: int) -> int:
    return int.from_bytes(reader.read(address, 8), "little")


def _search(reader: SafeReader, context: int) -> tuple[int, int]:
    """A pointer to the buffer among the words of a structure: its offset, and where it leads."""
    data = reader.read(context, WINDOW)
    words = np.frombuffer(data[: len(data) & ~7], np.uint64)
    pages = (words & np.uint64(0xFFF) == 0) & (words >= LOWEST) & (words < HIGHEST)
    for at in np.flatnonzero(pages).tolist():
        if reader.read(int(words[at]), len(PROLOGUE)) == PROLOGUE:
            return 8 * at, int(words[at])
    return 0, 0
