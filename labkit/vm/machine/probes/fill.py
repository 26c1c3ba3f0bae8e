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
from labkit.vm.machine.probes.answers import (
    ABOVE,
    CELLS_POINTER,
    FETCH,
    WRITE,
    R,
    W,
    X,
    grant,
    linear_eip,
    memory,
    outside,
    refuse,
)
from labkit.vm.machine.probes.block import finish_flush
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.intrinsics import load32, store8
from labkit.vm.machine.probes.system_access import system_access
from labkit.vm.machine.probes.tlb import drop_faulted, lookup
from labkit.vm.machine.probes.walk import WALK_FAULT, WALK_LARGE

__all__ = ["paged_answer", "tlb_fill"]

U = np.uint64


@njit()
def paged_answer(a, va, access, result):  # type: ignore[no-untyped-def]
    """Write what is granted to `result` and return 1, or 0 for a refusal."""
    a[c.TLB_FILLS] += U(1)
    if a[c.MAINTENANCE]:  # of translated code: by physical address, or by linear address where it has run
        if va >= ABOVE:
            return grant(result, va - ABOVE, X)
        return grant(result, U(load32(a[c.PAGES] + ((va >> U(12)) << U(2)))) & U(0xFFFFF000), X)
    va &= U(0xFFFFFFFF)  # an access that runs past 4 GB goes on at 0; Unicorn asks for the page above
    fetch, write = access == FETCH, access == WRITE
    user = (load32(a[c.ENV] + U(layout.HFLAGS)) & np.uint32(3)) == 3
    if fetch and a[c.ATTENTION] & U(c.ATTENTION_FLUSHING):
        finish_flush(a, linear_eip(a))
    granted = lookup(a, va, write, fetch, user)
    if granted & U(WALK_FAULT) and user and not fetch and system_access(a, va):
        granted = lookup(a, va, write, fetch, False)
    if a[c.WALKED_CODE]:
        frame, a[c.WALKED_CODE] = a[c.WALKED_CODE] - U(1), U(0)
        return refuse(a, c.Stop.CODE_WRITE, va, frame << U(12), U(0), access)
    if granted & U(WALK_FAULT):
        if not fetch or va == linear_eip(a) & U(0xFFFFF000):  # and not a fetch ahead, which may come to nothing
            drop_faulted(a, va)
        return refuse(a, c.Stop.PAGE_FAULT, va, U(0), granted & U(0x1F), access)
    if granted & U(WALK_LARGE):  # 2 MB at least, maybe 4: note both halves
        half = a[c.LARGE] + ((va >> U(22)) << U(1))
        store8(half, np.uint8(1))
        store8(half + U(1), np.uint8(1))
    page = granted & U(0x0000FFFFFFFFF000)
    if a[c.ALIAS_FRAME] and page == (a[c.ALIAS_FRAME] - U(1)) << U(12) and not fetch:
        if write:
            a[c.ALIAS_WRITTEN] = U(1)
            return grant(result, a[c.ALIAS_TARGET], R | W)
        return grant(result, a[c.ALIAS_TARGET], R)
    if page < a[c.RAM_SIZE]:
        return memory(a, va, page, granted, access, result)
    return outside(a, va, page, access, result)


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, CELLS_POINTER))
def tlb_fill(_engine, va, access, result, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_TLB_FILL: write {physical address, rights} to `result` and return 1, or return 0 to refuse."""
    return paged_answer(a, va, access, result)
