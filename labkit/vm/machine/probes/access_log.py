"""The access log, compiled: counts the loads and stores that come to a range of memory, whoever let them pass.

Unicorn calls these hooks itself, by physical address, for each load that has been made and each store that is made:
they know nothing of segments, pages or rights, and so are a witness to what those should have prevented.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import cfunc, types

__all__ = ["loaded", "own", "stored"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
HOOK = types.void(types.voidptr, types.int32, types.uint64, types.int32, types.int64, CELLS_POINTER)


@cfunc(HOOK)
def loaded(_engine, _kind, physical, _size, _value, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_MEM_READ_AFTER."""
    a[c.ACCESS_READS] += U(1)
    a[c.ACCESS_LAST] = physical


@cfunc(HOOK)
def stored(_engine, _kind, physical, _size, _value, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_MEM_WRITE."""
    a[c.ACCESS_WRITES] += U(1)
    a[c.ACCESS_LAST] = physical


@cfunc(HOOK)
def own(_engine, _kind, _physical, _size, _value, a):  # type: ignore[no-untyped-def]
    """Either, where the monitor keeps what translated code uses through its own segment."""
    a[c.ACCESS_OWN] += U(1)
