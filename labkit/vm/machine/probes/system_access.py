"""Is a program's access that its rights forbid the processor's own, of a descriptor table? Compiled."""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.address import UNKNOWN, effective_address
from labkit.vm.machine.probes.answers import linear_eip
from labkit.vm.machine.probes.block import block_bytes, wide
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import ONE, PREFIX
from labkit.vm.machine.probes.intrinsics import load8, load32

__all__ = ["system_access"]

U = np.uint64
ESP, SS_BASE = 4 * 8, layout.SEGMENTS + 2 * 24 + 8
STACK_BYTES, OPERAND_BYTES = 40, 8


@njit()
def _within(page, base, limit):  # type: ignore[no-untyped-def]
    return (base & U(0xFFFFF000)) <= page <= base + limit


@njit()
def system_access(a, page):  # type: ignore[no-untyped-def]
    """Is this the processor's own read of a descriptor table, for a segment load of a ring 3 program?

    Such reads are made with supervisor rights. Unicorn does not say which access it is, so the page must
    belong to a table and the instruction must be one that loads a selector.
    """
    env = a[c.ENV]
    if not (
        _within(page, U(load32(env + U(layout.GDT_BASE))), U(load32(env + U(layout.GDT_LIMIT))))
        or _within(page, U(load32(env + U(layout.LDT_BASE))), U(load32(env + U(layout.LDT_LIMIT))))
        or _within(page, U(load32(env + U(layout.TR_BASE))), U(load32(env + U(layout.TR_LIMIT))))
    ):
        return False
    start = linear_eip(a)
    at, short = start, wide(a) == 0
    op, op2 = np.uint8(0), np.uint8(0)
    for _ in range(15):
        op, op2 = _code_byte(a, at), _code_byte(a, at + U(1))
        if not (ONE[op] & PREFIX):
            break
        short = short or op == 0x67
        at += U(1)
    if _own_access(a, page, start, op, op2, _code_byte(a, at + U(2)), short):
        return False
    if op == 0x0F:
        return 0xB2 <= op2 <= 0xB5 or op2 == 0xA1 or op2 == 0xA9 or op2 == 0x00 or op2 == 0x02 or op2 == 0x03
    if op == 0xFF:
        return ((op2 >> 3) & 7) == 3 or ((op2 >> 3) & 7) == 5
    if op == 0x8E or op == 0x07 or op == 0x17 or op == 0x1F or op == 0xC4 or op == 0xC5:
        return True
    return op == 0x9A or op == 0xEA or op == 0xCA or op == 0xCB or op == 0xCF


@njit()
def _own_access(a, page, start, op, op2, op3, short):  # type: ignore[no-untyped-def]
    """May it be the instruction's operand, or its stack, that lies there? Those are the program's accesses."""
    env = a[c.ENV]
    far_call = op == 0x9A or (op == 0xFF and ((op2 >> 3) & 7) == 3)
    if far_call or op < 0x20 or 0xCA <= op <= 0xCF or (op == 0x0F and (op2 == 0xA1 or op2 == 0xA9)):
        top = U(load32(env + U(ESP))) + U(load32(env + U(SS_BASE)))
        if _touches(page, top - U(STACK_BYTES), U(2 * STACK_BYTES)):
            return True
    modrm = op3 if op == 0x0F else op2
    if not (op == 0x0F or op == 0x8E or op == 0xC4 or op == 0xC5 or op == 0xFF) or modrm >= 0xC0:
        return False
    if not short:
        address = effective_address(a, block_bytes(a, start, U(15)))
        return address != UNKNOWN and _touches(page, address, U(OPERAND_BYTES))
    found = False
    for segment in range(6):  # 16-bit addressing: anywhere within 64 KB
        base = U(load32(env + U(layout.SEGMENTS + 24 * segment + 8)))
        found = found or _touches(page, base, U(0x10000))
    return found


@njit()
def _touches(page, address, size):  # type: ignore[no-untyped-def]
    """Do any of these bytes lie on the page?"""
    return ((page - address) & U(0xFFFFFFFF)) < size or ((address - page) & U(0xFFFFFFFF)) < U(4096)


@njit()
def _code_byte(a, linear):  # type: ignore[no-untyped-def]
    page = U(load32(a[c.PAGES] + (((linear & U(0xFFFFFFFF)) >> U(12)) << U(2)))) & U(0xFFFFF000)
    physical = page | (linear & U(0xFFF))
    return load8(a[c.RAM] + physical) if physical < a[c.RAM_SIZE] else np.uint8(0)
