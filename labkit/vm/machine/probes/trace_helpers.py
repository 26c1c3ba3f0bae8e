"""Puts trace_access.py in the place of Unicorn's functions for loads and stores, once for the process.

    Unicorn's tables of functions, by log2 of size, little-endian first:  qemu_ld_helpers[16]  qemu_st_helpers[16]

Translated code calls what stands there when it is translated. The first four of each are replaced by a few
instructions of ours that hand on the table of traced engines; an engine that is not in it gets Unicorn's own
function, as before. Before all that, and once after it, what trace_access.py knows of Unicorn is tried on an
engine made for it; where anything differs all stays as it was, and tracing is slower.
"""

import ctypes
import mmap
import re
import struct
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
from unicorn.unicorn_py3.unicorn import uclib

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace, trace_access
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.call_site import READ_WRITE_EXECUTE, _libc
from labkit.vm.machine.probes.emulator import OK, Emulator, Hook, _fill_one_page

__all__ = ["MEMORY_HOOKS", "attach", "detach", "recursion_offset"]

READ_AFTER, READ, WRITE = 8192, 1024, 2048  # UC_HOOK_MEM_...
MEMORY_HOOKS = {"after": (READ_AFTER, WRITE), "before": (READ, WRITE)}
NAMES = {
    trace_access.LOADS: ("ret_ldub", "le_lduw", "le_ldul", "le_ldq"),
    trace_access.STORES: ("ret_stb", "le_stw", "le_stl", "le_stq"),
}
OURS = {trace_access.LOADS: trace_access.loads, trace_access.STORES: trace_access.stores}
SLOWLY = {
    trace_access.LOADS_SLOWLY: trace_access.loads_slowly, trace_access.STORES_SLOWLY: trace_access.stores_slowly,
}  # fmt: skip
TABLE_REGISTER = {trace_access.LOADS: "49b8", trace_access.STORES: "49b9"}  # mov r8, ... and mov r9, ...
STUB = 32
PAGE = 0x1000
_table = np.zeros(trace_access.TABLE_WORDS, np.uint64)
_lock = threading.Lock()


def attach(env: int, state: int) -> bool:
    """Let the accesses of the engine with these registers be noted in this state, from its next translation on.

    False where that is not possible: on another host, with another build of Unicorn, or for too many at once.
    """
    if not _replaced():
        return False
    with _lock:
        return _enter(env, state)


def _enter(env: int, state: int) -> bool:
    free = [i for i in range(trace_access.ENGINES) if not _table[2 * i]]
    if not free:
        return False
    _table[2 * free[0] + 1], _table[2 * free[0]] = state, env
    return True


def detach(env: int) -> None:
    """No longer."""
    with _lock:
        _leave(env)


def _leave(env: int) -> None:
    for i in range(trace_access.ENGINES):
        if int(_table[2 * i]) == env:
            _table[2 * i] = _table[2 * i + 1] = 0


@cache
def _replaced() -> bool:
    """Have Unicorn's functions been replaced? Tried once."""
    with _lock:
        places = _places()
        if places is None:
            return False
        for first, originals in _originals().items():
            _table[first : first + 4] = originals
        for first, functions in SLOWLY.items():
            _table[first : first + 4] = [function.address for function in functions]
        stubs = _stubs()
        try:
            for first, place in places.items():
                _write(place, stubs[first])
        except OSError:
            return False
        if _is_right():
            return True
        for first, place in places.items():
            _write(place, _originals()[first])
        return False


def _originals() -> dict[int, list[int]]:
    """Host addresses of Unicorn's functions. Raises AttributeError where one has no name."""
    return {
        first: [int(ctypes.cast(uclib[f"helper_{name}_mmu_x86_64"], ctypes.c_void_p).value or 0) for name in names]
        for first, names in NAMES.items()
    }


