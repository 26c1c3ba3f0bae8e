"""Counting in place behind a guard: two more forms of call_site.py's blocks that count themselves.

    FS or GS (segmentation unit)                      a page check (translated code)
     0  48 b9 cells      mov rcx, cells               0  48 b9 cells    mov rcx, cells
    10  f7 81 .. kinds   test [rcx + MASK], kinds    10  48 b8 seen     mov rax, the page's byte in TC_SEEN
    20  75 17            jnz 45                      20  80 38 00       cmp byte [rax], 0
    22  ba site          mov edx, site               23  74 14          je 45
    27  b8 count         mov eax, count              25  83 7d .. 00    cmp dword [rbp + exit request], 0
    32  e8 ...           call counts                 29  78 0e          js 45
    37  75 06            jnz 45                      31  eb 13          jmp 52
    39  eb 0b            jmp 52
    45  e8 ...           call again                  45  e8 ...         call again

On the left a block may run uncounted by the hook while its segment is plain (segments.py): SEGMENT_MASK holds its
kind otherwise. `counts` is machine code of ours, one for blocks that end with a branch and one for others; it answers
with ZF whether it has counted. On the right is a block that retires nothing.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.decode import BRANCH, INFO_COUNT, USES_FS, USES_GS
from labkit.vm.machine.probes.intrinsics import store8, store16, store32, store64

__all__ = ["COUNTS_BRANCH", "COUNTS_OTHER", "GUARDED", "counting_code", "write_guarded", "write_page_check"]

U = np.uint64
GUARDED = USES_FS | USES_GS
COUNTS_BRANCH, COUNTS_OTHER = U(2048 - 64), U(2048)  # where `counts` lies, from AGAIN on
MASK = U(8 * c.SEGMENT_MASK)


def counting_code(exit_place: int, branch: bool) -> bytes:
    """What a guarded block calls to be counted: rcx is the cells, eax its count, edx its site."""
    code = bytes.fromhex(f"480301 483b41{8 * c.LIMIT:02x}")  # add rax, [rcx + CLOCK]; cmp rax, [rcx + LIMIT]
    code += bytes.fromhex(f"7713 837d{exit_place & 0xFF:02x}00 780d")  # ja no; cmp dword [rbp + exit], 0; js no
    code += bytes.fromhex(f"488901 8951{8 * c.SITE:02x}")  # mov [rcx + CLOCK], rax; mov [rcx + SITE], edx
    code += bytes.fromhex(f"48ff41{8 * c.BRANCHES:02x}" if branch else "90909090")  # inc qword [rcx + BRANCHES]
    return code + bytes.fromhex("31c0 c3 0c01 c3")  # xor eax, eax; ret; no: or al, 1; ret


@njit()
def _call(site, at, to):  # type: ignore[no-untyped-def]
    store8(site + at, np.uint8(0xE8))
    store32(site + at + U(1), np.uint32((to - site - at - U(5)) & U(0xFFFFFFFF)))


@njit()
def _again(a, site):  # type: ignore[no-untyped-def]
    _call(site, U(45), a[c.AGAIN])
    store16(site + U(50), np.uint16(0x9066))


@njit()
def write_guarded(a, site, number, info):  # type: ignore[no-untyped-def]
    """Let the block at `site`, which uses FS or GS, count itself while that is plain."""
    store16(site, np.uint16(0xB948))
    store64(site + U(2), a[c.SELF])
    store16(site + U(10), np.uint16(0x81F7))
    store32(site + U(12), np.uint32(MASK))
    store32(site + U(16), np.uint32(info & U(GUARDED)))
    store16(site + U(20), np.uint16(0x1775))
    store8(site + U(22), np.uint8(0xBA))
    store32(site + U(23), np.uint32(number))
    store8(site + U(27), np.uint8(0xB8))
    store32(site + U(28), np.uint32(info & U(INFO_COUNT)))
    _call(site, U(32), a[c.AGAIN] + (COUNTS_BRANCH if info & U(BRANCH) else COUNTS_OTHER))
    store32(site + U(37), np.uint32(0x0BEB0675))
    _again(a, site)


@njit()
def write_page_check(a, site, page):  # type: ignore[no-untyped-def]
    """Let the block at `site`, which is a page check and nothing else, look at the page's byte itself."""
    store16(site, np.uint16(0xB948))
    store64(site + U(2), a[c.SELF])
    store16(site + U(10), np.uint16(0xB848))
    store64(site + U(12), a[c.TC_SEEN] + page)
    store32(site + U(20), np.uint32(0x74003880))
    store8(site + U(24), np.uint8(0x14))
    store32(site + U(25), np.uint32(U(0x7D83) | (a[c.EXIT_PLACE] << U(16))))
    store32(site + U(29), np.uint32(0x13EB0E78))
    _again(a, site)
