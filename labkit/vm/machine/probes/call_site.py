"""Counting in place: the call of the block hook, replaced by the few instructions that it mostly comes to.

Unicorn puts two calls before each block (52 bytes; rbp is the processor's register file, `engine` and `cells`
are 64-bit constants). A block that comes a second time, whose bytes cannot change under its translation and
which needs no check, gets the code on the right in their place. Every byte of the left side is compared first;
where one differs (another host, another layout) the calls stay, and so does what they do. (The exit check may be
a longer call, ff 15 ..., of what lies more than 2 GB away: then a 53rd byte becomes a nop.)

     0  48 bf engine    mov rdi, engine         0  48 b9 cells        mov rcx, cells
    10  be linear       mov esi, linear        10  48 8b 01           mov rax, [rcx + CLOCK]
    15  ba size         mov edx, size          13  48 83 c0 count     add rax, count
    20  48 b9 cells     mov rcx, cells         17  48 3b 41 18        cmp rax, [rcx + LIMIT]
    30  e8 ...          call enter             21  77 16              ja 45
    35  48 bf engine    mov rdi, engine        23  83 7d .. 00        cmp dword [rbp + exit request], 0
    45  33 f6           xor esi, esi           27  78 10              js 45
    47  e8 ...          call exit check        29  48 89 01           mov [rcx + CLOCK], rax
    52  the block                              32  c7 41 50 site      mov dword [rcx + SITE], site
                                               39  48 ff 41 20        inc qword [rcx + BRANCHES]   (or eb 0b)
                                               43  eb 07              jmp 52
                                               45  e8 ...             call again
                                               50  66 90              nop
                                               52  the block

`site` is the number of a description {linear, size, info} in a table, of which BLOCK, BLOCK_SIZE and BLOCK_INFO
are made when somebody wants them (`unfold`). Sites lie at least 256 bytes apart, for the head of a translation
(192 bytes) and the code above are between two of them: so the place of a site is its number.

Two more forms of the right side are in guarded_site.py.

`enter` and `again` are a few instructions of machine code on a page of our own: they hand the hook the call's
return address, and after a hook that has replaced its call they begin with the new code.

Translations die whole (Unicorn drops them when their bytes may change, see code_frames.py), and what was
written into one dies with it. LABKIT_INLINE=0 in the environment leaves all calls as they are.
"""

import ctypes
import os
import platform
import sys
import weakref
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from unicorn.unicorn_py3.unicorn import uclib

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.code_buffer import find_code_buffer
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import (
    BRANCH,
    CX8,
    ENABLES,
    INFO_COUNT,
    REP_FIRST,
    SEGMENT_KINDS,
    SENSITIVE,
)
from labkit.vm.machine.probes.exit_checks import drop_exit_checks
from labkit.vm.machine.probes.guarded_site import (
    COUNTS_BRANCH,
    COUNTS_OTHER,
    GUARDED,
    counting_code,
    write_guarded,
    write_page_check,
)
from labkit.vm.machine.probes.host_calls import far_target, target
from labkit.vm.machine.probes.intrinsics import (
    load8,
    load16,
    load32,
    load64,
    store8,
    store16,
    store32,
    store64,
)

__all__ = ["REPLACED", "CallSites", "describe", "replace_call", "replace_page_check", "unfold"]

U = np.uint64
SITES = 1 << 22  # Unicorn's buffer for translations has 1 GB at most
MASK32 = U(0xFFFFFFFF)
CALL = U(35)  # offset of the first call's return address in a site
AGAIN = U(50)  # and of that of `again`
REPLACED = -35  # what the hook answers: begin again with the site
CALLS_ONLY = SENSITIVE | REP_FIRST | CX8 | ENABLES | SEGMENT_KINDS
LONGEST = U(127)  # instructions: they are counted by a byte


@entry("void(cells)")
def unfold(a):  # type: ignore[no-untyped-def]
    """Make BLOCK, BLOCK_SIZE and BLOCK_INFO what they are since the last block that counted itself."""
    site = a[c.SITE]
    if site:
        at = a[c.SITES] + (site << U(4))
        a[c.SITE] = a[c.TC_SIZE] = U(0)
        if a[c.TC_MEMORY] and load32(at) >= c.TC_BASE:
            a[c.TC_BLOCK], a[c.TC_SIZE] = U(load32(at)), U(load32(at + U(4)))
            return
        a[c.BLOCK], a[c.BLOCK_SIZE] = U(load32(at)), U(load32(at + U(4)))
        a[c.BLOCK_INFO] = load64(at + U(8))


@njit()
def describe(a, back):  # type: ignore[no-untyped-def]
    """Host address of the description of the site that called `again`."""
    return a[c.SITES] + (((back - AGAIN - a[c.SITE_BASE]) >> U(8)) << U(4))


