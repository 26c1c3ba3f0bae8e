"""Calls in the code that Unicorn has made for the host, by the bytes around them.

e8 disp32 calls what lies less than 2 GB away, ff 15 disp32 an address that lies in memory.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load8, load16, load32, load64

__all__ = ["far_target", "target"]

U = np.uint64


@njit()
def target(back):  # type: ignore[no-untyped-def]
    """Where the call goes that returns to `back`; 0 where it is none."""
    if load8(back - U(5)) != 0xE8:
        return U(0)
    return back + U(np.int64(np.int32(load32(back - U(4)))))


@njit()
def far_target(back):  # type: ignore[no-untyped-def]
    """The same of the longer call."""
    if load16(back - U(6)) != 0x15FF:
        return U(0)
    return load64(back + U(np.int64(np.int32(load32(back - U(4))))))
