"""The trace's state: words that the cell TRACE points to, for all compiled parts of tracing, and two helpers."""

import numpy as np

from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load64, store64

__all__ = ["get", "put"]

U = np.uint64

# the first sixteen are within reach of one-byte displacements of machine code (trace_site.py)
PLACE, PLACE_HIGH = 0, 1  # host address of the next pass; of where it is time to empty the buffer
REFS, REFS_HIGH = 2, 3  # references so far
LAST_SPACE = 4  # CR3 at the last pass
STATES, STATES_HIGH = 5, 6  # states of the registers so far
ADDRESS, META, VALUE, LINEAR = 7, 8, 9, 10  # columns of the references, by reference; VALUE, LINEAR 0 = not wanted
CELLS = 11  # host address of the cells
TABLE, TABLE_SHIFT = 16, 17  # u32 numbers + 1 by hashed place; 64 - log2 of its length
KNOWN = 18  # four words per number, see trace.py
NUMBERS, MOST_NUMBERS = 19, 20
POOL, POOL_COUNT, POOL_HIGH = 21, 22, 23  # bytes of all blocks
SPACES, SPACE_COUNT, SPACES_HIGH = 24, 25, 26  # changes of CR3: index of the pass, CR3
PASSES = 27  # host address of the first pass
UNDER_WAY = 28  # linear address + 1 of the access that Unicorn's own function makes
SKIP = 29  # host address of the byte that keeps EIP as it is, 0 = leave it alone
ON_BRANCH, ON_OTHER = 30, 31  # host addresses of what traced blocks call, by whether they end with a branch; or 0
REGISTERS = 32  # column of states: STATE_WORDS u32 each
WALKS, WALK_COUNT, WALKS_HIGH = 33, 34, 35  # four words per walk, see trace_walk.py; WALKS 0 = not wanted
LAST_PLACE, LAST_VERSION, LAST_NUMBER = 36, 37, 38  # of the block that was numbered last
RECURSION = 39  # host address of a word of Unicorn's, see trace_helpers.py; 0 = not known
WORDS = 40
STATE_WORDS = 9  # EAX ECX EDX EBX ESP EBP ESI EDI EFLAGS

WRITE = 0x80
"""In a reference's META: a store."""


@njit(inlining="always")
def get(t, word):  # type: ignore[no-untyped-def]
    """A word of the state at host address `t`."""
    return load64(t + U(8 * word))


@njit(inlining="always")
def put(t, word, value):  # type: ignore[no-untyped-def]
    """Set it."""
    store64(t + U(8 * word), value)
