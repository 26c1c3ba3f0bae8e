"""Mends the condition codes after CMPXCHG8B.

Unicorn leaves a raw operand in `cc_src` while `cc_op` says that it holds flags; when the processor then
stops, the operand's other bits would be merged into EFLAGS (TF, IF, NT, AC set at random). Only flag bits may
stay.
"""

import numpy as np

from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load32, store64

__all__ = ["mend_flags"]

CC_OP_EFLAGS = 1
STATUS_FLAGS = np.uint32(0x8D5)  # OF SF ZF AF PF CF


@njit()
def mend_flags(env: int) -> None:
    """Clear what is not a status flag from the lazy flags; called before every stop."""
    if load32(env + np.uint64(layout.CC_OP)) == CC_OP_EFLAGS:
        at = env + np.uint64(layout.CC_SRC)
        store64(at, np.uint64(load32(at) & STATUS_FLAGS))
