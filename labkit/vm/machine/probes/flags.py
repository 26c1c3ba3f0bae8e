"""Flags that Unicorn leaves other than the processor does: mended when it stops, compiled.

After CMPXCHG8B Unicorn leaves a raw operand in `cc_src` while `cc_op` says that it holds flags; when the
processor then stops, the operand's other bits would be merged into EFLAGS (TF, IF, NT, AC set at random). Only
flag bits may stay.

Before an instruction hook Unicorn computes the flags, after it the condition codes become these flags. A fault of the
same instruction then restores the kind of the last operation, as it was translated, and computes the flags anew, of
codes that are flags already. So a hook notes them, and they are put in place where the instruction did not retire.

RF, which IRET may set, lasts until the next instruction has retired; Unicorn clears it at the end of some blocks
only. It is kept apart from EFLAGS, as the clock at which it was set.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import call_control, load32, store32, store64

__all__ = ["mend_flags", "note_flags", "settle_flags", "store_hooked_flags", "take_resume_flag"]

CC_OP_EFLAGS = 1
STATUS_FLAGS = np.uint32(0x8D5)  # OF SF ZF AF PF CF
REGISTER_EFLAGS = 25  # UC_X86_REG_EFLAGS
RF = np.uint32(0x10000)


@njit()
def mend_flags(env: int) -> None:
    """Clear what is not a status flag from the lazy flags; called before every stop."""
    if load32(env + np.uint64(layout.CC_OP)) == CC_OP_EFLAGS:
        at = env + np.uint64(layout.CC_SRC)
        store64(at, np.uint64(load32(at) & STATUS_FLAGS))


@njit()
def store_hooked_flags(a, where):  # type: ignore[no-untyped-def]
    """Store EFLAGS at `where` in an instruction hook, before the instruction; without RF.

    Unicorn has computed them for the hook where the last operation is of another kind than the one before it; else
    they are to be had by its own function only.
    """
    mend_flags(a[c.ENV])
    call_control(a[c.READ_REGISTER], a[c.ENGINE], np.uint32(REGISTER_EFLAGS), where, np.uint64(0))
    store32(where, load32(where) & ~RF)


@njit()
def note_flags(a, linear):  # type: ignore[no-untyped-def]
    """An instruction hook of the instruction at `linear` is called: the flags are exact now."""
    env = a[c.ENV]
    if load32(env + np.uint64(layout.CC_OP)) == CC_OP_EFLAGS:
        a[c.FLAGS_AT] = np.uint64(0)  # they stay what they are
    else:
        a[c.FLAGS_AT] = (np.uint64(linear) & np.uint64(0xFFFFFFFF)) + np.uint64(1)
        a[c.FLAGS] = np.uint64(load32(env + np.uint64(layout.EFLAGS)) & STATUS_FLAGS)


@njit()
def settle_flags(a, linear):  # type: ignore[no-untyped-def]
    """Let the lazy flags be flags before the instruction at `linear`, whose own code takes them from a stale state.

    They are noted as well: where it faults, Unicorn takes what is left for the operands of the last operation.
    """
    env = a[c.ENV]
    store_hooked_flags(a, a[c.SELF] + np.uint64(8 * c.FLAGS))
    flags = load32(a[c.SELF] + np.uint64(8 * c.FLAGS)) & STATUS_FLAGS
    a[c.FLAGS_AT], a[c.FLAGS] = (np.uint64(linear) & np.uint64(0xFFFFFFFF)) + np.uint64(1), np.uint64(flags)
    store32(env + np.uint64(layout.CC_OP), np.uint32(CC_OP_EFLAGS))
    store64(env + np.uint64(layout.CC_SRC), np.uint64(flags))


@njit()
def take_resume_flag(a):  # type: ignore[no-untyped-def]
    """Keep RF apart; called before the instruction that comes after the one that may have set it."""
    at = a[c.ENV] + np.uint64(layout.EFLAGS)
    if load32(at) & RF:
        store32(at, load32(at) & ~RF)
        a[c.RESUME] = a[c.CLOCK] + np.uint64(1)
