"""The block hook, compiled, for a machine whose addresses Unicorn's own MMU translates."""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.block import UNCACHED, _slow_info, count_block
from labkit.vm.machine.probes.compiled import cfunc, types
from labkit.vm.machine.probes.intrinsics import store32
from labkit.vm.machine.probes.walk import WALK_FAULT, translate

__all__ = ["block_hook_native"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32 = U(0xFFFFFFFF)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def block_hook_native(_engine, linear, size32, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_BLOCK: frame and bytes of the code are looked at each time."""
    linear, size = linear & MASK32, U(size32)
    for page in (linear, linear + size):
        found = translate(a, page & MASK32, False, True, False, False)
        frame = U(0) if found & U(WALK_FAULT) else found & U(0xFFFFF000)
        store32(a[c.PAGES] + (((page & MASK32) >> U(12)) << U(2)), np.uint32(frame) | UNCACHED)
    count_block(a, linear, size, _slow_info(a, linear, size))
