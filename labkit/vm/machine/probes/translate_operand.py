"""Where a jump leads, and what a memory operand consists of, as the translator notes it down; compiled."""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import operations as o
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load8, load32

__all__ = ["near", "operand"]

U = np.uint64
MASK32 = U(0xFFFFFFFF)


@njit()
def near(p: Any, behind: Any, short: Any) -> Any:
    """Target of a jump whose distance lies at `p`."""
    distance = np.int64(np.int8(load8(p))) if short else np.int64(np.int32(load32(p)))
    return (behind + U(distance)) & MASK32


@njit()
def operand(p: Any) -> Any:
    """What _address in dispatch.py takes: base, index, shift, segment; displacement above. `p`: ModRM, no prefix."""
    base: Any
    index: Any
    shift: Any
    mode, base = np.int64(load8(p) >> 6), np.int64(load8(p) & 7)
    at, index, shift = p + U(1), o.NO_REGISTER, 0
    if base == 4:
        sib = np.int64(load8(at))
        at += U(1)
        base, index, shift = sib & 7, (sib >> 3) & 7, sib >> 6
        if index == 4:
            index = o.NO_REGISTER
    displacement = U(0)
    if mode == 0 and base == 5:
        base, displacement = o.NO_REGISTER, U(load32(at))
    elif mode == 1:
        displacement = U(np.int64(np.int8(load8(at)))) & MASK32
    elif mode == 2:
        displacement = U(load32(at))
    segment = 2 if base == 4 or base == 5 else 3
    return U(base | index << 8 | shift << 16 | segment << 24) | displacement << U(32)
