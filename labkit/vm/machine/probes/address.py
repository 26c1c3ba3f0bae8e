"""The effective address of an instruction's memory operand, compiled.

    ModRM  7 6 5   3 2  0     SIB  7   6 5   3 2  0
          |mod| reg | rm |        |scale|index|base|

    address = segment base + base + index * 2^scale + displacement

Only 32-bit addressing; the registers must stand as they did when the instruction ran.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import ONE, PREFIX
from labkit.vm.machine.probes.intrinsics import load8, load32

__all__ = ["UNKNOWN", "effective_address"]

U = np.uint64
MASK32 = U(0xFFFFFFFF)
UNKNOWN = U(1 << 63)
ES, CS, SS, DS, FS, GS = range(6)
ESP, EBP = 4, 5


@njit()
def _register(a, number):  # type: ignore[no-untyped-def]
    return U(load32(a[c.ENV] + (U(number) << U(3))))


@njit()
def _byte(p):  # type: ignore[no-untyped-def]
    value = U(load8(p))
    return value | U(0xFFFFFF00) if value & U(0x80) else value


@njit()
def effective_address(a, p):  # type: ignore[no-untyped-def]
    """Linear address of the memory operand of the instruction at `p`; UNKNOWN: none, or 16-bit addressing."""
    segment = -1
    op = load8(p)
    for _ in range(14):
        if not (ONE[op] & PREFIX):
            break
        if op == 0x67:
            return UNKNOWN
        for prefix, number in ((0x26, ES), (0x2E, CS), (0x36, SS), (0x3E, DS), (0x64, FS), (0x65, GS)):
            if op == prefix:
                segment = number
        p += U(1)
        op = load8(p)
    p += U(2) if op == 0x0F else U(1)
    modrm = load8(p)
    mod, rm = modrm >> 6, modrm & 7
    if mod == 3:
        return UNKNOWN
    p += U(1)
    address: Any = U(0)
    base: Any = np.int64(rm)
    if rm == 4:
        sib = load8(p)
        p += U(1)
        base = np.int64(sib & 7)
        if ((sib >> 3) & 7) != 4:
            address = _register(a, (sib >> 3) & 7) << U(sib >> 6)
    if mod == 0 and base == EBP:
        address += U(load32(p))
        base = -1
    elif mod == 1:
        address += _byte(p)
    elif mod == 2:
        address += U(load32(p))
    if base >= 0:
        address += _register(a, base)
    if segment < 0:
        segment = SS if base in (ESP, EBP) else DS
    return (address + U(load32(a[c.ENV] + U(layout.SEGMENTS + 24 * segment + 8)))) & MASK32
