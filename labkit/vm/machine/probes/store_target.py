"""Where an instruction stores, compiled: does it change the block that it belongs to?

    ModRM memory operand      MOV, ADD, XCHG, SETcc, FST, ... unless the opcode only reads
    below ESP                 PUSH, PUSHA, PUSHF, CALL, ENTER
    ES:EDI                    STOS, MOVS, INS
    an address in the code    MOV [moffs], AL or EAX

Asked before the instruction runs, with the registers as it will find them; when in doubt the answer is yes.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.address import UNKNOWN, effective_address
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import MODRM, ONE, PREFIX, TWO
from labkit.vm.machine.probes.intrinsics import load8, load32
from labkit.vm.machine.probes.tlb import look
from labkit.vm.machine.probes.walk import WALK_FAULT

__all__ = ["changes_block"]

U = np.uint64
MASK32, PAGE_MASK, FRAME_MASK = U(0xFFFFFFFF), U(0xFFFFF000), U(0xFFFFFF000)
NOTHING, OPERAND, STACK, STRING, OFFSET, ANYWHERE = range(6)
STACK_BYTES, STRING_BYTES, OPERAND_BYTES = 40, 4, 16
SS_BASE, ES_BASE = layout.SEGMENTS + 2 * 24 + 8, layout.SEGMENTS + 8
ESP, EDI = 4 * 8, 7 * 8


@njit()
def _kind(op, op2):  # type: ignore[no-untyped-def]
    """Which of the four ways; `op2` is the byte behind the opcode."""
    reg = (op2 >> 3) & 7
    if op == 0x0F:
        if op2 == 0xA0 or op2 == 0xA8:
            return STACK
        return OPERAND if TWO[op2] & MODRM else NOTHING
    if op == 0xFF:
        return OPERAND if reg < 2 else NOTHING if reg == 4 or reg == 5 else STACK
    if 0x50 <= op <= 0x57 or op == 0x60 or op == 0x68 or op == 0x6A or op == 0x9C or op == 0xC8:
        return STACK
    if op == 0xE8 or op == 0x9A or op == 0x06 or op == 0x0E or op == 0x16 or op == 0x1E:
        return STACK
    if op == 0xA4 or op == 0xA5 or op == 0xAA or op == 0xAB or op == 0x6C or op == 0x6D:
        return STRING
    if op == 0xA2 or op == 0xA3:
        return OFFSET
    if op < 0x40:  # arithmetic: forms 0 and 1 store, and CMP never does
        return OPERAND if (op & 7) < 2 and op < 0x38 else NOTHING
    if op == 0x84 or op == 0x85 or op == 0x8A or op == 0x8B or op == 0x8D or op == 0x8E:
        return NOTHING
    if 0x62 <= op <= 0x63 or op == 0x69 or op == 0x6B or op == 0xC4 or op == 0xC5:
        return NOTHING
    return OPERAND if ONE[op] & MODRM else NOTHING


@njit()
def _physical(a, linear):  # type: ignore[no-untyped-def]
    found = look(a, linear & PAGE_MASK)
    if found & U(WALK_FAULT):
        return ~U(0)
    return (found & FRAME_MASK) | (linear & U(0xFFF))


@njit()
def _touches(a, address, size):  # type: ignore[no-untyped-def]
    """Is any of these bytes, by whatever address it is reached, one of the last block's?"""
    start = a[c.BLOCK]
    end = start + a[c.BLOCK_SIZE] - U(1)
    for i in range(size):
        physical = _physical(a, (address + U(i)) & MASK32)
        for page in (start, end):
            frame = U(load32(a[c.PAGES] + (((page & MASK32) >> U(12)) << U(2)))) & PAGE_MASK
            if physical & FRAME_MASK == frame:
                alias = (page & PAGE_MASK) | (physical & U(0xFFF))
                if start <= alias <= end:
                    return True
    return False


@njit()
def changes_block(a, p):  # type: ignore[no-untyped-def]
    """Will the instruction whose bytes are at `p` store into the bytes of the block that was counted last?"""
    env, at, short = a[c.ENV], p, False
    op = load8(at)
    for _ in range(14):
        if not (ONE[op] & PREFIX):
            break
        short = short or op == 0x67
        at += U(1)
        op = load8(at)
    kind = _kind(op, load8(at + U(1)))
    if kind == NOTHING:
        return False
    if kind == STACK:
        top = U(load32(env + U(ESP))) + U(load32(env + U(SS_BASE)))
        return _touches(a, top - U(STACK_BYTES), STACK_BYTES)
    if short:
        return True
    if kind == STRING:
        return _touches(a, U(load32(env + U(EDI))) + U(load32(env + U(ES_BASE))), STRING_BYTES)
    if kind == OFFSET:
        return _touches(a, U(load32(at + U(1))), STRING_BYTES)
    address = effective_address(a, p)
    return address != UNKNOWN and _touches(a, address, OPERAND_BYTES)
