"""What one instruction is going to read and write in memory, decoded before it runs (Capstone).

Operands that Capstone lists, and the traffic that it does not: the stack, bit strings, states of the
floating-point unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import capstone
from capstone import x86 as cx86

from labkit.vm.machine.state import GENERAL, SEGMENTS, Registers

__all__ = ["Access", "accesses"]

MASK = 0xFFFFFFFF
TWO_BYTES = 0x0F
OPERAND_SIZE, XLAT = 0x66, 0xD7
UNTOUCHED = (cx86.X86_INS_LEA, cx86.X86_INS_NOP, cx86.X86_INS_INVLPG)
READ_WRITE = capstone.CS_AC_READ | capstone.CS_AC_WRITE
STATES = {"fxsave": (512, True), "fxrstor": (512, False), "fnsave": (108, True), "frstor": (108, False),
          "fnstenv": (28, True), "fldenv": (28, False)}  # fmt: skip
STORES = frozenset((
    "mov", "stosb", "stosw", "stosd", "fst", "fstp", "fist", "fistp", "fisttp", "fbstp", "fnstcw", "fnstsw",
    "stmxcsr", "sgdt", "sidt", "str", "sldt", "smsw", "movnti", "movntq", "movntps", "movntdq", "movaps",
    "movups", "movdqa", "movdqu", "movd", "movq", "movss", "movhps", "movlps", "movlpd", "movhpd",
))  # fmt: skip
LOADS = frozenset(("cmp", "test", "bt", "push", "call", "jmp", "lgdt", "lidt", "ldmxcsr", "fldcw", "scasb"))
TABLES = frozenset(("lgdt", "lidt", "sgdt", "sidt"))
BIT_STRINGS = frozenset(("bt", "bts", "btr", "btc"))


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes that an instruction or the delivery of an event reads or writes, by linear address."""

    linear: int
    size: int
    write: bool


@lru_cache(maxsize=2)
def _decoder(wide: bool) -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if wide else capstone.CS_MODE_16)
    decoder.detail = True
    return decoder


def accesses(code: bytes, registers: Registers) -> list[Access]:
    """What the instruction in `code` at the registers' EIP is going to read and write, its stack included.

    Of a repeated string instruction it is one iteration. Descriptor tables, task-state segments and page
    tables are not listed.
    """
    found = next(iter(_decoder(bool(registers.cs.attributes >> 22 & 1)).disasm(code, registers.eip, 1)), None)
    if found is None:
        return []
    address_mask = 0xFFFF if found.addr_size == 2 else MASK
    if found.prefix[0] in {0xF2, 0xF3} and _is_string(found) and not registers.ecx & address_mask:
        return []
    explicit = [
        Access(linear, size, write)
        for operand in found.operands
        if operand.type == cx86.X86_OP_MEM and found.id not in UNTOUCHED
        for linear, size in [_place(found, operand, registers)]
        for write in _directions(found, operand)
    ]
    return list(dict.fromkeys(explicit + _table(found, registers) + _stack(found, registers)))


def _is_string(found: Any) -> bool:
    return found.opcode[0] in {*range(0x6C, 0x70), *range(0xA4, 0xA8), *range(0xAA, 0xB0)}


def _directions(found: Any, operand: Any) -> Sequence[bool]:
    name, first = found.mnemonic.split()[-1], found.operands[0]
    if name in STATES:
        return (STATES[name][1],)
    if name in LOADS:
        return (False,)
    if name in STORES and operand is first:
        return (True,)
    if operand.access == READ_WRITE:
        return (False, True)
    return (operand.access == capstone.CS_AC_WRITE,)


def _place(found: Any, operand: Any, registers: Registers) -> tuple[int, int]:
    memory, size, name = operand.mem, operand.size, found.mnemonic.split()[-1]
    mask = 0xFFFF if found.addr_size == 2 else MASK

    def value(register: int) -> int:
        text = found.reg_name(register) if register else ""
        if text and f"e{text}" in GENERAL:
            return int(getattr(registers, f"e{text}")) & 0xFFFF
        if text in {"al", "bl", "cl", "dl"}:
            return int(getattr(registers, f"e{text[0]}x")) & 0xFF
        return int(getattr(registers, text)) if text in GENERAL else 0

    base = found.reg_name(memory.base) if memory.base else ""
    offset = value(memory.base) + value(memory.index) * memory.scale + memory.disp
    if name == "pop" and base == "esp":
        offset += size  # the address is computed with the stack pointer behind the pop
    if name in BIT_STRINGS and found.operands[1].type == cx86.X86_OP_REG:
        bit = value(found.operands[1].reg)
        width = 8 * size
        bit = bit - (1 << width) if bit >> (width - 1) & 1 else bit
        offset += bit // width * size
    if name in STATES:
        size = STATES[name][0]
    if name in TABLES:
        size = 6
    segment = found.reg_name(memory.segment) if memory.segment else ""
    if segment not in SEGMENTS:
        segment = "ss" if base in {"esp", "ebp", "bp", "sp"} else "ds"
        if _is_string(found) and base in {"edi", "di"}:
            segment = "es"
    return (getattr(registers, segment).base + (offset & mask)) & MASK, size


def _table(found: Any, registers: Registers) -> list[Access]:
    """XLAT reads the byte at EBX + AL; Capstone lists no operand."""
    if found.opcode[0] != XLAT:
        return []
    segment = {0x2E: "cs", 0x36: "ss", 0x26: "es", 0x64: "fs", 0x65: "gs"}.get(found.prefix[1], "ds")
    offset = registers.ebx + (registers.eax & 0xFF) & (0xFFFF if found.addr_size == 2 else MASK)
    return [Access((getattr(registers, segment).base + offset) & MASK, 1, write=False)]


def _stack(found: Any, registers: Registers) -> list[Access]:
    """Pushes and pops."""
    name, code = found.mnemonic.split()[-1], found.opcode[0]
    operand_small = found.prefix[2] == OPERAND_SIZE
    wide = bool(registers.cs.attributes >> 22 & 1) != operand_small
    size = 4 if wide else 2
    mask = MASK if registers.ss.attributes >> 22 & 1 else 0xFFFF

    def at(pointer: int, count: int, write: bool) -> list[Access]:
        return [Access((registers.ss.base + (pointer & mask)) & MASK, count * size, write)] if count else []

    top = registers.esp
    if name.startswith(("pushal", "pushaw")):
        return at(top - 8 * size, 8, True)
    if name.startswith(("popal", "popaw")):
        return at(top, 8, False)
    if name == "lcall":
        return at(top - 2 * size, 2, True)
    if name == "retf":
        return at(top, 2, False)
    if name.startswith("iret"):
        return at(top, 5 if registers.cpl == 0 else 3, False)
    if name == "enter":
        return at(top - size, 1, True)
    if name == "leave":
        return at(registers.ebp, 1, False)
    if name.startswith("push") or found.group(capstone.CS_GRP_CALL):
        return at(top - size, 1, True)
    if name in {"pop", "ret"} or (name.startswith("popf") and code != TWO_BYTES):
        return at(top, 1, False)
    return []
