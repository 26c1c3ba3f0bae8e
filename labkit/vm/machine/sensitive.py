"""Instructions that Unicorn runs without the check the architecture asks for.

    IN OUT INS OUTS   CPL <= IOPL, or every byte of the port clear in the I/O permission bitmap   else #GP(0)
    RDTSC             CPL = 0 or CR4.TSD = 0                                                      else #GP(0)
    SYSENTER          IA32_SYSENTER_CS is not null                                                else #GP(0)
    CMPXCHG8B         no check, but see `Processor._give_flags`

The bitmap lies in the task-state segment, at the offset held in its last word (SDM volume 1, 19.5.2):

    TSS + 66h: | offset of the bitmap |   bitmap: one bit a port, followed by a byte of ones
"""

import ctypes
from collections.abc import Iterator

from labkit.vm.machine.memory import Memory
from labkit.vm.machine.paging import translate
from labkit.vm.machine.probes import decode
from labkit.vm.machine.registers import TR, RegisterFile

__all__ = ["check", "first", "io_allowed", "locate", "whole_instructions"]

GP = 13
VM, TSD = 0x20000, 4
KINDS = decode.IO | decode.TSC | decode.SYSENTER | decode.CX8
PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")


def _instructions(code: bytes, registers: RegisterFile) -> Iterator[tuple[int, int]]:
    """Byte offset and kinds of each instruction in a block's bytes."""
    padded = ctypes.create_string_buffer(code, len(code) + 16)
    start, at = ctypes.addressof(padded), 0
    wide = 1 if registers.hflags & 0x10 else 0
    while at < len(code):
        found = int(decode.instruction(start + at, wide))
        yield at, found
        at += found & decode.LENGTH


def first(code: bytes, registers: RegisterFile, but_not: int = 0) -> tuple[int, int]:
    """Index and kind of the first sensitive instruction in a block's bytes."""
    for index, (_at, found) in enumerate(_instructions(code, registers)):
        if found & KINDS & ~but_not:
            return index, found & KINDS
    return 0, 0


def whole_instructions(code: bytes, registers: RegisterFile) -> tuple[int, int]:
    """How many instructions lie wholly in these bytes, and how many bytes they take."""
    count = end = 0
    for at, found in _instructions(code, registers):
        if at + (found & decode.LENGTH) > len(code):
            break
        count, end = count + 1, at + (found & decode.LENGTH)
    return count, end


def locate(code: bytes, registers: RegisterFile, kind: int) -> list[int]:
    """Byte offsets of the instructions of that kind in a block's bytes."""
    return [at for at, found in _instructions(code, registers) if found & kind]


def check(kind: int, code: bytes, registers: RegisterFile, memory: Memory) -> int | None:
    """The exception that the instruction at the processor's EIP raises instead of running; None for none."""
    if kind & decode.IO:
        port, size = _port(code, registers)
        return None if io_allowed(port, size, registers, memory) else GP
    if kind & decode.TSC:
        return GP if registers.cr4 & TSD and registers.cpl else None
    if kind & decode.SYSENTER:
        return None if registers.sysenter_cs & 0xFFFC else GP
    return None


def _port(code: bytes, registers: RegisterFile) -> tuple[int, int]:
    """Port and size of an I/O instruction."""
    at, wide = 0, bool(registers.hflags & 0x10)
    while code[at] in PREFIXES:
        if code[at] == 0x66:
            wide = not wide
        at += 1
    opcode = code[at]
    size = 1 if not opcode & 1 else 4 if wide else 2
    port = code[at + 1] if 0xE4 <= opcode <= 0xE7 else int(registers.general[2]) & 0xFFFF
    return port, size


def io_allowed(port: int, size: int, registers: RegisterFile, memory: Memory) -> bool:
    """May the running program use these ports?"""
    if not registers.cr0 & 1:
        return True
    if registers.cpl <= registers.iopl and not registers.eflags & VM:
        return True
    tr = registers.segments[TR]
    if (tr.flags >> 8 & 0xD) != 0x9 or tr.limit < 0x67:  # a 32-bit TSS, busy or not
        return False
    offset = _read16(registers, memory, tr.base + 0x66)
    at = offset + port // 8
    if at + 1 > tr.limit:
        return False
    bits = _read16(registers, memory, tr.base + at) >> port % 8
    return bits & (1 << size) - 1 == 0


def _read16(registers: RegisterFile, memory: Memory, linear: int) -> int:
    parts = []
    for address in (linear, linear + 1):
        physical = translate(registers, memory, address & 0xFFFFFFFF)
        parts.append(memory.read(physical, 1)[0] if physical is not None else 0xFF)
    return parts[0] | parts[1] << 8


