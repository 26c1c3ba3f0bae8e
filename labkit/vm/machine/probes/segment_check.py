"""The segmentation unit's check of one instruction, compiled: a hook before instructions that use a watched segment.

    code bytes, memory operand, string operands, stack, near target: against limit and type    #GP(0), #SS(0)

Loads of segment registers and far transfers check their descriptors themselves, in Unicorn. The registers are
exact here. An instruction with two operands has both checked before a page fault of either is seen.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.block import block_bytes, settle, wide
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import (
    LENGTH,
    ONE,
    PREFIX,
    SEGMENT_LOAD,
    instruction,
)
from labkit.vm.machine.probes.flags import mend_flags, note_flags
from labkit.vm.machine.probes.intrinsics import call_stop, load8, load16, load32, store64
from labkit.vm.machine.probes.operands import NOTHING, READS, operand
from labkit.vm.machine.probes.segment_access import (
    after_pop,
    check_access,
    check_enter,
    check_pop,
    check_push,
    check_string,
    operand_address,
    read_linear_value,
    read_operand,
    register,
    signed8,
    signed16,
)
from labkit.vm.machine.probes.segments import faults, is_plain

__all__ = ["check_hook", "check_instruction"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32, MASK16 = U(0xFFFFFFFF), U(0xFFFF)
ES, CS, SS, DS = range(4)
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
NONE, GP, STACK = 0, 13, 12
PROTECTED, VIRTUAL_8086, BIG = np.uint32(1), np.uint32(0x20000), np.uint32(1 << 22)
CC_OP_EFLAGS = np.uint32(1)
STATUS = np.uint32(0x8D5)
FRAME_MASK = U(0xFFFFFFF000)


@njit()
def _condition(a: Any, code: Any) -> Any:
    """Is the condition of Jcc true?"""
    env = a[c.ENV]
    flags = load32(env + U(layout.EFLAGS))
    if load32(env + U(layout.CC_OP)) == CC_OP_EFLAGS:
        flags = (flags & ~STATUS) | (load32(env + U(layout.CC_SRC)) & STATUS)
    carry, parity, zero = flags & np.uint32(1), flags & np.uint32(4), flags & np.uint32(0x40)
    sign, over = (flags >> np.uint32(7)) & np.uint32(1), (flags >> np.uint32(11)) & np.uint32(1)
    kind = code >> 1
    if kind == 0:
        truth = over != 0
    elif kind == 1:
        truth = carry != 0
    elif kind == 2:
        truth = zero != 0
    elif kind == 3:
        truth = carry != 0 or zero != 0
    elif kind == 4:
        truth = sign != 0
    elif kind == 5:
        truth = parity != 0
    elif kind == 6:
        truth = sign != over
    else:
        truth = zero != 0 or sign != over
    return truth != ((code & 1) != 0)


@njit()
def _loops(a: Any, op: Any, long: Any) -> Any:
    """Is the branch of LOOPNE, LOOPE, LOOP, JECXZ taken?"""
    mask = MASK32 if long else MASK16
    count = register(a, ECX) & mask
    if op == 0xE3:
        return count == U(0)
    left = (count - U(1)) & mask
    if op == 0xE2:
        return left != U(0)
    return left != U(0) and _condition(a, 4 if op == 0xE1 else 5)


@njit()
def _target(a: Any, offset: Any, z: Any) -> Any:
    """A near transfer to `offset`."""
    if z == 2:
        offset &= MASK16
    limit = U(load32(a[c.ENV] + U(layout.SEGMENTS + 24 + 16)))
    return GP if (offset & MASK32) > limit else NONE


@njit()
def _far_target(a: Any, selector: Any, offset: Any, level: Any, returns: Any) -> Any:
    """Is the offset behind the limit of a code segment that the transfer may otherwise enter?

    Unicorn finds what is wrong with the descriptor; only the limit is left to us, which comes last.
    """
    env = a[c.ENV]
    table = U(layout.GDT_BASE if not (selector & U(4)) else layout.LDT_BASE)
    base, limit = U(load32(env + table)), U(load32(env + table + U(8)))
    if not (selector & U(0xFFFC)) or (selector | U(7)) > limit:
        return NONE
    low = read_linear_value(a, base + (selector & U(0xFFF8)), 4)
    high = read_linear_value(a, base + (selector & U(0xFFF8)) + U(4), 4)
    if (high & U(0x9800)) != U(0x9800):  # present, code
        return NONE
    privilege, requested = (high >> U(13)) & U(3), selector & U(3)
    if returns:
        if requested != level or (privilege > requested if high & U(0x400) else privilege != requested):
            return NONE
    elif privilege > level if high & U(0x400) else (privilege != level or requested > level):
        return NONE
    last = (low & U(0xFFFF)) | (high & U(0xF0000))
    if high & U(1 << 23):
        last = (last << U(12)) | U(0xFFF)
    return GP if offset > last else NONE


@njit()
def _level(a: Any) -> Any:
    return U(load32(a[c.ENV] + U(layout.HFLAGS)) & np.uint32(3))


@njit()
def _far_call(a: Any, selector: Any, offset: Any, z: Any) -> Any:
    """To a code segment; what a gate pushes on another stack is not checked."""
    found = _far_target(a, selector, offset, _level(a), False)
    return found or check_push(a, 2, z, z)


@njit()
def _far_return(a: Any, words: Any, z: Any) -> Any:
    """RETF (two words) or IRET (three), to the same level."""
    top = register(a, ESP)
    found = check_pop(a, top, words, z, z)
    if found:
        return found
    big = load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG
    mask = MASK32 if big else MASK16
    offset = read_operand(a, SS, top & mask, z)
    selector = read_operand(a, SS, (top + U(z)) & mask, 2)
    return _far_target(a, selector, offset, _level(a), True)


@njit()
def _one_byte(a: Any, p: Any, op: Any, next_eip: Any, z: Any, long: Any) -> Any:
    """Stack and near target of an instruction without a memory operand, or behind it; `p` at the opcode."""
    top = register(a, ESP)
    if 0x50 <= op <= 0x57 or op == 0x68 or op == 0x6A or op == 0x9C:
        return check_push(a, 1, z, z)
    if op == 0x06 or op == 0x0E or op == 0x16 or op == 0x1E:
        return check_push(a, 1, z, 2)
    if op == 0x60:
        return check_push(a, 8, z, z)
    if 0x58 <= op <= 0x5F or op == 0x9D:
        return check_pop(a, top, 1, z, z)
    if op == 0x07 or op == 0x17 or op == 0x1F:
        return check_pop(a, top, 1, z, 2)
    if op == 0x61:
        return check_pop(a, top, 8, z, z)
    if op == 0xC9:
        return check_pop(a, register(a, EBP), 1, z, z)
    if op == 0xC8:
        return check_enter(a, p, z)
    if op == 0x9A:
        offset = U(load32(p + U(1))) if z == 4 else U(load16(p + U(1)))
        return _far_call(a, U(load16(p + U(1 + z))), offset, z)
    if op == 0xCA or op == 0xCB:
        return _far_return(a, 2, z)
    if op == 0xCF:
        return _far_return(a, 3, z)
    if op == 0xE8:
        relative = U(load32(p + U(1))) if z == 4 else signed16(p + U(1))
        found = check_push(a, 1, z, z)
        return found or _target(a, next_eip + relative, z)
    if op == 0xE9:
        return _target(a, next_eip + (U(load32(p + U(1))) if z == 4 else signed16(p + U(1))), z)
    if op == 0xEB or (0x70 <= op <= 0x7F and _condition(a, np.int64(op) & 15)):
        return _target(a, next_eip + signed8(p + U(1)), z)
    if 0xE0 <= op <= 0xE3 and _loops(a, op, long):
        return _target(a, next_eip + signed8(p + U(1)), z)
    if op == 0xC2 or op == 0xC3:
        found = check_pop(a, top, 1, z, z)
        big = load32(a[c.ENV] + U(layout.SEGMENTS + 24 * 2 + 20)) & BIG
        return found or _target(a, read_operand(a, SS, top & (MASK32 if big else MASK16), z), z)
    return NONE


@njit()
def check_instruction(a: Any, p: Any, eip: Any) -> Any:
    """The exception (error code 0) that the instruction with bytes at `p` must raise at `eip`; 0 for none."""
    size = wide(a)
    length = instruction(p, size) & LENGTH
    if faults(a[c.ENV], CS, eip, length, False) and _fetch_faults(a, eip, length):
        return GP
    long, repeat = size != 0, False
    z: Any = 4 if size else 2
    prefix: Any = 0
    segment: Any = -1
    at = p
    op: Any = np.int64(load8(at))
    for _ in range(14):
        if not (ONE[op] & PREFIX):
            break
        if op == 0x66:
            z = 2 if size else 4
            prefix = 0x66 if prefix == 0 else prefix
        elif op == 0x67:
            long = not long
        elif op == 0xF2 or op == 0xF3:
            prefix, repeat = op, True
        elif op == 0x64 or op == 0x65:
            segment = op - 0x60
        elif op != 0xF0:
            segment = (op - 0x26) >> 3
        at += U(1)
        op = np.int64(load8(at))
    escaped = op == 0x0F
    data = DS if segment < 0 else segment
    next_eip = eip + U(length)
    mask = MASK32 if long else MASK16
    if not escaped:
        if 0xA0 <= op <= 0xA3:
            offset = U(load32(at + U(1))) if long else U(load16(at + U(1)))
            return check_access(a, data, offset, z if op & 1 else 1, op >= 0xA2)
        if 0xA4 <= op <= 0xA7 or 0xAA <= op <= 0xAF or 0x6C <= op <= 0x6F:
            return check_string(a, op, data, z, long, repeat)
        if op == 0xD7:
            return check_access(a, data, (register(a, EBX) + (register(a, EAX) & U(0xFF))) & mask, 1, False)
    code = at + U(1)
    if escaped:
        op = np.int64(load8(code))
        code += U(1)
        if op == 0xA0 or op == 0xA8:
            return check_push(a, 1, z, 2)
        if op == 0xA1 or op == 0xA9:
            return check_pop(a, register(a, ESP), 1, z, 2)
        if 0x80 <= op <= 0x8F:
            if not _condition(a, op & 15):
                return NONE
            return _target(a, next_eip + (U(load32(code)) if z == 4 else signed16(code)), z)
    modrm = np.int64(load8(code))
    reg = (modrm >> 3) & 7
    found = operand(escaped, op, modrm, z, prefix)
    how, bytes_used = found & 3, found >> 8
    value, offset = U(0), U(0)
    if how != NOTHING:
        popping = not escaped and op == 0x8F
        if popping:
            fault = check_pop(a, register(a, ESP), 1, z, z)
            if fault:
                return fault
        offset, stack = operand_address(a, code, long, after_pop(a, z) if popping else register(a, ESP))
        if segment < 0 and stack:
            data = SS
        if escaped and (op == 0xA3 or op == 0xAB or op == 0xB3 or op == 0xBB):  # a bit string
            bit = np.int64(np.int32(load32(a[c.ENV] + U(reg * 8))))
            if z == 2:
                bit = np.int64(np.int16(load16(a[c.ENV] + U(reg * 8))))
            offset = (offset + U((bit >> (5 if z == 4 else 4)) * z)) & mask
        fault = check_access(a, data, offset, bytes_used, how != READS)
        if fault:
            return fault
        if not escaped and op == 0xFF and reg >= 2:
            value = read_operand(a, data, offset, z)
    elif modrm >= 0xC0 and op == 0xFF and not escaped:
        value = register(a, modrm & 7)
    if escaped:
        return NONE
    if op == 0xFF:
        if reg == 2:
            fault = check_push(a, 1, z, z)
            return fault or _target(a, value, z)
        if reg == 3:
            return _far_call(a, read_operand(a, data, offset + U(z), 2), value, z) if how != NOTHING else NONE
        if reg == 4:
            return _target(a, value, z)
        return check_push(a, 1, z, z) if reg == 6 else NONE
    return _one_byte(a, at, op, next_eip, z, long)


@njit()
def _fetch_faults(a: Any, eip: Any, length: Any) -> Any:
    """Fetches need no right to read; a limit of 4 GB is never passed."""
    limit = U(load32(a[c.ENV] + U(layout.SEGMENTS + 24 + 16)))
    return eip + U(length) - U(1) > limit and limit != MASK32


@njit()
def _is_safe(env: Any, first: Any) -> Any:
    """Can this instruction not fault, by its first byte? It has no prefix, transfers nowhere far, and all is plain.

    Most of a block that ends with IRET is such.
    """
    if ONE[first] & PREFIX or first == 0x9A or first == 0xCA or first == 0xCB or first == 0xCF or first == 0xFF:
        return False
    return is_plain(env, ES) and is_plain(env, CS) and is_plain(env, SS) and is_plain(env, DS)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def check_hook(_engine: Any, linear: Any, _size: Any, a: Any) -> Any:
    """UC_HOOK_CODE: stop before an instruction that must fault."""
    if a[c.TC_MEMORY] and not a[c.TC_FREE] and (linear & MASK32) >= U(c.TC_BASE):
        return  # translated code has checks of its own
    note_flags(a, linear)
    env = a[c.ENV]
    if a[c.SEGMENT_STATE] & U(c.SEGMENTS_WATCHED):
        a[c.SEGMENT_CHECKS] += U(1)
    elif a[c.SITE] or not (a[c.BLOCK_INFO] & a[c.SEGMENT_MASK] & ~U(SEGMENT_LOAD)):
        return
    if a[c.STOP] or not (load32(env + U(layout.CR0)) & PROTECTED):
        return
    if load32(env + U(layout.EFLAGS)) & VIRTUAL_8086:
        return
    code = block_bytes(a, linear & MASK32, U(1))
    if not (a[c.SEGMENT_STATE] & U(c.SEGMENTS_WATCHED)) and _is_safe(env, np.int64(load8(code))):
        return
    base = U(load32(env + U(layout.CS_BASE)))
    eip = ((linear & MASK32) - base) & MASK32
    vector = check_instruction(a, code, eip)
    if vector == NONE:
        return
    store64(env + U(layout.EIP), eip)
    a[c.VECTOR], a[c.SOFTWARE], a[c.ERROR] = U(vector), U(0), U(0)
    a[c.STOP], a[c.FLAGS_AT] = U(c.Stop.EXCEPTION), U(0)
    settle(a, eip)
    mend_flags(env)
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])
