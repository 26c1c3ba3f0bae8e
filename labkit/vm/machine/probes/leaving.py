"""Where Unicorn notes which translated code makes the access that a callback answers, and how to leave there.

Unicorn lets a callback for a page of addresses answer, not refuse. But its library exports QEMU's own
functions for going back to the instruction that is under way; they want the host address of the code, which
lies in the processor's structure (CPUState.mem_io_pc), found here by a load that comes to a callback.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

from unicorn.unicorn_py3.unicorn import uclib

from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.emulator import OK, Emulator

__all__ = ["Leaving", "find_leaving"]

LOAD_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p
)
CODE, REGISTERS, PAGE = 0x1000, 0x2000, 0x1000
LOADS = bytes.fromhex("90 a100200000 90 8b1d04200000 f4")  # nop; mov eax, [2000h]; nop; mov ebx, [2004h]; hlt
PLACES = (CODE + 1, CODE + 7)  # of the two loads
SUFFIX = "_x86_64"  # Unicorn's name for the target that runs all x86


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a callback needs to leave; `offset` is the note's, in the processor's structure."""

    offset: int
    restore: int
    leave: int


@cache
def find_leaving() -> Leaving | None:
    """Find it; None where this build of Unicorn does not offer it."""
    try:
        restore, leave = (uclib[f"{name}{SUFFIX}"] for name in ("cpu_restore_state", "cpu_loop_exit"))
    except AttributeError:
        return None
    restore.argtypes, restore.restype = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int), ctypes.c_bool
    offsets = _notes(restore)
    if len(offsets) != 1:
        return None
    addresses = (int(ctypes.cast(function, ctypes.c_void_p).value or 0) for function in (restore, leave))
    return Leaving(offsets.pop(), *addresses)


def _notes(restore: Any) -> set[int]:
    """Offsets of the words from which QEMU finds its way back to both loads."""
    emulator = Emulator()
    where, places = emulator.layout, iter(PLACES)
    eip = ctypes.c_uint64.from_address(where.registers + layout.EIP)
    found: list[set[int]] = []

    def leads(word: int, place: int) -> bool:
        return bool(word) and bool(restore(where.processor, word, 0)) and eip.value == place

    @LOAD_CALLBACK
    def answer(_engine: Any, _offset: int, _size: int, _data: Any) -> int:
        here, now = next(places), eip.value
        words = (ctypes.c_uint64 * ((where.registers - where.processor) // 8)).from_address(where.processor)
        found.append({8 * i for i, word in enumerate(words) if leads(word, here)})
        eip.value = now
        return 0

    raw = ctypes.create_string_buffer(2 * PAGE)
    host = (ctypes.addressof(raw) + PAGE - 1) & ~(PAGE - 1)
    ctypes.memmove(host, LOADS, len(LOADS))
    emulator.map(CODE, PAGE, host)
    emulator.map_function(REGISTERS, PAGE, answer)
    done = emulator.start(CODE) == OK
    emulator.close()
    return set.intersection(*found) if done and len(found) == len(PLACES) else set()
