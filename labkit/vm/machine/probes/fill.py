"""The TLB fill, compiled: Unicorn asks for a translation, labkit's paging unit answers or refuses.

Beyond the page walk it keeps three promises of the machine:
- a frame is writable or executable, not both (FRAME_CODE / FRAME_MIXED in cells.py), so that translated code
  never goes stale and plain stores stay fast;
- the first write to a frame since the last checkpoint is noted;
- no guest access reaches host memory that is not the guest's.
A refusal ends the run with the instruction not begun; `FAULT` tells why.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.address import UNKNOWN, effective_address
from labkit.vm.machine.probes.block import block_bytes, finish_flush, settle, wide
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import ONE, PREFIX
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import load8, load16, load32, store8, store32, store64
from labkit.vm.machine.probes.tlb import drop_faulted, lookup
from labkit.vm.machine.probes.walk import WALK_EXECUTE, WALK_FAULT, WALK_LARGE, WALK_WRITE, mark_dirty

__all__ = ["tlb_fill"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
READ, WRITE, FETCH = 16, 17, 18  # Unicorn's names for the access
R, W, X = 1, 2, 4
ESP, SS_BASE = 4 * 8, layout.SEGMENTS + 2 * 24 + 8
STACK_BYTES, OPERAND_BYTES = 40, 8
ABOVE, VOID, BUCKET = U(c.ABOVE), U(c.VOID_PAGE), U(c.BUCKET_PAGE)


@njit()
def _grant(result, physical, rights):  # type: ignore[no-untyped-def]
    store64(result, physical)
    store32(result + U(8), np.uint32(rights))
    return np.uint8(1)


@njit()
def _refuse(a, why, va, physical, code, access):  # type: ignore[no-untyped-def]
    a[c.FAULT] = U(why)
    a[c.FAULT_PAGE] = va
    a[c.FAULT_PHYSICAL] = physical
    a[c.FAULT_CODE] = code
    a[c.FAULT_ACCESS] = U(access)
    if access != FETCH:
        settle(a, U(load32(a[c.ENV] + U(layout.EIP))))
    mend_flags(a[c.ENV])
    return np.uint8(0)


@njit()
def _linear_eip(a):  # type: ignore[no-untyped-def]
    env = a[c.ENV]
    return (U(load32(env + U(layout.EIP))) + U(load32(env + U(layout.CS_BASE)))) & U(0xFFFFFFFF)


@njit()
def _within(page, base, limit):  # type: ignore[no-untyped-def]
    return (base & U(0xFFFFF000)) <= page <= base + limit


@njit()
def _system_access(a, page):  # type: ignore[no-untyped-def]
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
    start = _linear_eip(a)
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


@njit()
def _outside(a, va, page, access, result):  # type: ignore[no-untyped-def]
    """An access beyond RAM: a device, or nothing (reads ones, swallows writes)."""
    if page < ABOVE:
        for i in range(c.MMIO_RANGES):
            first, end = a[c.MMIO + 2 * i], a[c.MMIO + 2 * i + 1]
            if first <= page < end:
                if access == FETCH:
                    break
                if access == READ and page + U(1) == a[c.STEADY_PAGE]:
                    return _grant(result, U(c.REGISTER_PAGE), R)
                return _refuse(a, c.Stop.MMIO, va, page, U(0), access)
    if access == FETCH:
        return _refuse(a, c.Stop.NOWHERE, va, page, U(0), access)
    if access == WRITE:
        return _grant(result, BUCKET, W)
    return _grant(result, VOID, R)


@njit()
def _memory(a, va, page, granted, access, result):  # type: ignore[no-untyped-def]
    """An access to RAM: apply the frame's state."""
    frame = page >> U(12)
    at = a[c.FRAMES] + frame
    state = load8(at)
    executable = np.uint64(X) if state & c.FRAME_MIXED else np.uint64(0)
    may_write = (granted & U(WALK_WRITE)) != 0 and not (state & c.FRAME_ROM)
    if access == FETCH:
        if not (state & (c.FRAME_CODE | c.FRAME_MIXED)):
            if state & c.FRAME_WRITABLE:
                return _refuse(a, c.Stop.CODE_FETCH, va, page, U(0), access)
            store8(at, np.uint8(state | c.FRAME_CODE))
        store32(
            a[c.PAGES] + ((va >> U(12)) << U(2)),
            np.uint32(page | U(load16(a[c.GENERATION] + (frame << U(1))))),
        )
        if may_write and executable and load8(a[c.DIRTY] + frame):
            if a[c.WATCH_ALIAS] == frame + U(1):
                a[c.WATCH_MISSED] = U(1)
            return _grant(result, page, R | W | X)
        return _grant(result, page, R | X)
    if executable and a[c.WATCH_ALIAS] == frame + U(1):
        a[c.WATCH_MISSED] = U(1)
    target = U(c.WATCH_PAGE) if a[c.WATCH_ALIAS] == frame + U(1) and not executable else page
    if access == WRITE:
        if state & c.FRAME_ROM:
            if state & c.FRAME_BUCKET:
                return _grant(result, BUCKET, W)
            return _refuse(a, c.Stop.ROM_WRITE, va, page, U(0), access)
        if state & c.FRAME_CODE or (executable and not (granted & U(WALK_EXECUTE))):
            return _refuse(a, c.Stop.CODE_WRITE, va, page, U(0), access)
        mark_dirty(a, frame)
        store8(at, np.uint8(state | c.FRAME_WRITABLE))
        return _grant(result, target, U(R | W) | executable)
    if executable and not (granted & U(WALK_EXECUTE)):
        return _grant(result, target, R)
    if may_write and not (state & c.FRAME_CODE) and load8(a[c.DIRTY] + frame):
        store8(at, np.uint8(state | c.FRAME_WRITABLE))
        return _grant(result, target, U(R | W) | executable)
    return _grant(result, target, U(R) | executable)


