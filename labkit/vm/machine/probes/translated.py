"""Where translated code stands in the guest's, compiled: tables by its place in the translation cache.

    place    0    1    2    3    4    5    6    7            mov eax, ebx -> 89 D8
    code     89   D8   68   00   10   00   00   E9 ...       call X       -> 68 (return address), E9 (to X)
    guest    mov  mov  call call call call call call
    sums     7    7    8    8    8    8    8    8    9 ...   instructions retired before this byte
    flags                                       inside       not a boundary of the guest's instructions

The clock of any stretch of it is a difference of two sums, however Unicorn cuts it into blocks.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32
from labkit.vm.machine.probes.tlb import lookup
from labkit.vm.machine.probes.walk import WALK_FAULT

__all__ = ["ahead", "code_page", "forget_seen", "is_seen", "settle_translated"]

U = np.uint64
MASK32 = U(0xFFFFFFFF)
PAGE_MASK = U(0xFFFFF000)
BASE = U(c.TC_BASE)


@njit()
def ahead(a, eip):  # type: ignore[no-untyped-def]
    """Branches << 32 | instructions of the current block that have not retired when EIP is inside of it."""
    end = a[c.TC_BLOCK] + a[c.TC_SIZE]
    if eip < a[c.TC_BLOCK] or eip >= end:
        return U(0)
    return load64(a[c.TC_SUMS] + ((end - BASE) << U(3))) - load64(a[c.TC_SUMS] + ((eip - BASE) << U(3)))


@njit()
def settle_translated(a, eip):  # type: ignore[no-untyped-def]
    """The current block was left at `eip` before its end: take back what has not retired."""
    left = ahead(a, eip)
    a[c.CLOCK] -= left & MASK32
    a[c.BRANCHES] -= left >> U(32)
    a[c.TC_SIZE] = U(0)


@entry("u64(cells, u64)")
def code_page(a, linear):  # type: ignore[no-untyped-def]
    """The physical page behind a linear address, for the kernel's fetch; 1 << 62 where it would fault."""
    found = lookup(a, U(linear) & PAGE_MASK, False, True, False)
    return U(WALK_FAULT) if found & U(WALK_FAULT) else found & PAGE_MASK


@njit(inlining="never")
def is_seen(a, page):  # type: ignore[no-untyped-def]
    """Does this linear page (a number) still lead to the frame that its code was translated from?

    Asked once after each change of address space, as the processor's own TLB would ask.
    """
    if load8(a[c.TC_SEEN] + page):
        return True
    found = lookup(a, page << U(12), False, True, False)
    if found & U(WALK_FAULT) or ((found & PAGE_MASK) >> U(12)) + U(1) != U(
        load32(a[c.TC_PAGES] + (page << U(2)))
    ):
        return False
    store8(a[c.TC_SEEN] + page, np.uint8(1))
    store32(a[c.TC_SEEN_LIST] + (a[c.TC_SEEN_COUNT] << U(2)), np.uint32(page))
    a[c.TC_SEEN_COUNT] += U(1)
    return True


@entry("void(cells)")
def forget_seen(a):  # type: ignore[no-untyped-def]
    """The guest has changed its translations of addresses."""
    for i in range(a[c.TC_SEEN_COUNT]):
        store8(a[c.TC_SEEN] + U(load32(a[c.TC_SEEN_LIST] + (U(i) << U(2)))), np.uint8(0))
    a[c.TC_SEEN_COUNT] = U(0)
