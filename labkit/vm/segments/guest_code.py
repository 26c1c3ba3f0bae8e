"""Guest code, instruction by instruction: which segments it uses, and its translation for level 1.

    guest                  translation
    mov eax, gs:[-4]       mov eax, fs:[-4]        gs is the monitor's; fs holds what the guest has in gs
    mov eax, cs:[esi]      int3                    cs reaches the translations: a callout, the monitor emulates it
    all others             the same bytes

A translation is as long as what it was made of, so that places correspond and near jumps stay as they are; a block
begins with one instruction of the monitor's own, which keeps the guest's stack pointer through gs.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import capstone
from capstone import x86 as cx86

__all__ = ["PROLOGUE", "GuestCode", "Instruction"]

PROLOGUE = bytes.fromhex("65892500000000")
"""mov gs:[0], esp: it must leave the guest's flags alone."""
GS, FS, CS = 0x65, 0x64, 0x2E
PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
NAMES = {
    cx86.X86_REG_DS: "ds", cx86.X86_REG_ES: "es", cx86.X86_REG_SS: "ss", cx86.X86_REG_FS: "fs",
    cx86.X86_REG_GS: "gs", cx86.X86_REG_CS: "cs",
}  # fmt: skip
STACK = ("push", "pop", "call", "ret", "leave", "enter")
CALLOUT, FILLER = 0xCC, 0x90


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: offset in its code, bytes, words, and the segment registers that its accesses go through."""

    offset: int
    code: bytes
    words: str
    segments: tuple[str, ...]
    loads: bool
    """It loads a segment register."""

    @property
    def prefixes(self) -> frozenset[int]:
        """Its prefix bytes."""
        end = next(i for i, byte in enumerate(self.code) if byte not in PREFIXES)
        return frozenset(self.code[:end])


@lru_cache(maxsize=1)
def _decoder() -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    made.detail = True
    return made


def _segments(found: capstone.CsInsn) -> tuple[str, ...]:
    used = []
    for operand in found.operands:
        if operand.type != cx86.X86_OP_MEM or found.id == cx86.X86_INS_LEA:
            continue
        base = operand.mem.base
        default = "ss" if base in (cx86.X86_REG_EBP, cx86.X86_REG_ESP) else "ds"
        used.append(NAMES.get(operand.mem.segment, default))
    if found.mnemonic.startswith(STACK):
        used.append("ss")
    return tuple(dict.fromkeys(used))


@dataclass(frozen=True)
class GuestCode:
    """Code that runs to an INT3 behind its last byte."""

    code: bytes

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """All of them, in order. Raises `ValueError` where the bytes are no code."""
        made = []
        for found in _decoder().disasm(self.code, 0):
            into = found.operands[0] if found.operands else None
            loads = into is not None and into.type == cx86.X86_OP_REG and into.reg in NAMES
            words = f"{found.mnemonic} {found.op_str}".strip()
            made.append(
                Instruction(found.address, bytes(found.bytes), words, _segments(found), loads and "push" not in words)
            )
        if sum(len(one.code) for one in made) != len(self.code):
            raise ValueError(f"byte {sum(len(one.code) for one in made)} begins no instruction")
        return tuple(made)

    @cached_property
    def at(self) -> dict[int, Instruction]:
        """By offset."""
        return {one.offset: one for one in self.instructions}

    @cached_property
    def uses_gs(self) -> bool:
        """Then fs holds the guest's gs while the translation runs."""
        return any(GS in one.prefixes for one in self.instructions)

    def translate(self, *, reserve_gs: bool = True) -> bytes:
        """The translation, without its prologue. `reserve_gs=False` leaves gs: as it is: the mistake of the lesson."""
        return b"".join(self._translated(one, reserve_gs) for one in self.instructions)

    def _translated(self, one: Instruction, reserve_gs: bool) -> bytes:
        used = one.prefixes
        if CS in used or (FS in used and self.uses_gs and reserve_gs):
            return bytes([CALLOUT]) + bytes([FILLER]) * (len(one.code) - 1)
        if GS in used and reserve_gs:
            end = next(i for i, byte in enumerate(one.code) if byte not in PREFIXES)
            return one.code[:end].replace(bytes([GS]), bytes([FS])) + one.code[end:]
        return one.code

    def listing(self) -> str:
        """Guest code beside its translation."""
        theirs = GuestCode(self.translate())
        rows = [f"{'guest':<42}translation", f"{'':<42}{'mov dword ptr gs:[0], esp':<34}<- the monitor's own"]
        for one in self.instructions:
            other = theirs.at[one.offset]
            same = "" if one.code == other.code else "<- changed"
            rows.append(f"{one.offset:3x}  {one.words:<37}{other.words:<34}{same}".rstrip())
        return "\n".join(rows)
