"""Disassembly for people, by Capstone: lines around an address."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import capstone

__all__ = ["LONGEST", "Line", "disassemble"]

LONGEST = 15
Read = Callable[[int, int], bytes | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: where, its bytes, its text, and the symbol that begins there."""

    address: int
    bytes: bytes
    mnemonic: str
    operands: str
    symbol: str | None = None
    note: str = ""

    def __str__(self) -> str:
        return f"{self.address:08x}  {self.bytes.hex(' '):<24}  {self.mnemonic:<7} {self.operands}".rstrip()


@lru_cache(maxsize=2)
def _decoder(wide: bool) -> Any:
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if wide else capstone.CS_MODE_16)


def disassemble(read: Read, linear: int, before: int, after: int, wide: bool = True) -> list[Line]:
    """`before` instructions that end at `linear`, then `after` from there. Unreadable bytes end the list.

    x86 cannot be decoded backwards: of the starts up to 15 bytes a line earlier, the farthest one is taken
    whose instructions meet `linear`.
    """
    return [*_before(read, linear, before, wide), *_forward(read, linear, after, wide)]


def _forward(read: Read, linear: int, count: int, wide: bool) -> list[Line]:
    lines: list[Line] = []
    at = linear
    while len(lines) < count:
        code = read(at, LONGEST) or read(at, 0x1000 - at % 0x1000 if at % 0x1000 > 0xFF0 else 1)
        if not code:
            break
        found = next(iter(_decoder(wide).disasm_lite(code, at, 1)), None)
        if found is None:
            lines.append(Line(at, code[:1], "(bad)", f"{code[0]:02x}h"))
            at += 1
            continue
        _address, size, mnemonic, operands = found
        lines.append(Line(at, code[:size], mnemonic, operands))
        at = (at + size) & 0xFFFFFFFF
    return lines


def _before(read: Read, linear: int, count: int, wide: bool) -> list[Line]:
    if not count:
        return []
    start = max(0, linear - LONGEST * count)
    code = read(start, linear - start)
    if code is None:  # the page before is not mapped
        start = linear & ~0xFFF
        code = read(start, linear - start)
    if not code:
        return []
    for skip in range(min(LONGEST * 2, len(code))):
        lines = [
            Line(a, code[a - start : a - start + size], m, o)
            for a, size, m, o in _decoder(wide).disasm_lite(code[skip:], start + skip)
        ]
        if lines and lines[-1].address + len(lines[-1].bytes) == linear:
            return lines[-count:]
    return []