@njit()
def _is_known(a, site, linear, size):  # type: ignore[no-untyped-def]
    """Do all 52 bytes read as drawn above?"""
    if load16(site) != 0xBF48 or load64(site + U(2)) != a[c.ENGINE]:
        return False
    if load8(site + U(10)) != 0xBE or U(load32(site + U(11))) != linear:
        return False
    if load8(site + U(15)) != 0xBA or U(load32(site + U(16))) != size:
        return False
    if load16(site + U(20)) != 0xB948 or load64(site + U(22)) != a[c.SELF] or target(site + U(35)) != a[c.ENTER]:
        return False
    if load16(site + U(35)) != 0xBF48 or load64(site + U(37)) != a[c.ENGINE]:
        return False
    if load16(site + U(45)) != 0xF633:
        return False
    return target(site + U(52)) == a[c.EXIT_CHECK] or far_target(site + U(53)) == a[c.EXIT_CHECK]


@njit()
def _describe(a, back, linear, size, info):  # type: ignore[no-untyped-def]
    """Number of the site whose hook returns to `back`, which is described from now on; 0 where there is none."""
    site = back - CALL
    number = (site - a[c.SITE_BASE]) >> U(8)
    far = np.int64(a[c.AGAIN]) - np.int64(site + AGAIN)
    if number >= U(SITES) or far != np.int64(np.int32(far)) or not _is_known(a, site, linear, size):
        return U(0)
    unfold(a)  # the description may be that of a block which is no more, except here
    at = a[c.SITES] + (number << U(4))
    store64(at, linear | (size << U(32)))
    store64(at + U(8), info)
    if load16(site + U(47)) == 0x15FF:
        store8(site + U(52), np.uint8(0x90))
    return number


@njit()
def _write(a, site, number, info):  # type: ignore[no-untyped-def]
    """The right side of the drawing."""
    far = a[c.AGAIN] - site - AGAIN
    store16(site, np.uint16(0xB948))
    store64(site + U(2), a[c.SELF])
    store32(site + U(10), np.uint32(0x48018B48))
    store16(site + U(14), np.uint16(0xC083))
    store8(site + U(16), np.uint8(info & U(INFO_COUNT)))
    store32(site + U(17), np.uint32(0x18413B48))
    store16(site + U(21), np.uint16(0x1677))
    store32(site + U(23), np.uint32(U(0x7D83) | (a[c.EXIT_PLACE] << U(16))))
    store16(site + U(27), np.uint16(0x1078))
    store32(site + U(29), np.uint32(0xC7018948))
    store16(site + U(33), np.uint16(0x5041))
    store32(site + U(35), np.uint32(number))
    store32(site + U(39), np.uint32(0x2041FF48) if info & U(BRANCH) else np.uint32(0x90900BEB))
    store16(site + U(43), np.uint16(0x07EB))
    store8(site + U(45), np.uint8(0xE8))
    store32(site + U(46), np.uint32(far & MASK32))
    store16(site + U(50), np.uint16(0x9066))


@entry("i64(cells, u64, u64, u64, u64)")
def replace_call(a, back, linear, size, info):  # type: ignore[no-untyped-def]
    """Let the block count itself from now on, whose hook returns to `back`: 1, or 0 where it must not."""
    if info & U(CALLS_ONLY & ~GUARDED) or (info & U(INFO_COUNT)) > LONGEST:
        return 0
    number = _describe(a, back, linear, size, info)
    if not number:
        return 0
    if info & U(GUARDED):
        write_guarded(a, back - CALL, number, info)
    else:
        _write(a, back - CALL, number, info)
    drop_exit_checks(a, back - CALL, linear, size)
    return 1


@njit()
def replace_page_check(a, back, linear, size, page):  # type: ignore[no-untyped-def]
    """The same of a block in the translation cache that is there for its page to be looked at."""
    if not _describe(a, back, linear, size, U(0)):
        return 0
    write_page_check(a, back - CALL, page)
    return 1


# --- made by Python, once for each engine

PRIVATE, READ_WRITE_EXECUTE = 0x22, 7  # as Linux numbers them
FAILED = (1 << 64) - 1
GB, STEP = 1 << 30, 16 << 20
CHECK_NAME = "helper_check_exit_request_x86_64"
CHECK = ((0, "4c8b87"), (7, "418b80"), (14, "85c0790485f674"))
"""mov r8, [rdi + processor]; mov eax, [r8 + exit request]; test eax, eax; jns ...; test esi, esi; jz ..."""


def _enter(hook: int) -> bytes:
    return (
        bytes.fromhex("4c8b0424 4883ec08")  # mov r8, [rsp]; sub rsp, 8
        + bytes.fromhex("48b8") + hook.to_bytes(8, "little")  # mov rax, hook
        + bytes.fromhex("ffd0 4883c408 85c0 7501 c3")  # call rax; add rsp, 8; test eax, eax; jnz 1f; ret
        + bytes.fromhex("4158 4901c0 41ffe0")  # 1: pop r8; add r8, rax; jmp r8
    )  # fmt: skip


