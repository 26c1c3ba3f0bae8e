"""Loads of device registers that hold still, answered by compiled code without an exit.

Intel's virtual-APIC page does the same: a register that changes only when the guest stores to its page is
read from a copy. xv6, for one, reads its local APIC's identifier at every lock and unlock. The copies lie in
a table with one word for each 16 bytes of the page:

    63      33   32    31       0
    0            held  value                offset 0, 10h, 20h, ... FF0h; 4 to 11 bytes further there are zeros

A load from any other place of the page (the last four bytes of 16 too: the load may run on into what is not
held) is an exit as ever: Unicorn is left from inside the callback, with the instruction not begun.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.address import effective_address
from labkit.vm.machine.probes.block import block_bytes, settle
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import call_leave, call_restore, call_stop, load8, load32, load64

__all__ = ["ENTRIES", "HELD", "steady_read"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
ENTRIES = 256
HELD = 1 << 32
MOV_EAX = 0xA1  # its operand has no ModRM byte


@njit()
def _begin(a, offset):  # type: ignore[no-untyped-def]
    """Offset at which the load begins: of an unaligned one Unicorn asks for the aligned words around it."""
    env = a[c.ENV]
    linear = (U(load32(env + U(layout.EIP))) + U(load32(env + U(layout.CS_BASE)))) & U(0xFFFFFFFF)
    code = block_bytes(a, linear, U(15))
    operand = U(load32(code + U(1))) if load8(code) == MOV_EAX else effective_address(a, code)
    begin = operand & U(0xFFF)
    return begin if offset <= begin < offset + U(4) else offset


@cfunc(types.uint64(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def steady_read(_engine, offset, size, a):  # type: ignore[no-untyped-def]
    """A load from the page."""
    place = U(offset) & U(15)
    entry = load64(a[c.STEADY] + ((U(offset) >> U(4)) << U(3)))
    if entry & U(HELD) and place < U(12):
        value = (entry & U(0xFFFFFFFF)) >> (place << U(3)) if place < U(4) else U(0)
        return value & ((U(1) << (U(size) << U(3))) - U(1))
    call_restore(a[c.RESTORE_FUNCTION], a[c.CPU], load64(a[c.RETURN_PLACE]))
    settle(a, U(load32(a[c.ENV] + U(layout.EIP))))
    mend_flags(a[c.ENV])
    a[c.FAULT_PHYSICAL] = (a[c.STEADY_PAGE] - U(1)) + _begin(a, U(offset))
    a[c.STOP] = U(c.Stop.REGISTER)
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])
    call_leave(a[c.LEAVE_FUNCTION], a[c.CPU])
    return U(0)
