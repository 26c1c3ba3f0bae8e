"""The task register before a far call: what Unicorn would end the whole process for, compiled.

A call gate to an inner ring takes the stack from the task state segment. Unicorn aborts unless the hidden part of
TR is present and of type 1 or 9, a task state segment that is available: it never sets its busy bit there. A guest
that never loaded TR, or loaded it with nothing, finds no stack in a segment of no length: #TS, as the manual says
of a task state segment that is too short (Intel SDM volume 2, CALL). From ring 0 no gate leads further inward.
"""

import numpy as np

from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load32, store32

__all__ = ["mend_task_register"]

U = np.uint64
PRESENT, WIDE, AVAILABLE = np.uint32(1 << 15), np.uint32(8 << 8), np.uint32(1 << 8)
TYPE = np.uint32(7 << 8)


@njit()
def mend_task_register(env):  # type: ignore[no-untyped-def]
    """Make the hidden part of TR one that Unicorn accepts."""
    flags = load32(env + U(layout.TR_FLAGS))
    present = flags & PRESENT
    if present and flags & TYPE == AVAILABLE:
        return
    if not present:
        store32(env + U(layout.TR_LIMIT), np.uint32(0))
    store32(env + U(layout.TR_FLAGS), (flags & ~TYPE) | PRESENT | AVAILABLE)
