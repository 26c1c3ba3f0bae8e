"""How often an instruction reaches for data memory, by its form alone, compiled.

    7       6         5     0
   |varies | segment | usual |    `varies`: it depends on what the instruction finds (segment loads, far transfers,
                                  state of the floating-point unit, REP with a count of zero)
                                  `segment`: it loads a data segment, two of the usual ones are the descriptor's

Counted as Unicorn makes the accesses: a 16-byte operand is two, an 80-bit one is two. What is fetched as code
does not count. Source: Intel SDM volume 2, and QEMU's translator for how an operand is cut.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import MODRM, ONE, PREFIX, TWO
from labkit.vm.machine.probes.intrinsics import load8

__all__ = ["SEGMENT", "USUAL", "VARIES", "references"]

VARIES, SEGMENT, USUAL = 0x80, 0x40, 0x3F


def _without_modrm() -> npt.NDArray[np.uint8]:
    """One-byte opcodes without ModRM, and the implied part of those with it (PUSH of CALL)."""
    table = np.zeros(256, np.uint8)
    table[[0x06, 0x0E, 0x16, 0x1E]] = 1
    table[[0x07, 0x17, 0x1F]] = VARIES | SEGMENT | 3
    table[0x50:0x60] = 1
    table[0x60], table[0x61] = 8, 7
    table[[0x68, 0x6A, 0x9C, 0x9D, 0xC2, 0xC3, 0xC9, 0xE8, 0xD7]] = 1
    table[0x9A], table[[0xCA, 0xCB]], table[0xCF], table[0xC8] = VARIES | 4, VARIES | 4, VARIES | 5, VARIES | 1
    table[0xEA] = VARIES | 2
    table[0x6C:0x70] = VARIES | 1
    table[0xA0:0xA4] = 1
    table[[0xA4, 0xA5, 0xA6, 0xA7]] = 2
    table[[0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF]] = 1
    table[0x8F] = 1
    return table


def _operand() -> npt.NDArray[np.uint8]:
    """One-byte opcodes: accesses to a memory operand."""
    table = np.zeros(256, np.uint8)
    for row in range(0, 0x40, 8):
        table[row : row + 2] = 1 if row == 0x38 else 2
        table[row + 2 : row + 4] = 1
    table[0x62], table[0x63] = 2, VARIES | 2
    table[[0x69, 0x6B, 0x84, 0x85, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0xC6, 0xC7, 0x8F]] = 1
    table[0x80:0x84] = 2
    table[[0x86, 0x87, 0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3]] = 2
    table[0x8E] = VARIES | SEGMENT | 3
    table[[0xC4, 0xC5]] = VARIES | 4
    table[0xD8:0xE0] = 1
    table[[0xF6, 0xF7]] = 1
    table[[0xFE, 0xFF]] = 2
    return table


def _operand_two() -> npt.NDArray[np.uint8]:
    """Two-byte opcodes: accesses to a memory operand; what is not listed is MMX or SSE."""
    table = np.full(256, VARIES | 1, np.uint8)
    table[[0x00, 0x01]] = VARIES | 2
    table[[0x02, 0x03]] = VARIES | 3
    table[0x0D] = 0
    table[0x18:0x20] = 0
    table[0x40:0x50] = 1
    table[0x90:0xA0] = 1
    table[[0xA3, 0xAF, 0xB6, 0xB7, 0xBC, 0xBD, 0xBE, 0xBF, 0xC3]] = 1
    table[[0xAB, 0xB3, 0xBB, 0xA4, 0xA5, 0xAC, 0xAD, 0xB0, 0xB1, 0xC0, 0xC1]] = 2
    table[[0xB2, 0xB4, 0xB5]] = VARIES | 4
    table[0xC7] = VARIES | 2
    return table


IMPLIED, OPERAND, OPERAND_TWO = _without_modrm(), _operand(), _operand_two()


@njit()
def _float_operand(op, field):  # type: ignore[no-untyped-def]
    """ESC opcodes that are more than one access."""
    if op == 0xD9 and (field == 4 or field == 6):
        return np.uint8(VARIES | 7)
    if op == 0xDB and (field == 5 or field == 7):
        return np.uint8(2)
    if op == 0xDD and (field == 4 or field == 6):
        return np.uint8(VARIES | 23)
    if op == 0xDF and (field == 4 or field == 6):
        return np.uint8(VARIES | 10)
    return np.uint8(1)


@njit()
def _one(op, modrm):  # type: ignore[no-untyped-def]
    """With ModRM."""
    register, field = modrm >= 0xC0, (modrm >> 3) & 7
    count = IMPLIED[op]
    if op == 0x8E and register:
        return np.uint8(VARIES | SEGMENT | 2)
    if op == 0xFF:
        if field == 2 or field == 6:  # CALL, PUSH
            return np.uint8(1 if register else 2)
        if field == 4:
            return np.uint8(0 if register else 1)
        if field == 3 or field == 5:
            return np.uint8(VARIES | 4)
    if register:
        return count
    if 0xD8 <= op <= 0xDF:
        return _float_operand(op, field)
    if 0x80 <= op <= 0x83 and field == 7:
        return np.uint8(1)
    if (op == 0xF6 or op == 0xF7) and (field == 2 or field == 3):
        return np.uint8(2)
    return np.uint8(count + OPERAND[op])


@njit()
def _two(op, modrm):  # type: ignore[no-untyped-def]
    if op == 0xA0 or op == 0xA8:
        return np.uint8(1)
    if op == 0xA1 or op == 0xA9:
        return np.uint8(VARIES | SEGMENT | 3)
    if not (TWO[op] & MODRM) or op in (0x20, 0x21, 0x22, 0x23, 0x24, 0x26):
        return np.uint8(0)
    if modrm >= 0xC0:
        return np.uint8(VARIES | 2) if op == 0x00 or op == 0x02 or op == 0x03 else np.uint8(0)
    if op == 0x01 and (modrm >> 3) & 7 == 7:
        return np.uint8(0)
    if op == 0xBA:
        return np.uint8(1 if (modrm >> 3) & 7 == 4 else 2)
    return OPERAND_TWO[op]


@njit()
def references(p: Any) -> Any:
    """Accesses of the instruction at `p`, with VARIES."""
    i, repeat = np.uint64(0), False
    op = load8(p)
    while ONE[op] & PREFIX and i < 14:
        repeat = repeat or op == 0xF2 or op == 0xF3
        i += np.uint64(1)
        op = load8(p + i)
    modrm = load8(p + i + np.uint64(1))
    if op == 0x0F:
        return _two(modrm, load8(p + i + np.uint64(2)))
    if (op == 0xC4 or op == 0xC5) and modrm >= 0xC0:  # VEX
        return np.uint8(VARIES)
    if ONE[op] & MODRM:
        return _one(op, modrm)
    if repeat and (0xA4 <= op <= 0xA7 or 0xAA <= op <= 0xAF):
        return np.uint8(VARIES | IMPLIED[op])
    return IMPLIED[op]
