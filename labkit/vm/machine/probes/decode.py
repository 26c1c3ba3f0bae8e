"""Instruction lengths and kinds of x86-32, compiled: how many instructions a block holds, and what kind.

    prefixes* | opcode | ModRM | SIB | displacement | immediate
                1..3     0..1    0..1  0,1,2,4        0..6 bytes

Only what the clock and the checks need is decoded. Capstone decodes for people; the tests compare the two.
Source: Intel SDM volume 2, appendix A (opcode maps).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load8

__all__ = [
    "BRANCH", "CX8", "ENABLES", "FLUSHING", "INFO_COUNT", "IO", "LENGTH", "REP", "REP_FIRST", "SEGMENT_CHECK",
    "SEGMENT_KINDS", "SEGMENT_LOAD", "SENSITIVE", "SYSENTER", "TSC", "USES_FS", "USES_GS", "boundary", "instruction",
    "retired_before", "survey",
]  # fmt: skip

# attributes of an opcode
MODRM, IMM8, IMMZ, IMM16, MOFFS, PREFIX, GROUP3 = 1, 2, 4, 8, 16, 32, 64


def _one_byte() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for row in range(0, 0x40, 8):
        table[row : row + 4] = MODRM
        table[row + 4], table[row + 5] = IMM8, IMMZ
    for prefix in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3):
        table[prefix] = PREFIX
    table[0x62] = table[0x63] = MODRM
    table[0x68], table[0x69], table[0x6A], table[0x6B] = IMMZ, MODRM | IMMZ, IMM8, MODRM | IMM8
    table[0x70:0x80] = IMM8
    table[0x80:0x84] = MODRM | IMM8
    table[0x81] = MODRM | IMMZ
    table[0x84:0x90] = MODRM
    table[0x9A] = table[0xEA] = IMMZ | IMM16
    table[0xA0:0xA4] = MOFFS
    table[0xA8], table[0xA9] = IMM8, IMMZ
    table[0xB0:0xB8], table[0xB8:0xC0] = IMM8, IMMZ
    table[0xC0] = table[0xC1] = table[0xC6] = MODRM | IMM8
    table[0xC2] = table[0xCA] = IMM16
    table[0xC4] = table[0xC5] = MODRM
    table[0xC7] = MODRM | IMMZ
    table[0xC8] = IMM16 | IMM8
    table[0xCD] = table[0xD4] = table[0xD5] = table[0xEB] = IMM8
    table[0xD0:0xD4] = table[0xD8:0xE0] = MODRM
    table[0xE0:0xE8] = IMM8
    table[0xE8] = table[0xE9] = IMMZ
    table[0xF6], table[0xF7] = MODRM | GROUP3 | IMM8, MODRM | GROUP3 | IMMZ
    table[0xFE] = table[0xFF] = MODRM
    return table


def _two_byte() -> npt.NDArray[np.uint8]:
    table = np.full(256, MODRM, np.uint8)
    table[0x04:0x0D] = 0
    table[0x0E], table[0x0F] = 0, MODRM | IMM8
    table[0x30:0x38] = 0
    table[0x70:0x74] = MODRM | IMM8
    table[0x77] = 0
    table[0x80:0x90] = IMMZ
    table[0xA0:0xA3] = table[0xA8:0xAB] = 0
    table[[0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6]] = MODRM | IMM8
    table[0xC8:0xD0] = 0
    return table


ONE, TWO = _one_byte(), _two_byte()

# what `instruction` returns: length in the low 5 bits, then these kinds (the same bits serve a whole block)
BRANCH = 1 << 16  # control transfer: jumps, calls, returns, loops, INT n, IRET, SYSENTER, SYSEXIT (not INTO)
REP = 1 << 17  # repeated string instruction
IO = 1 << 18  # IN, OUT, INS, OUTS: checked against IOPL and the I/O permission bitmap
TSC = 1 << 19  # RDTSC: checked against CR4.TSD
SYSENTER = 1 << 20
CX8 = 1 << 21  # CMPXCHG8B: Unicorn gives it stale flags unless it begins a block (see processor.py)
REP_FIRST = 1 << 22  # block only: its first instruction is REP
SENSITIVE = 1 << 23  # block only: IO, TSC, SYSENTER, FLUSHING, FAR_CALL, or CX8 behind another instruction
FLUSHING = 1 << 15  # INVLPG, MOV to CR3: translations of addresses die
ENABLES = 1 << 14  # its last instruction may set IF: STI, POPF, IRET, far jumps and calls (a task switch), SYSRET
USES_FS, USES_GS = 1 << 10, 1 << 11  # a segment prefix
SEGMENT_LOAD = 1 << 12  # may load a segment register
SEGMENT_CHECK = 1 << 13  # far call or return, store through CS; block only: loads a segment and goes on with it
SEGMENT_KINDS = USES_FS | USES_GS | SEGMENT_LOAD | SEGMENT_CHECK  # for the segmentation unit
FAR_CALL = BRANCH | ENABLES | SEGMENT_LOAD | SEGMENT_CHECK  # all of them together: a far call, or IRET
INFO_COUNT = 0x3FF  # block only: number of instructions
LENGTH = 0x1F


@entry("i64(u64, i64)")
def instruction(p: Any, wide: Any) -> Any:
    """Length and kind of the instruction at host address `p`, 15 bytes at most; `wide` is the D bit of CS."""
    operand, address, repeat, kind, code = wide, wide, 0, 0, 0
    i = np.uint64(0)
    op = load8(p)
    while ONE[op] & PREFIX and i < 14:
        if op == 0x66:
            operand = 1 - wide
        elif op == 0x67:
            address = 1 - wide
        elif op == 0xF2 or op == 0xF3:
            repeat = 1
        elif op == 0x64:
            kind |= USES_FS
        elif op == 0x65:
            kind |= USES_GS
        elif op == 0x2E:
            code = 1
        i += np.uint64(1)
        op = load8(p + i)
    i += np.uint64(1)
    if (op == 0xC4 or op == 0xC5) and wide and load8(p + i) >= 0xC0:
        # VEX: no LES or LDS has a register operand. One byte of it, or two that name the opcode map; then 0F ...
        escape = 1
        if op == 0xC4:
            escape = load8(p + i) & 31
            i += np.uint64(1)
        i += np.uint64(1)
        attributes = TWO[load8(p + i)]
        if escape != 1:
            attributes = np.uint8(MODRM if escape == 2 else MODRM | IMM8)
        i += np.uint64(1)
    elif op == 0x0F:
        op2 = load8(p + i)
        i += np.uint64(1)
        attributes = TWO[op2]
        if op2 == 0x38 or op2 == 0x3A:
            i += np.uint64(1)
            attributes = np.uint8(MODRM if op2 == 0x38 else MODRM | IMM8)
        elif op2 == 0x01 and (load8(p + i) >> 3) & 7 == 7 and load8(p + i) < 0xC0:
            kind |= FLUSHING
        elif op2 == 0x22 and (load8(p + i) >> 3) & 7 == 3:
            kind |= FLUSHING
        elif op2 == 0x31:
            kind |= TSC
        elif op2 == 0x34:
            kind |= SYSENTER | BRANCH
        elif op2 == 0x07:
            kind |= BRANCH | ENABLES
        elif op2 == 0x35 or op2 == 0x05 or (op2 & 0xF0) == 0x80:
            kind |= BRANCH
        elif op2 == 0xC7 and (load8(p + i) >> 3) & 7 == 1:
            kind |= CX8
        if op2 == 0x05 or op2 == 0x07 or op2 == 0x22 or op2 == 0x34 or op2 == 0x35 or op2 == 0xA1 or op2 == 0xA9:
            kind |= SEGMENT_LOAD  # SYSCALL, SYSRET, MOV CR (protected mode begins), SYSENTER, SYSEXIT, POP FS, POP GS
        elif op2 == 0xB2 or op2 == 0xB4 or op2 == 0xB5 or (op2 == 0x01 and (load8(p + i) >> 3) & 7 == 6):
            kind |= SEGMENT_LOAD  # LSS, LFS, LGS, LMSW
        if 0x20 <= op2 <= 0x26:  # MOV CR/DR/TR: ModRM always names registers
            return np.int64(i + np.uint64(1)) | kind
    else:
        attributes = ONE[op]
        if op == 0xFB or op == 0x9D:
            kind |= ENABLES
        elif op == 0x9A or op == 0xEA or op == 0xCF:
            kind |= BRANCH | ENABLES
        elif (op & 0xF0) == 0x70 or 0xE0 <= op <= 0xE3 or (0xE8 <= op <= 0xEB):
            kind |= BRANCH
        elif op == 0xC2 or op == 0xC3 or op == 0xCA or op == 0xCB:
            kind |= BRANCH
        elif op == 0xCC or op == 0xCD:
            kind |= BRANCH
        elif op == 0xFF and 2 <= ((load8(p + i) >> 3) & 7) <= 5:
            kind |= BRANCH | (ENABLES if (load8(p + i) >> 3) & 1 else 0)
        elif 0xE4 <= op <= 0xE7 or 0xEC <= op <= 0xEF:
            kind |= IO
        elif 0x6C <= op <= 0x6F:
            kind |= IO | (REP if repeat else 0)
        elif repeat and (0xA4 <= op <= 0xA7 or 0xAA <= op <= 0xAF):
            kind |= REP
        if op == 0x07 or op == 0x17 or op == 0x1F or op == 0x8E or op == 0xC4 or op == 0xC5:
            kind |= SEGMENT_LOAD
        elif op == 0x9A or op == 0xCA or op == 0xCB or op == 0xCF:
            kind |= SEGMENT_LOAD | SEGMENT_CHECK
        elif op == 0xEA or (op == 0xFF and (load8(p + i) >> 3) & 7 == 5):
            kind |= SEGMENT_LOAD
        elif op == 0xFF and (load8(p + i) >> 3) & 7 == 3:
            kind |= SEGMENT_LOAD | SEGMENT_CHECK
        if code and (attributes & MODRM or op == 0xA2 or op == 0xA3) and op != 0xFF:
            kind |= SEGMENT_CHECK
    if attributes & MODRM:
        modrm = load8(p + i)
        i += np.uint64(1)
        mod, rm = modrm >> 6, modrm & 7
        if mod != 3:
            if address:
                if rm == 4:
                    base = load8(p + i) & 7
                    i += np.uint64(1)
                    if mod == 0 and base == 5:
                        i += np.uint64(4)
                elif mod == 0 and rm == 5:
                    i += np.uint64(4)
                if mod == 1:
                    i += np.uint64(1)
                elif mod == 2:
                    i += np.uint64(4)
            elif (mod == 0 and rm == 6) or mod == 2:
                i += np.uint64(2)
            elif mod == 1:
                i += np.uint64(1)
        if attributes & GROUP3 and (modrm >> 3) & 7 > 1:
            attributes = np.uint8(0)  # only TEST has an immediate
    if attributes & IMM8:
        i += np.uint64(1)
    if attributes & IMMZ:
        i += np.uint64(4 if operand else 2)
    if attributes & IMM16:
        i += np.uint64(2)
    if attributes & MOFFS:
        i += np.uint64(4 if address else 2)
    return np.int64(min(i, np.uint64(15))) | kind


@entry("i64(u64, u64, i64)")
def survey(p: Any, size: Any, wide: Any) -> Any:
    """What a block of `size` bytes at `p` holds: instruction count and kinds, as block info."""
    at, count, kinds, first, sensitive, loaded = np.uint64(0), 0, 0, 1, 0, False
    while at < size and count < INFO_COUNT:
        found = instruction(p + at, wide)
        if first and found & REP:
            kinds |= REP_FIRST
        kinds = (kinds & ~(BRANCH | REP)) | (found & ~LENGTH)
        if found & (IO | TSC | SYSENTER | FLUSHING) or (found & CX8 and not first) or found & FAR_CALL == FAR_CALL:
            sensitive |= SENSITIVE
        if loaded and (found & (USES_FS | USES_GS) or not wide):
            sensitive |= SEGMENT_CHECK
        loaded = loaded or found & SEGMENT_LOAD != 0
        first = 0
        count += 1
        at += np.uint64(found & LENGTH)
    return count | kinds | sensitive


@entry("i64(u64, u64, i64, i64)")
def boundary(p: Any, size: Any, wide: Any, count: int) -> Any:
    """Byte offset of instruction number `count` (from 0) in the block at `p`, or `size`."""
    at = np.uint64(0)
    while count > 0 and at < size:
        at += np.uint64(instruction(p + at, wide) & LENGTH)
        count -= 1
    return np.int64(min(at, np.uint64(size)))


@njit()
def retired_before(p: Any, size: Any, wide: Any, offset: Any) -> Any:
    """How many instructions of the block at `p` begin before byte `offset`."""
    at, count = np.uint64(0), 0
    while at < size and at < offset:
        at += np.uint64(instruction(p + at, wide) & LENGTH)
        count += 1
    return count
