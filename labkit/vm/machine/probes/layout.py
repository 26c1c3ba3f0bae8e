"""Where Unicorn keeps the processor's registers: its private layout, found and checked at start.

Unicorn's public interface hides what a monitor needs: the current privilege level, the segment caches, error
codes. They lie in QEMU's `CPUX86State`. The structure is found by writing a pattern into the general
registers and searching for it; every field used is then checked by writing it through the public interface,
so that another version or build is refused rather than corrupted.

    CPUX86State (Unicorn 2.1.4, target x86-64, which also runs 32-bit code)
       0 regs[16] u64     128 eip      136 eflags     152 cc_src    168 cc_op    172 df    176 hflags
     184 segs[6] {selector u32, pad, base u64, limit u32, flags u32}   ES CS SS DS FS GS
     328 ldt   352 tr   376 gdt   400 idt   424 cr[5] u64   592 efer   4800 sysenter_cs, _esp, _eip
     from the end: -184 error_code  -180 exception_is_int  -168 dr[8]  -72 old_exception
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import unicorn
from unicorn import x86_const as x86

__all__ = ["SUPPORTED", "WINDOW", "Layout", "LayoutError", "SafeReader", "find_layout"]

SUPPORTED = "2.1.4"

EIP, EFLAGS, CC_SRC, CC_OP, DF, HFLAGS, SEGMENTS, CONTROL, EFER = 128, 136, 152, 168, 172, 176, 184, 424, 592
GDT_BASE, GDT_LIMIT, LDT_BASE, LDT_LIMIT, TR_BASE, TR_LIMIT, TR_FLAGS = 384, 392, 336, 344, 360, 368, 372
CS_BASE = SEGMENTS + 24 + 8
HFLAGS2 = HFLAGS + 4  # what is not compared when code is looked up: nonmaskable interrupts among it
CR0, CR2, CR3, CR4 = CONTROL, CONTROL + 16, CONTROL + 24, CONTROL + 32
SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP = 4800, 4808, 4816
ERROR_CODE_END, IS_SOFTWARE_END, DEBUG_END, OLD_EXCEPTION_END = 184, 180, 168, 72

PATTERN = tuple(0x1B2A3C00 + i * 0x01010101 for i in range(8))
GENERAL = (
    x86.UC_X86_REG_EAX, x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDX, x86.UC_X86_REG_EBX,
    x86.UC_X86_REG_ESP, x86.UC_X86_REG_EBP, x86.UC_X86_REG_ESI, x86.UC_X86_REG_EDI,
)  # fmt: skip
WINDOW = 0x10000

_known: tuple[int, int] | None = None  # offset of the pointer in the engine, of the registers behind it


class LayoutError(RuntimeError):
    """The installed Unicorn is not one whose registers labkit can reach."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Unicorn {unicorn.__version__}: {what}; labkit needs the {SUPPORTED} wheel: "
            f"run `pip install unicorn=={SUPPORTED}`"
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Host addresses of the processor's hidden state."""

    registers: int
    size: int
    processor: int
    """The structure (CPUState) that they are the end of."""

    @property
    def error_code(self) -> int:
        """Host address of the last exception's error code (i32)."""
        return self.registers + self.size - ERROR_CODE_END

    @property
    def is_software(self) -> int:
        """Host address of the flag that tells INT n from a fault (i32)."""
        return self.registers + self.size - IS_SOFTWARE_END

    @property
    def debug(self) -> int:
        """Host address of DR0..DR7 (u64 each)."""
        return self.registers + self.size - DEBUG_END

    @property
    def old_exception(self) -> int:
        """Host address of the double-fault detector's memory (i32), which Unicorn never clears."""
        return self.registers + self.size - OLD_EXCEPTION_END