def _again(hook: int, engine: int, check: int) -> bytes:
    return (
        bytes.fromhex("4c8b0424 4883ec08")  # mov r8, [rsp]; sub rsp, 8
        + bytes.fromhex("48b8") + hook.to_bytes(8, "little")  # mov rax, hook
        + bytes.fromhex("ffd0 4883c408")  # call rax; add rsp, 8
        + bytes.fromhex("48bf") + engine.to_bytes(8, "little") + bytes.fromhex("33f6")  # mov rdi, engine; xor esi, esi
        + bytes.fromhex("48b8") + check.to_bytes(8, "little") + bytes.fromhex("ffe0")  # mov rax, exit check; jmp rax
    )  # fmt: skip


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_uint64
    libc.mmap.argtypes = (
        ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64
    )  # fmt: skip
    libc.munmap.argtypes = (ctypes.c_uint64, ctypes.c_size_t)
    return libc


def _page(buffer: int) -> int:
    """A page for machine code, in reach (2 GB) of calls from all of the buffer (1 GB); 0 for none."""
    for wanted in (*range(buffer - STEP, buffer - GB, -STEP), *range(buffer + GB, buffer + 2 * GB, STEP)):
        found = int(_libc().mmap(wanted, 4096, READ_WRITE_EXECUTE, PRIVATE, -1, 0))
        if found == FAILED:  # a host that allows no such page
            return 0
        if buffer - GB < found < buffer + 2 * GB - STEP:
            return found
        _libc().munmap(found, 4096)  # the place was taken, this one is elsewhere
    return 0


@dataclass(frozen=True, slots=True)
class Address:
    """Stands for a compiled hook."""

    address: int


class CallSites:
    """What an engine's blocks need to count themselves; must outlive the engine."""

    def __init__(self, cells: Any, layout: Any, hook: Any, hook_again: Any) -> None:
        """`hook` answers `REPLACED` or 0, `hook_again` nothing; both get a return address as fifth argument."""
        self.address = 0
        """Of the block hook for Unicorn; 0 where calls must stay calls."""
        place = _exit_place(int(cells[c.ENGINE]), layout)
        if place is None:
            return
        check, displacement = place
        buffer = find_code_buffer(int(cells[c.ENGINE]))
        start = _page(buffer) if buffer else 0
        if not start:
            return
        weakref.finalize(self, _libc().munmap, start, 4096)
        code = _enter(hook.address).ljust(64, b"\xcc") + _again(hook_again.address, int(cells[c.ENGINE]), check)
        ctypes.memmove(start, code, len(code))
        for offset, branch in ((COUNTS_BRANCH, True), (COUNTS_OTHER, False)):
            counts = counting_code(displacement, branch)
            ctypes.memmove(start + 64 + int(offset), counts, len(counts))
        self.tracing = Address(start)
        self._descriptions = np.zeros(2 * SITES, np.uint64)
        cells[c.SITES] = self._descriptions.ctypes.data
        cells[c.ENTER], cells[c.AGAIN], cells[c.EXIT_CHECK] = start, start + 64, check
        cells[c.SITE_BASE] = buffer - 256  # no site has number 0
        cells[c.EXIT_PLACE] = displacement & 0xFF
        self.address = start

    def add_tracing(self, cells: Any, hook: Any, hook_again: Any, state: int, code: Any) -> tuple[int, int]:
        """Let `tracing` be the block hook: where what traced blocks call begins, with a branch and without.

        `code` is trace_site.machine_code; `ENTER` must be what it was before when the tracing is over.
        """
        here, entered = self.address + 128, _enter(hook.address)
        displacement = (int(cells[c.EXIT_PLACE]) ^ 0x80) - 0x80
        places = []
        for number, branch in enumerate((True, False)):
            made = code(
                cells[c.SELF], state, displacement, cells[c.ENGINE], cells[c.EXIT_CHECK], hook_again.address, branch
            )
            ctypes.memmove(here + 128 + 512 * number, made, len(made))
            places.append(here + 128 + 512 * number + 80)
        ctypes.memmove(here, entered, len(entered))
        cells[c.ENTER] = here
        self.tracing = Address(here)
        return places[0], places[1]

    @property
    def count(self) -> int:
        """Places in the translated code where a call was replaced at some time."""
        return int(np.count_nonzero(self._descriptions[1::2])) if self.address else 0


def _exit_place(engine: int, layout: Any) -> tuple[int, int] | None:
    """The exit check's address, and where the word that it looks at lies beside the register file."""
    supported = sys.platform == "linux" and platform.machine() == "x86_64"
    if not supported or os.environ.get("LABKIT_INLINE") == "0":
        return None
    try:
        check = int(ctypes.cast(uclib[CHECK_NAME], ctypes.c_void_p).value or 0)
    except AttributeError:
        return None
    code = ctypes.string_at(check, 21)
    if any(not code[at:].startswith(bytes.fromhex(known)) for at, known in CHECK):
        return None
    processor = int.from_bytes(code[3:7], "little")
    displacement = layout.processor + int.from_bytes(code[10:14], "little") - layout.registers
    if ctypes.c_uint64.from_address(engine + processor).value != layout.processor:
        return None
    return (check, displacement) if -128 <= displacement < 0 else None
