"""The words of a translation that is being made, at cell TC_WORK: see translate.py."""

from typing import Any

import numpy as np

from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load64, store64

__all__ = [
    "AFTER_CONDITION", "AT", "BRANCH", "COUNT", "DONE", "EIP", "ENDED", "ENTRIES", "ENTRY_LIST", "ENTRY_LOG",
    "ENTRY_ROWS", "EXITS", "EXIT_LIST", "FLAGS", "JUMP_LOG", "JUMP_ROWS", "LENGTHS", "LOGGED_ENTRIES",
    "LOGGED_JUMPS", "LONGEST", "NEXT", "RETIRED", "ROOM", "ROWS", "SOURCE", "SUM", "WORDS", "get", "line",
    "put",
]  # fmt: skip

U = np.uint64

AT = 0  # place of the next byte
RETIRED = 1  # where the running sum stands: branches << 32 | instructions
FLAGS = 2  # of the byte that comes next
SOURCE = 3  # host address of the next guest instruction, ...
EIP = 4  # ... its EIP, ...
DONE = 5  # ... and its number
COUNT = 6  # whole instructions that there are
AFTER_CONDITION = 7  # 1: the last one was a conditional jump, what follows may be entered
ENDED = 8  # 1: nothing follows
EXITS = 9  # jumps that get a stub
ENTRIES = 10  # places where the translation may be entered
NEXT, SUM = 11, 12  # where the next translation begins, and with which sum
LOGGED_ENTRIES, LOGGED_JUMPS = 13, 14  # rows in use
LENGTHS = 15  # host address: u8 each
EXIT_LIST = 16  # place of the jump's distance, guest target: u32 each
ENTRY_LIST = 17  # guest EIP, place: u32 each
ENTRY_LOG = 18  # guest EIP, place, frame + 1, number: u32 each
JUMP_LOG = 19  # guest target, place of the jump's distance, place of its stub, 0: u32 each
WORDS = 24
LONGEST = 64
"""Guest instructions in one translation."""
ROWS = 2 * LONGEST + 8
"""Exits and entries that one may have, and more."""
ENTRY_ROWS = JUMP_ROWS = 1 << 16
ROOM = 16384
"""Bytes that one may take at most, stubs included."""
BRANCH = 1 << 32


@njit()
def get(w: Any, index: Any) -> Any:
    """A word."""
    return load64(w + U(8 * index))


@njit()
def put(w: Any, index: Any, value: Any) -> Any:
    """Change a word."""
    store64(w + U(8 * index), U(value))


@njit()
def line(w: Any, table: Any, number: Any, size: Any) -> Any:
    """Host address of a row of a table, by number."""
    return get(w, table) + number * U(size)
