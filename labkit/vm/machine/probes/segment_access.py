"""Accesses of one instruction, compiled: operand, stack and strings, each against its segment.

    check_*    NONE, or the exception: 13 for #GP(0), 12 for #SS(0) where the segment is SS

The registers must be exact.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load8, load16, load32
from labkit.vm.machine.probes.segments import faults
from labkit.vm.machine.probes.walk import WALK_FAULT, translate

__all__ = [
    "after_pop",
    "check_access",
    "check_enter",
    "check_pop",
    "check_push",
    "check_string",
    "operand_address",
    "read_linear_value",
    "read_operand",
    "register",
    "signed8",
    "signed16",
]  # fmt: skip

U = np.uint64
MASK32, MASK16 = U(0xFFFFFFFF), U(0xFFFF)
ES, SS = 0, 2
ECX, EBX, ESP, EBP, ESI, EDI = 1, 3, 4, 5, 6, 7
NONE, GP, STACK = 0, 13, 12
BIG = np.uint32(1 << 22)
FRAME_MASK = U(0xFFFFFFF000)


@njit()
def register(a: Any, number: Any) -> Any:
    """A general register, by its number in instructions."""
    return U(load32(a[c.ENV] + (U(number) << U(3))))


@njit()
def signed8(p: Any) -> Any:
    """The byte at `p`, sign-extended to 32 bits."""
    value = U(load8(p))
    return value | U(0xFFFFFF00) if value & U(0x80) else value


@njit()
def signed16(p: Any) -> Any:
    """The 16-bit word at `p`, sign-extended to 32 bits."""
    value = U(load16(p))
    return value | U(0xFFFF0000) if value & U(0x8000) else value


@njit()
def read_linear_value(a: Any, start: Any, size: Any) -> Any:
    """Bytes at a linear address, as a number; what is not mapped reads as zero."""
    value = U(0)
    for i in range(size):
        linear = (start + U(i)) & MASK32
        found = translate(a, linear & U(0xFFFFF000), False, False, False, False)
        physical = (found & FRAME_MASK) | (linear & U(0xFFF))
        if not (found & U(WALK_FAULT)) and physical < a[c.RAM_SIZE]:
            value |= U(load8(a[c.RAM] + physical)) << U(8 * i)
    return value


@njit()
def read_operand(a: Any, segment: Any, offset: Any, size: Any) -> Any:
    """Bytes at an offset, as a number; what is not mapped reads as zero (the instruction will page-fault)."""
    base = U(load32(a[c.ENV] + U(layout.SEGMENTS + 8) + U(24) * U(segment)))
    return read_linear_value(a, base + offset, size)


@njit()
def check_access(a: Any, segment: Any, offset: Any, size: Any, write: Any) -> Any:
    """One access to `size` bytes."""
    if faults(a[c.ENV], segment, offset, size, write):
        return STACK if segment == SS else GP
    return NONE


@njit()
def operand_address(a: Any, p: Any, long: Any, top: Any) -> Any:
    """Offset that the ModRM byte at `p` names, and whether the stack segment is its default.

    `top` is the value of ESP as a base: POP [ESP] uses that after the pop.
    """
    modrm = load8(p)
    mod, rm = modrm >> 6, np.int64(modrm & 7)
    p += U(1)
    stack = False
    address: Any = U(0)
    if not long:
        if rm < 2 or rm == 7:
            address += register(a, EBX)
        if rm == 2 or rm == 3 or (rm == 6 and mod != 0):
            address += register(a, EBP)
            stack = True
        if rm == 0 or rm == 2 or rm == 4:
            address += register(a, ESI)
        if rm == 1 or rm == 3 or rm == 5:
            address += register(a, EDI)
        if mod == 1:
            address += signed8(p)
        elif mod == 2 or (mod == 0 and rm == 6):
            address += U(load16(p))
        return address & MASK16, stack
    base: Any = rm
    if rm == 4:
        sib = load8(p)
        p += U(1)
        base = np.int64(sib & 7)
        if ((sib >> 3) & 7) != 4:
            address += register(a, (sib >> 3) & 7) << U(sib >> 6)
    if mod == 0 and base == EBP:
        address += U(load32(p))
        base = np.int64(-1)
    elif mod == 1:
        address += signed8(p)
    elif mod == 2:
        address += U(load32(p))
    if base >= 0:
        address += top if base == ESP else register(a, base)
    stack = base in (ESP, EBP)
    return address & MASK32, stack


@njit()
def check_push(a: Any, count: Any, z: Any, size: Any) -> Any:
    """`count` words pushed, each checked where it goes; `size` bytes of each are stored."""
    big = load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG
    mask = MASK32 if big else MASK16
    top = register(a, ESP)
    for _ in range(count):
        top = (top - U(z)) & mask
        found = check_access(a, SS, top, size, True)
        if found:
            return found
    return NONE


@njit()
def check_pop(a: Any, start: Any, count: Any, z: Any, size: Any) -> Any:
    """`count` words popped from offset `start` on."""
    big = load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG
    mask = MASK32 if big else MASK16
    for i in range(count):
        found = check_access(a, SS, (start + U(i * z)) & mask, size, False)
        if found:
            return found
    return NONE


@njit()
def after_pop(a: Any, z: Any) -> Any:
    """ESP after a pop."""
    top = register(a, ESP)
    if load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG:
        return (top + U(z)) & MASK32
    return (top & U(0xFFFF0000)) | ((top + U(z)) & MASK16)


@njit()
def check_string(a: Any, op: Any, segment: Any, z: Any, long: Any, repeat: Any) -> Any:
    """One round of a string instruction."""
    mask = MASK32 if long else MASK16
    if repeat and not (register(a, ECX) & mask):
        return NONE
    size = z if op & 1 else 1
    if op == 0x6D or op == 0x6F:
        size = z
    source = (op <= 0xA7 and op >= 0xA4) or op == 0xAC or op == 0xAD or op == 0x6E or op == 0x6F
    if source:
        found = check_access(a, segment, register(a, ESI) & mask, size, False)
        if found:
            return found
    if op == 0xAC or op == 0xAD or op == 0x6E or op == 0x6F:
        return NONE
    write = op == 0xA4 or op == 0xA5 or op == 0xAA or op == 0xAB or op == 0x6C or op == 0x6D
    return check_access(a, ES, register(a, EDI) & mask, size, write)


@njit()
def check_enter(a: Any, p: Any, z: Any) -> Any:
    """ENTER: its pushes, the frame pointers it copies, and the new top of the stack."""
    level = np.int64(load8(p + U(3))) & 31
    words = 1 if level == 0 else level + 1
    found = check_push(a, words, z, z)
    if found:
        return found
    big = load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG
    mask = MASK32 if big else MASK16
    end = (register(a, ESP) - U(words * z) - U(load16(p + U(1)))) & mask
    found = check_access(a, SS, end, z, True)  # the new top must be writable, though nothing is stored there
    if found:
        return found
    frame = register(a, EBP)
    for _ in range(level - 1):
        frame = (frame - U(z)) & mask
        found = check_access(a, SS, frame, z, False)
        if found:
            return found
    return NONE
