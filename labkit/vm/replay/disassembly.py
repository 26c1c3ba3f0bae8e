"""Disassembly for people, by Capstone: lines around an address, operands of one instruction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import capstone
from capstone import x86 as cx86

from labkit.vm.machine.state import GENERAL, SEGMENTS, Registers

__all__ = ["Access", "Line", "accesses", "disassemble", "length_at"]

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


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes that an instruction reads or writes, by linear address."""

    linear: int
    size: int
    write: bool


@lru_cache(maxsize=4)
def _decoder(wide: bool, detail: bool) -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if wide else capstone.CS_MODE_16)
    decoder.detail = detail
    return decoder


def length_at(read: Read, linear: int, wide: bool) -> int:
    """Bytes of the instruction at an address, 1 where there is none."""
    code = read(linear, LONGEST) or read(linear, 1) or b""
    return next((size for _a, size, _m, _o in _decoder(wide, False).disasm_lite(code, linear, 1)), 1)


def disassemble(read: Read, linear: int, before: int, after: int, wide: bool = True) -> list[Line]:
    """`before` instructions that end at `linear`, then `after` from there. Unreadable bytes end the list.

    x86 cannot be decoded backwards: of the starts up to 15 bytes a line earlier, the farthest one is taken whose
    instructions meet `linear`.
    """
    return [*_before(read, linear, before, wide), *_forward(read, linear, after, wide)]


def _forward(read: Read, linear: int, count: int, wide: bool) -> list[Line]:
    lines: list[Line] = []
    at = linear
    while len(lines) < count:
        code = read(at, LONGEST) or read(at, 0x1000 - at % 0x1000 if at % 0x1000 > 0xFF0 else 1)
        if not code:
            break
        found = next(iter(_decoder(wide, False).disasm_lite(code, at, 1)), None)
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
    start = max(0, linear - LONGEST * count, (linear - 1) & ~0xFFF if read(linear - 1, 1) and not read(max(0, linear - LONGEST * count), 1) else 0)
    code = read(start, linear - start)
    if not code:
        return []
    for skip in range(min(LONGEST * 2, len(code))):
        lines = [
            Line(a, code[a - start : a - start + size], m, o)
            for a, size, m, o in _decoder(wide, False).disasm_lite(code[skip:], start + skip)
        ]
        if lines and lines[-1].address + len(lines[-1].bytes) == linear:
            return lines[-count:]
    return []


def accesses(code: bytes, registers: Registers) -> list[Access]:
    """What the instruction in `code` at the registers' EIP is going to read and write, its stack traffic included."""
    wide = bool(registers.cs.attributes >> 22 & 1)
    found = next(iter(_decoder(wide, True).disasm(code, registers.eip, 1)), None)
    if found is None:
        return []
    explicit = [
        Access(_address(found, operand, registers), operand.size, write)
        for operand in found.operands
        if operand.type == cx86.X86_OP_MEM and found.id not in (cx86.X86_INS_LEA, cx86.X86_INS_NOP)
        for write in _directions(operand.access)
    ]
    return explicit + _stack(found, registers)


def _directions(access: int) -> Sequence[bool]:
    if access == capstone.CS_AC_READ | capstone.CS_AC_WRITE:
        return (False, True)
    return (access == capstone.CS_AC_WRITE,)


def _address(found: Any, operand: Any, registers: Registers) -> int:
    memory = operand.mem

    def value(register: int) -> int:
        name = found.reg_name(register) if register else ""
        if name and f"e{name}" in GENERAL:
            return int(getattr(registers, f"e{name}")) & 0xFFFF
        return int(getattr(registers, name)) if name in GENERAL else 0

    segment = found.reg_name(memory.segment) if memory.segment else ""
    if segment not in SEGMENTS:
        segment = "ss" if found.reg_name(memory.base) in ("esp", "ebp") else "ds"
    offset = value(memory.base) + value(memory.index) * memory.scale + memory.disp
    return (getattr(registers, segment).base + offset) & 0xFFFFFFFF


def _stack(found: Any, registers: Registers) -> list[Access]:
    top = (registers.ss.base + registers.esp) & 0xFFFFFFFF
    if found.group(capstone.CS_GRP_CALL) or found.mnemonic.startswith("push"):
        return [Access((top - 4) & 0xFFFFFFFF, 4, True)]
    if found.group(capstone.CS_GRP_RET) or found.mnemonic.startswith("pop"):
        return [Access(top, 4, False)]
    return []