class SafeReader:
    """Reads memory of this process that may not be mapped: the kernel copies it into a pipe, or refuses."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        self._write = ctypes.CDLL(None, use_errno=True).write
        self._write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
        self._write.restype = ctypes.c_ssize_t

    def read(self, address: int, size: int) -> bytes:
        """Up to `size` bytes, fewer where unmapped memory follows."""
        parts = []
        while size > 0:
            count = self._write(self._in, address, min(size, 4096 - (address & 4095)))
            if count <= 0:
                break
            parts.append(os.read(self._out, count))
            address, size = address + count, size - count
        return b"".join(parts)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._out)
        os.close(self._in)


def find_layout(engine: Any) -> Layout:
    """Find and check the register file of a fresh Unicorn engine (32-bit x86, nothing run yet).

    Raises `LayoutError` with the supported version when the private layout is another.
    """
    if unicorn.__version__ != SUPPORTED:
        raise LayoutError("unknown private layout")
    for register, value in zip(GENERAL, PATTERN, strict=True):
        engine.reg_write(register, value)
    reader = SafeReader()
    try:
        processor, registers = _search(engine._uch.value, reader)
    finally:
        reader.close()
    for register in GENERAL:
        engine.reg_write(register, 0)
    context = engine.context_save()
    size = struct.unpack("<Q", ctypes.string_at(context._context, 8))[0]
    layout = Layout(registers, size, processor)
    _verify(engine, layout)
    return layout


def _search(engine: int, reader: SafeReader) -> tuple[int, int]:
    global _known
    key = struct.pack("<8Q", *PATTERN)
    if _known is not None:
        pointer = struct.unpack("<Q", ctypes.string_at(engine + _known[0], 8))[0]
        if reader.read(pointer + _known[1], len(key)) == key:
            return int(pointer), int(pointer + _known[1])
    found = max(_candidates(engine, reader, key), default=None)
    if found is not None:
        pointer, at, registers = found
        _known = (at, registers - pointer)
        return pointer, registers
    raise LayoutError("the register file was not found")


def _candidates(engine: int, reader: SafeReader, key: bytes) -> Iterator[tuple[int, int, int]]:
    """What the engine points at with the registers behind it: address, place of the pointer, registers.

    Anything that the allocator has put in front of the processor looks like this too. The processor is what
    lies nearest, and points back at its engine.
    """
    block, back = reader.read(engine, 0x1000), struct.pack("<Q", engine)
    for at in range(0, len(block) - 7, 8):
        pointer = struct.unpack_from("<Q", block, at)[0]
        if pointer < 0x10000 or pointer & 7 or pointer >> 47:
            continue
        before, found, _ = reader.read(pointer, WINDOW).partition(key)
        if found and back in before:
            yield pointer, at, pointer + len(before)


def _verify(engine: Any, layout: Layout) -> None:
    """Write through the public interface, read at the private address."""

    def word(offset: int, kind: Any = ctypes.c_uint32) -> int:
        return int(kind.from_address(layout.registers + offset).value)

    def expect(name: str, offset: int, value: int) -> None:
        if word(offset) != value:
            raise LayoutError(f"{name} is not where it was expected")

    checks = (
        ("EIP", x86.UC_X86_REG_EIP, EIP, 0x00123456),
        ("CR2", x86.UC_X86_REG_CR2, CR2, 0x00ABC123),
        ("CR3", x86.UC_X86_REG_CR3, CR3, 0x00345000),
    )
    for name, register, offset, value in checks:
        before = engine.reg_read(register)
        engine.reg_write(register, value)
        expect(name, offset, value)
        engine.reg_write(register, before)
    for name, register, offset in (("GDTR", x86.UC_X86_REG_GDTR, 376), ("IDTR", x86.UC_X86_REG_IDTR, 400)):
        engine.reg_write(register, (0, 0x4567000, 0x7F7, 0))
        expect(f"{name} base", offset + 8, 0x4567000)
        expect(f"{name} limit", offset + 16, 0x7F7)
        engine.reg_write(register, (0, 0, 0, 0))
    sysenter = (
        ("SYSENTER_CS", 0x174, SYSENTER_CS),
        ("SYSENTER_ESP", 0x175, SYSENTER_ESP),
        ("SYSENTER_EIP", 0x176, SYSENTER_EIP),
    )
    for name, msr, offset in sysenter:
        engine.reg_write(x86.UC_X86_REG_MSR, (msr, 0x1234))
        expect(name, offset, 0x1234)
        engine.reg_write(x86.UC_X86_REG_MSR, (msr, 0))
    if ctypes.c_int32.from_address(layout.old_exception).value != -1:
        raise LayoutError("the double-fault detector is not where it was expected")
