"""Noting in place: the call of the block hook of traced code, replaced by a call of a few instructions of ours.

As in call_site.py, whose drawing of the two calls before each block is the left side here too:

     0  b8 count         mov eax, count
     5  b9 number        mov ecx, number of the block
    10  ba site          mov edx, number of the site
    15  e8 ...           call (below)
    20  eb 1e            jmp 52        (eb 1f: 53, where the exit check is the longer call)
    35  ...              as before: what the hook that has replaced its call returns to

What is called adds to the clock and the branches and writes a pass, as trace.py does it; where there is more to
do (a stop, a full buffer, another address space) it goes to the hook.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.call_site import (
    AGAIN,
    CALL,
    CALLS_ONLY,
    LONGEST,
    MASK32,
    SITES,
    _is_known,
    unfold,
)
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import BRANCH, INFO_COUNT
from labkit.vm.machine.probes.exit_checks import drop_exit_checks
from labkit.vm.machine.probes.intrinsics import load16, store8, store16, store32, store64
from labkit.vm.machine.probes.trace_words import get

__all__ = ["machine_code", "note_in_place"]

U = np.uint64
BACK = U(20)  # offset in a site of the return address of its call


@njit(inlining="never")
def note_in_place(a, t, back, number, linear, size, info):  # type: ignore[no-untyped-def]
    """Let the block note itself from now on, whose hook returns to `back`, where it may."""
    if info & U(CALLS_ONLY) or (info & U(INFO_COUNT)) > LONGEST:
        return
    called = get(t, w.ON_BRANCH) if info & U(BRANCH) else get(t, w.ON_OTHER)
    site = back - CALL
    index = (site - a[c.SITE_BASE]) >> U(8)
    far = np.int64(called) - np.int64(site + BACK)
    if called == U(0) or index >= U(SITES) or far != np.int64(np.int32(far)) or not _is_known(a, site, linear, size):
        return
    unfold(a)  # the description may be that of a block which is no more, except here
    at = a[c.SITES] + (index << U(4))
    store64(at, linear | (size << U(32)))
    store64(at + U(8), info)
    store8(site, np.uint8(0xB8))
    store32(site + U(1), np.uint32(info & U(INFO_COUNT)))
    store8(site + U(5), np.uint8(0xB9))
    store32(site + U(6), np.uint32(number))
    store8(site + U(10), np.uint8(0xBA))
    store32(site + U(11), np.uint32(index))
    store8(site + U(15), np.uint8(0xE8))
    store32(site + U(16), np.uint32(U(far) & MASK32))
    far_check = load16(site + U(47)) == 0x15FF  # which is a byte longer
    store16(site + U(20), np.uint16(0x1FEB) if far_check else np.uint16(0x1EEB))
    drop_exit_checks(a, site, linear, size)


def _disp(word: int) -> str:
    return f"{8 * word:02x}"


def _jump(code: bytes, condition: str, to: int) -> bytes:
    """A long jump at the end of `code`."""
    return code + bytes.fromhex(f"0f{condition}") + (to - len(code) - 6).to_bytes(4, "little", signed=True)


def machine_code(
    cells: int, state: int, exit_place: int, engine: int, check: int, again: int, branch: bool,
    *, memory: bool, registers: bool,
) -> bytes:  # fmt: skip
    """What a traced block calls; the slow way lies in front, 80 bytes, and the entrance behind it.

    How many references and states there have been is looked at where `memory` and `registers` are traced; else 0.
    """
    slow = (
        bytes.fromhex("4c8b0424 4983c0") + bytes([int(AGAIN - BACK)])  # mov r8, [rsp]; add r8, 30
        + bytes.fromhex("4883ec08 48b9") + cells.to_bytes(8, "little")  # sub rsp, 8; mov rcx, cells
        + bytes.fromhex("48b8") + again.to_bytes(8, "little")  # mov rax, hook
        + bytes.fromhex("ffd0 4883c408")  # call rax; add rsp, 8
        + bytes.fromhex("48bf") + engine.to_bytes(8, "little") + bytes.fromhex("33f6")  # mov rdi, engine; xor esi, esi
        + bytes.fromhex("48b8") + check.to_bytes(8, "little") + bytes.fromhex("ffe0")  # mov rax, exit check; jmp rax
    ).ljust(80, b"\xcc")  # fmt: skip
    code = slow + bytes.fromhex("48be") + cells.to_bytes(8, "little")  # mov rsi, cells
    code += bytes.fromhex(f"480346{_disp(c.CLOCK)} 483b46{_disp(c.LIMIT)}")  # add rax, [CLOCK]; cmp rax, [LIMIT]
    code = _jump(code, "87", 0)  # ja slow
    code += bytes.fromhex(f"837d{exit_place & 0xFF:02x}00")  # cmp dword [rbp + exit request], 0
    code = _jump(code, "88", 0)  # js
    code += bytes.fromhex("48bf") + state.to_bytes(8, "little")  # mov rdi, state
    code += bytes.fromhex("448b85") + layout.CR3.to_bytes(4, "little")  # mov r8d, [rbp + CR3]
    code += bytes.fromhex(f"4c3b47{_disp(w.LAST_SPACE)}")  # cmp r8, [LAST_SPACE]
    code = _jump(code, "85", 0)  # jne
    code += bytes.fromhex(f"4c8b47{_disp(w.PLACE)} 4c3b47{_disp(w.PLACE_HIGH)}")  # mov r8, [PLACE]; cmp r8, [.. HIGH]
    code = _jump(code, "83", 0)  # jae
    if memory:
        code += bytes.fromhex(f"4c8b4f{_disp(w.REFS)} 4c3b4f{_disp(w.REFS_HIGH)}")  # the same of r9, REFS
        code = _jump(code, "83", 0)
    if registers:
        code += bytes.fromhex(f"4c8b57{_disp(w.STATES)} 4c3b57{_disp(w.STATES_HIGH)}")  # the same of r10, STATES
        code = _jump(code, "83", 0)
    code += bytes.fromhex("418908")  # mov [r8], ecx
    code += bytes.fromhex("45894804" if memory else "41c7400400000000")  # [r8 + 4], r9d or 0
    code += bytes.fromhex(f"488b4e{_disp(c.CLOCK)} 41894808")  # [r8 + 8], CLOCK
    code += bytes.fromhex("4589500c" if registers else "41c7400c00000000")  # [r8 + 12], r10d or 0
    code += bytes.fromhex(f"4983c010 4c8947{_disp(w.PLACE)}")  # add r8, 16; mov [PLACE], r8
    code += bytes.fromhex(f"488946{_disp(c.CLOCK)} 488956{_disp(c.SITE)}")  # mov [CLOCK], rax; mov [SITE], rdx
    if branch:
        code += bytes.fromhex(f"48ff46{_disp(c.BRANCHES)}")  # inc [BRANCHES]
    return code + b"\xc3"