def _places() -> dict[int, int] | None:
    """Where the tables lie: four pointers in a row, in the library's data."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    try:
        originals = _originals()
        library = str(uclib._name)  # noqa: SLF001  (the name it was loaded by has no public one)
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except (AttributeError, OSError):
        return None
    found: dict[int, int] = {}
    for line in lines:
        if not line.endswith(library) or line.split()[1][:3] not in {"r--", "rw-"}:
            continue
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        data = ctypes.string_at(start, end - start)
        for first, addresses in originals.items():
            at = data.find(struct.pack("<4Q", *addresses))
            if at >= 0 and not at & 7:
                found[first] = start + at
    return found if len(found) == len(originals) else None


def _stubs() -> dict[int, list[int]]:
    """Machine code that hands the table on as one more argument; it stays for as long as the process."""
    page = int(_libc().mmap(0, PAGE, READ_WRITE_EXECUTE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0))
    if page == (1 << 64) - 1:
        return _originals()
    found: dict[int, list[int]] = {}
    at = page
    for first, functions in OURS.items():
        found[first] = []
        for function in functions:
            code = bytes.fromhex(TABLE_REGISTER[first]) + _table.ctypes.data.to_bytes(8, "little")
            code += bytes.fromhex("48b8") + function.address.to_bytes(8, "little") + bytes.fromhex("ffe0")
            ctypes.memmove(at, code, len(code))
            found[first].append(at)
            at += STUB
    return found


def _write(place: int, addresses: list[int]) -> None:
    """Four pointers into what the loader has made read-only. Raises OSError."""
    first, end = place & ~(PAGE - 1), (place + 32 + PAGE - 1) & ~(PAGE - 1)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(first, end - first, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memmove(place, struct.pack("<4Q", *addresses), 32)
    protect(first, end - first, mmap.PROT_READ)


# --- Unicorn's count of recursions

FUNCTION = 0x200
RECURSION = re.compile(rb"\x41\xff\x94\x24....\x41\x8b\x9c\x24(....)", re.DOTALL)
"""call [engine + mapping]; mov ebx, [engine + recursions]: in the function for stores of four bytes."""


@cache
def recursion_offset() -> int:
    """Offset in the engine of a word: in how many accesses cut in two are we? 0 where it is not found.

    Unicorn does not count down when a store to its own block begins it anew: no hook is called from then on.
    """
    try:
        code = ctypes.string_at(_originals()[trace_access.STORES][2], FUNCTION)
    except AttributeError:
        return 0
    found = RECURSION.search(code)
    return int.from_bytes(found[1], "little") if found else 0


# --- the trial

CODE, DATA, LAST_STORE, NOWHERE = PAGE, 0x1800, 0x18A0, 1 << 63
BYTES = bytes(range(0x11, 0x99, 0x11))
PROGRAM = bytes.fromhex(
    "be00180000 ad ac 66ad"  # mov esi, DATA; lodsd; lodsb; lodsw
    " 8b1d00180000 bf80180000 ab aa 66ab"  # mov ebx, [DATA]; mov edi, DATA + 80h; stosd; stosb; stosw
    " 891d90180000 0f6f0500180000 0f7f05a0180000 f4"  # mov [DATA + 90h], ebx; movq mm0, [DATA]; movq [..], mm0
)  # fmt: skip
ACCESSES = (
    (0x1800, 4, 0x44332211), (0x1804, 1, 0x55), (0x1805, 2, 0x7766), (0x1800, 4, 0x44332211),
    (0x1880, 0x84, 0x44337766), (0x1884, 0x81, 0x66), (0x1885, 0x82, 0x7766), (0x1890, 0x84, 0x44332211),
    (0x1800, 8, 0x8877665544332211), (0x18A0, 0x88, 0x8877665544332211),
)  # fmt: skip


def _is_right() -> bool:
    """A program on an engine of its own: are its accesses noted, all but the first, which Unicorn makes?

    The hooks that send accesses to functions look at no address here, so whatever is noted we have made.
    """
    emulator = Emulator()
    emulator.answer_translations()
    emulator.hook(Hook.TLB_FILL, _fill_one_page, 0)
    raw = ctypes.create_string_buffer(2 * PAGE)
    host = (ctypes.addressof(raw) + PAGE - 1) & ~(PAGE - 1)
    ctypes.memmove(host, PROGRAM, len(PROGRAM))
    ctypes.memmove(host + DATA - CODE, BYTES, len(BYTES))
    emulator.map(PAGE, PAGE, host)
    cells, state, frames = c.new_cells(), np.zeros(w.WORDS, np.uint64), np.zeros(4, np.uint8)
    address, meta, value = np.zeros(64, np.uint32), np.zeros(64, np.uint8), np.zeros(64, np.uint64)
    linear = np.zeros(64, np.uint32)
    cells[c.RAM_SIZE], cells[c.FRAMES] = 4 * PAGE, frames.ctypes.data
    for word, array in ((w.CELLS, cells), (w.ADDRESS, address), (w.META, meta), (w.VALUE, value), (w.LINEAR, linear)):
        state[word] = array.ctypes.data
    for kind in MEMORY_HOOKS["after"]:
        emulator.hook(kind, trace.memory_hook, cells.ctypes.data, first=NOWHERE, last=NOWHERE)
    if not _enter(emulator.layout.registers, state.ctypes.data):
        return False
    try:
        error = emulator.start(CODE)
    finally:
        _leave(emulator.layout.registers)
    count = int(state[w.REFS])
    seen = tuple(zip(address.tolist(), meta.tolist(), value.tolist(), strict=True))[:count]
    written = ctypes.string_at(host + LAST_STORE - CODE, len(BYTES))
    emulator.close()
    return (
        error == OK and count >= len(ACCESSES) - 2 and seen == ACCESSES[-count:]
        and linear.tolist() == address.tolist() and written == BYTES
    )  # fmt: skip
