"""Must a block be checked before Unicorn runs it? I/O, RDTSC, SYSENTER, CMPXCHG8B, far CALL; compiled."""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import CX8, ENABLES, IO, SYSENTER, TSC
from labkit.vm.machine.probes.intrinsics import load32
from labkit.vm.machine.probes.task_register import mend_task_register

__all__ = ["needs_check"]

U = np.uint64
ALLOW_ALL = U(c.ALLOW_ALL)


@njit()
def needs_check(a, linear, info):  # type: ignore[no-untyped-def]
    """Does this block hold an instruction that Unicorn would run although it must first be checked?"""
    env = a[c.ENV]
    cpl = load32(env + U(layout.HFLAGS)) & np.uint32(3)
    if cpl != 0 and info & U(ENABLES):
        mend_task_register(env)
    if a[c.ALLOW] == ALLOW_ALL:
        return False
    eflags = load32(env + U(layout.EFLAGS))
    if info & U(IO) and (eflags & np.uint32(0x20000) or cpl > ((eflags >> np.uint32(12)) & np.uint32(3))):
        return load32(env + U(layout.CR0)) & np.uint32(1) != 0
    if info & U(TSC) and cpl != 0 and load32(env + U(layout.CR4)) & np.uint32(4):
        return True
    if info & U(SYSENTER) and not (load32(env + U(layout.SYSENTER_CS)) & np.uint32(0xFFFC)):
        return True
    return (info & U(CX8)) != 0 and a[c.ALLOW] != linear
