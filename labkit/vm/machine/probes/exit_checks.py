"""The exit checks behind loads and stores, taken out of a block that counts itself.

Unicorn looks after each access of a block whether somebody has asked the processor to stop, by a call: a
memory hook may have done so. labkit has no such hook (its callbacks that stop also leave), and looks at the start
of each block. So the call, a third of the time of code that reads and writes much, becomes nothing:

     0  48 bf engine    mov rdi, engine         0  66 0f 1f 84 ..      nop (9 bytes)
    10  33 f6           xor esi, esi            9  0f 1f 84 ..         nop (8 bytes)
    12  e8 ...          call exit check        17
    17                                             (where the call is ff 15 ..., an 18th byte: nop)

The check behind a hook of an instruction stays: a call is right before it.

The head of a translation tells where its code lies, and thereby its end. Between the heads there may be older
ones, so that this one is known by all that it says:

    start - 192   linear address     64 bits            start - 160   start                64 bits
    start - 172   size in the guest  16 bits            start - 152   size for the host    64 bits
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import entry
from labkit.vm.machine.probes.host_calls import far_target, target
from labkit.vm.machine.probes.intrinsics import load8, load16, load64, store8, store64

__all__ = ["drop_exit_checks"]

U = np.uint64
ALIGNMENT = U(63)  # translations begin at multiples of 64
HEAD_LINEAR, HEAD_SIZE, HEAD_START, HEAD_LENGTH = U(192), U(172), U(160), U(152)
LARGEST = U(1 << 16)
CHECK = U(17)
NOP8, NOP9 = U(0x841F0F), U(0x841F0F66)  # the other bytes are zeros


@entry("void(cells, u64, u64, u64)")
def drop_exit_checks(a, site, linear, size):  # type: ignore[no-untyped-def]
    """Drop those of the translation of `size` bytes at `linear`, which begins less than 64 bytes before `site`."""
    start = site & ~ALIGNMENT
    if load64(start - HEAD_START) != start or load64(start - HEAD_LENGTH) >= LARGEST:
        return
    if load64(start - HEAD_LINEAR) != linear or U(load16(start - HEAD_SIZE)) != size:
        return
    at, end = site, start + load64(start - HEAD_LENGTH)
    while at + CHECK <= end:
        if load16(at) != 0xBF48 or load64(at + U(2)) != a[c.ENGINE] or load16(at + U(10)) != 0xF633:
            at += U(1)
            continue
        far = far_target(at + U(18)) == a[c.EXIT_CHECK]
        if (far or target(at + CHECK) == a[c.EXIT_CHECK]) and load8(at - U(5)) != 0xE8 and load16(at - U(6)) != 0x15FF:
            store64(at, NOP9)
            store8(at + U(8), np.uint8(0))
            store64(at + U(9), NOP8)
            if far:
                store8(at + CHECK, np.uint8(0x90))
        at += CHECK
