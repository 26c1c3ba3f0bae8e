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
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.call_site import unfold
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64
from labkit.vm.machine.probes.shadow import enter_translated
from labkit.vm.machine.probes.tlb import lookup
from labkit.vm.machine.probes.walk import WALK_FAULT, WALK_WRITE, mark_dirty

__all__ = [
    "HASH_BITS", "NOWHERE", "ahead", "code_page", "enter", "find", "find_place", "forget_page", "forget_seen",
    "hook_place", "is_seen", "kernel_word", "note_place", "page_seen", "settle_translated",
]  # fmt: skip

U = np.uint64
MASK32 = U(0xFFFFFFFF)
PAGE_MASK = U(0xFFFFF000)
BASE = U(c.TC_BASE)
NOWHERE = U(1 << 63)
HASH_BITS = 18
HASH_MASK = U((1 << HASH_BITS) - 1)
CPL = np.uint32(3)


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


@entry("i64(cells, u64)")
def page_seen(a, page):  # type: ignore[no-untyped-def]
    """`is_seen` for Python."""
    return np.int64(is_seen(a, page))


@entry("void(cells)")
def forget_seen(a):  # type: ignore[no-untyped-def]
    """The guest has changed its translations of addresses."""
    for i in range(a[c.TC_SEEN_COUNT]):
        store8(a[c.TC_SEEN] + U(load32(a[c.TC_SEEN_LIST] + (U(i) << U(2)))), np.uint8(0))
    a[c.TC_SEEN_COUNT] = U(0)


@njit()
def forget_page(a, page):  # type: ignore[no-untyped-def]
    """... of one linear page."""
    store8(a[c.TC_SEEN] + page, np.uint8(0))


# --- ways in


@njit()
def find(a, guest):  # type: ignore[no-untyped-def]
    """Place of the translation of the code at a guest EIP, 0 for none."""
    found = load64(_slot(a, guest))
    return found & MASK32 if found >> U(32) == guest else U(0)


@njit()
def _slot(a, guest):  # type: ignore[no-untyped-def]
    return a[c.TC_PLACES] + (((guest ^ (guest >> U(HASH_BITS))) & HASH_MASK) << U(3))


@entry("void(cells, u64, u64)")
def note_place(a, guest, place):  # type: ignore[no-untyped-def]
    """From now on the translation of the code at a guest EIP is there; 0 for none."""
    store64(_slot(a, guest), (guest << U(32)) | place)


@entry("u64(cells, u64)")
def find_place(a, guest):  # type: ignore[no-untyped-def]
    """`find` for Python."""
    return find(a, guest)


@njit()
def enter(a, guest, behind):  # type: ignore[no-untyped-def]
    """The guest's kernel goes on at `guest`, from inside a hook: in its translation, if there is one.

    `behind`: Unicorn adds that to EIP when the hook returns.
    """
    if not a[c.TC_MEMORY] or a[c.TC_FREE] or a[c.ALLOW] == U(c.ALLOW_ALL):
        return
    place = find(a, guest)
    if not place or not is_seen(a, guest >> U(12)):
        return
    unfold(a)
    a[c.TC_BLOCK] = a[c.TC_SIZE] = a[c.BLOCK_SIZE] = U(0)
    a[c.TC_SWITCHES] += U(1)
    env = a[c.ENV]
    store64(env + U(layout.EIP), (BASE + place - U(behind)) & MASK32)
    store32(env + U(layout.HFLAGS), (load32(env + U(layout.HFLAGS)) & ~CPL) | np.uint32(1))
    if a[c.SHADOW]:
        enter_translated(a)


# --- what the kernel sees


@njit()
def kernel_word(a, linear, write):  # type: ignore[no-untyped-def]
    """Host address of a word of guest RAM, within a page, that the kernel may reach; NOWHERE otherwise."""
    linear &= MASK32
    if linear >= BASE or (linear & U(0xFFF)) > U(0xFFC):
        return NOWHERE
    found = lookup(a, linear & PAGE_MASK, write, False, False)
    page = found & U(0x0000FFFFFFFFF000)
    if found & U(WALK_FAULT) or page >= a[c.RAM_SIZE]:
        return NOWHERE
    if write:
        frame = page >> U(12)
        state = load8(a[c.FRAMES] + frame)
        if state & (c.FRAME_CODE | c.FRAME_MIXED | c.FRAME_ROM) or not found & U(WALK_WRITE):
            return NOWHERE
        mark_dirty(a, frame)
    return a[c.RAM] + (page | (linear & U(0xFFF)))


@entry("u64(cells)")
def hook_place(a):  # type: ignore[no-untyped-def]
    """Inside a hook: branches of the current block that are counted but to come << 32 | the guest's EIP."""
    eip = U(load32(a[c.ENV] + U(layout.EIP)))
    return (ahead(a, eip) & ~MASK32) | U(load32(a[c.TC_GUEST] + ((eip - BASE) << U(2))))
