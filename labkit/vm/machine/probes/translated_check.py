"""Checks before each instruction of translated code, compiled: every limit of every shadow, whatever the TLB holds.

Without them a limit is asked when a page of the monitor's is come to, which is enough to keep the guest out; with
them the guest's own limits hold in its kernel, and what a cut takes beyond the monitor's pages is refused, too.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.block import settle
from labkit.vm.machine.probes.compiled import cfunc, types
from labkit.vm.machine.probes.flags import mend_flags, note_flags
from labkit.vm.machine.probes.intrinsics import call_stop, load8, load64, store64
from labkit.vm.machine.probes.segment_check import check_instruction
from labkit.vm.machine.probes.shadow import RUNNING

__all__ = ["translated_check_hook"]

U = np.uint64
BASE, MASK32 = U(c.TC_BASE), U(0xFFFFFFFF)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, types.CPointer(types.uint64)))
def translated_check_hook(_engine: Any, linear: Any, _size: Any, a: Any) -> Any:
    """UC_HOOK_CODE on the translation cache: leave before an instruction that a limit refuses; the monitor looks."""
    note_flags(a, linear)
    place = (linear & MASK32) - BASE
    if a[c.STOP] or a[c.TC_FREE] or not load64(a[c.SHADOW] + U(RUNNING)):
        return
    if load8(a[c.TC_MEMORY] + place) == 0xCC:
        return
    env = a[c.ENV]
    a[c.SEGMENT_CHECKS] += U(1)
    if not check_instruction(a, a[c.TC_MEMORY] + place, BASE + place):
        return
    store64(env + U(layout.EIP), BASE + place)
    a[c.STOP], a[c.FLAGS_AT] = U(c.Stop.MONITOR), U(0)
    settle(a, BASE + place)
    mend_flags(env)
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])
