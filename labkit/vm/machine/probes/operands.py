"""What an instruction reads and writes in memory, compiled: kind and size by opcode.

    packed   15             8 7      2 1 0
            |     size       |   0    |how|     how: 0 nothing, 1 reads, 2 writes, 3 both

Source: Intel SDM volume 2, appendix A. `z` is 4 or 2 bytes, by operand size.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import MODRM, ONE, TWO

__all__ = ["BOTH", "NOTHING", "READS", "WRITES", "operand"]

NOTHING, READS, WRITES, BOTH = range(4)


@njit()
def _packed(how: Any, size: Any) -> Any:
    return np.int64(how | size << 8)


@njit()
def _floating(op: Any, reg: Any, z: Any) -> Any:
    """D8 to DF with a memory operand."""
    environment = 28 if z == 4 else 14
    if op == 0xD9:
        if reg == 4 or reg == 6:
            return _packed(READS if reg == 4 else WRITES, environment)
        if reg == 5 or reg == 7:
            return _packed(READS if reg == 5 else WRITES, 2)
    if op == 0xDB and reg >= 4:
        return _packed(READS if reg == 5 else WRITES, 10)
    if op == 0xDD and reg >= 4:
        if reg == 7:
            return _packed(WRITES, 2)
        return _packed(READS if reg == 4 else WRITES, environment + 80)
    if op == 0xDF and reg >= 4:
        return _packed(READS if reg < 6 else WRITES, 8 if reg & 1 else 10)
    size = 8 if op == 0xDC or op == 0xDD else 2 if op == 0xDE or op == 0xDF else 4
    only_reads = op == 0xD8 or op == 0xDA or op == 0xDC or op == 0xDE or reg == 0
    return _packed(READS if only_reads else WRITES, size)


@njit()
def _one(op: Any, reg: Any, z: Any) -> Any:
    width = z if op & 1 else 1
    if op < 0x40:
        return _packed(BOTH if op & 7 < 2 and op < 0x38 else READS, width)
    if 0x80 <= op <= 0x83:
        return _packed(READS if reg == 7 else BOTH, width)
    if 0xC0 <= op <= 0xC1 or 0xD0 <= op <= 0xD3 or op == 0x86 or op == 0x87:
        return _packed(BOTH, width)
    if op == 0x88 or op == 0x89 or op == 0xC6 or op == 0xC7:
        return _packed(WRITES, width)
    if op == 0x84 or op == 0x85 or op == 0x8A or op == 0x8B:
        return _packed(READS, width)
    if op == 0x69 or op == 0x6B:
        return _packed(READS, z)
    if op == 0x62:
        return _packed(READS, 2 * z)
    if op == 0x63:
        return _packed(BOTH, 2)
    if op == 0x8C:
        return _packed(WRITES, 2)
    if op == 0x8E:
        return _packed(READS, 2)
    if op == 0x8F:
        return _packed(WRITES, z)
    if op == 0xC4 or op == 0xC5:
        return _packed(READS, z + 2)
    if 0xD8 <= op <= 0xDF:
        return _floating(op, reg, z)
    if op == 0xF6 or op == 0xF7:
        return _packed(BOTH if reg == 2 or reg == 3 else READS, width)
    if op == 0xFE or (op == 0xFF and reg < 2):
        return _packed(BOTH, width)
    if op == 0xFF and reg < 7:
        return _packed(READS, z + 2 if reg == 3 or reg == 5 else z)
    return _packed(NOTHING, 0)


@njit()
def _vector(op: Any, prefix: Any) -> Any:
    """MMX and SSE; `prefix` is 66, F2, F3 or 0."""
    mmx = 0x60 <= op <= 0x7F or op >= 0xD0
    size = 4 if prefix == 0xF3 else 8 if prefix == 0xF2 or (mmx and not prefix) else 16
    if op == 0x12 or op == 0x13 or op == 0x16 or op == 0x17 or op == 0xD6:
        size = 8
    if op == 0x6E or (op == 0x7E and prefix != 0xF3) or op == 0x2A or op == 0x2C or op == 0x2D:
        size = 4 if op == 0x6E or op == 0x7E or prefix else 8
    if op == 0x7E and prefix == 0xF3:
        return _packed(READS, 8)
    if (op == 0x6F or op == 0x7F) and prefix:
        size = 16
    if op == 0x2E or op == 0x2F:
        size = 8 if prefix else 4
    if op == 0xC4:
        size = 2
    writes = op == 0x11 or op == 0x13 or op == 0x17 or op == 0x29 or op == 0x2B
    writes = writes or op == 0x7E or op == 0x7F or op == 0xD6 or op == 0xE7
    return _packed(WRITES if writes else READS, size)


@njit()
def _two(op: Any, reg: Any, z: Any, prefix: Any) -> Any:
    if op == 0x00:
        return _packed(WRITES if reg < 2 else READS, 2)
    if op == 0x01:
        if reg < 4:
            return _packed(WRITES if reg < 2 else READS, 6)
        return _packed(NOTHING if reg == 7 else WRITES if reg == 4 else READS, 2)
    if op == 0x02 or op == 0x03 or op == 0xB7 or op == 0xBF:
        return _packed(READS, 2)
    if op == 0xB6 or op == 0xBE:
        return _packed(READS, 1)
    if op == 0x0D or 0x18 <= op <= 0x1F:
        return _packed(NOTHING, 0)
    if 0x40 <= op <= 0x4F or op == 0xA3 or op == 0xAF or op == 0xB8 or op == 0xBC or op == 0xBD:
        return _packed(READS, z)
    if 0x90 <= op <= 0x9F:
        return _packed(WRITES, 1)
    if op == 0xB0 or op == 0xC0:
        return _packed(BOTH, 1)
    if op == 0xAB or op == 0xB3 or op == 0xBB or op == 0xB1 or op == 0xC1 or op == 0xA4 or op == 0xA5:
        return _packed(BOTH, z)
    if op == 0xAC or op == 0xAD:
        return _packed(BOTH, z)
    if op == 0xBA:
        return _packed(READS if reg == 4 else BOTH, z)
    if op == 0xB2 or op == 0xB4 or op == 0xB5:
        return _packed(READS, z + 2)
    if op == 0xAE:
        size = 512 if reg < 2 else 4 if reg < 4 else 1
        return _packed(WRITES if reg == 0 or reg == 3 else READS, size)
    if op == 0xC3:
        return _packed(WRITES, 4)
    if op == 0xC7:
        return _packed(BOTH if reg == 1 else NOTHING, 8)
    return _vector(op, prefix)


@njit()
def operand(escaped: Any, op: Any, modrm: Any, z: Any, prefix: Any) -> Any:
    """How the memory operand that ModRM names is used, and its size; `escaped`: the opcode follows 0F."""
    attributes = TWO[op] if escaped else ONE[op]
    if not (attributes & MODRM) or modrm >= 0xC0 or (escaped and 0x20 <= op <= 0x26):
        return _packed(NOTHING, 0)
    reg = np.int64(modrm >> 3) & 7
    return _two(op, reg, z, prefix) if escaped else _one(op, reg, z)