@njit()
def _fill(a, va, access, result):  # type: ignore[no-untyped-def]
    a[c.TLB_FILLS] += U(1)
    if a[c.MAINTENANCE]:  # of translated code: by physical address, or by linear address where it has run
        if va >= ABOVE:
            return _grant(result, va - ABOVE, X)
        return _grant(result, U(load32(a[c.PAGES] + ((va >> U(12)) << U(2)))) & U(0xFFFFF000), X)
    va &= U(0xFFFFFFFF)  # an access that runs past 4 GB goes on at 0; Unicorn asks for the page above
    fetch, write = access == FETCH, access == WRITE
    user = (load32(a[c.ENV] + U(layout.HFLAGS)) & np.uint32(3)) == 3
    if fetch and a[c.ATTENTION] & U(c.ATTENTION_FLUSHING):
        finish_flush(a, _linear_eip(a))
    granted = lookup(a, va, write, fetch, user)
    if granted & U(WALK_FAULT) and user and not fetch and _system_access(a, va):
        granted = lookup(a, va, write, fetch, False)
    if a[c.WALKED_CODE]:
        frame, a[c.WALKED_CODE] = a[c.WALKED_CODE] - U(1), U(0)
        return _refuse(a, c.Stop.CODE_WRITE, va, frame << U(12), U(0), access)
    if granted & U(WALK_FAULT):
        if not fetch or va == _linear_eip(a) & U(0xFFFFF000):  # and not a fetch ahead, which may come to nothing
            drop_faulted(a, va)
        return _refuse(a, c.Stop.PAGE_FAULT, va, U(0), granted & U(0x1F), access)
    if granted & U(WALK_LARGE):  # 2 MB at least, maybe 4: note both halves
        half = a[c.LARGE] + ((va >> U(22)) << U(1))
        store8(half, np.uint8(1))
        store8(half + U(1), np.uint8(1))
    page = granted & U(0x0000FFFFFFFFF000)
    if a[c.ALIAS_FRAME] and page == (a[c.ALIAS_FRAME] - U(1)) << U(12) and not fetch:
        if write:
            a[c.ALIAS_WRITTEN] = U(1)
            return _grant(result, a[c.ALIAS_TARGET], R | W)
        return _grant(result, a[c.ALIAS_TARGET], R)
    if page < a[c.RAM_SIZE]:
        return _memory(a, va, page, granted, access, result)
    return _outside(a, va, page, access, result)


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, CELLS_POINTER))
def tlb_fill(_engine, va, access, result, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_TLB_FILL: write {physical address, rights} to `result` and return 1, or return 0 to refuse."""
    return _fill(a, va, access, result)
