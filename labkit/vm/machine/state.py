"""Registers and execution points: what can be said about the processor between two instructions."""

import hashlib
import struct
from dataclasses import astuple, dataclass

__all__ = ["GENERAL", "SEGMENTS", "ExecutionPoint", "Registers", "Segment"]

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")

FLAG_NAMES = {
    0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF", 14: "NT", 16: "RF",
    17: "VM", 18: "AC",
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class ExecutionPoint:
    """One instruction boundary of the guest.

    `instructions` counts retired instructions, each iteration of a repeated string instruction as one (as
    QEMU's icount does), and orders points by itself. The classic triple of US 7,844,954 is (`branches`,
    `eip`, `repetitions`): retired control transfers, instruction pointer, iterations done of the current
    repeated instruction since it was (re)started.
    """

    instructions: int
    branches: int
    eip: int
    repetitions: int = 0

    def __str__(self) -> str:
        text = f"{self.instructions:,}".replace(",", " ") + f" at {self.eip:08x}"
        return text + (f" repetition {self.repetitions}" if self.repetitions else "")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment register: selector, and the hidden part that the processor really uses (SDM 3A, 3.4.3)."""

    selector: int
    base: int
    limit: int
    attributes: int

    def __str__(self) -> str:
        return f"{self.selector:04x} base {self.base:08x} limit {self.limit:08x}"


@dataclass(frozen=True, slots=True)
class Registers:
    """All architectural registers but the floating-point ones, as they stand between two instructions."""

    eax: int
    ecx: int
    edx: int
    ebx: int
    esp: int
    ebp: int
    esi: int
    edi: int
    eip: int
    eflags: int
    es: Segment
    cs: Segment
    ss: Segment
    ds: Segment
    fs: Segment
    gs: Segment
    ldtr: Segment
    tr: Segment
    gdtr: tuple[int, int]
    idtr: tuple[int, int]
    cr0: int
    cr2: int
    cr3: int
    cr4: int
    efer: int
    cpl: int
    debug: tuple[int, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the flags that are set."""
        return tuple(name for bit, name in FLAG_NAMES.items() if self.eflags >> bit & 1)

    def sha256(self) -> str:
        """Fingerprint of all registers; equal states give equal fingerprints."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()

    def pack_general(self) -> bytes:
        """The eight general registers, EIP and EFLAGS as ten little-endian words."""
        return struct.pack("<10I", *(getattr(self, name) for name in (*GENERAL, "eip", "eflags")))

    def __str__(self) -> str:
        lines = [
            "  ".join(f"{name} {getattr(self, name):08x}" for name in GENERAL[:4]),
            "  ".join(f"{name} {getattr(self, name):08x}" for name in GENERAL[4:]),
            f"eip {self.eip:08x}  eflags {self.eflags:08x} [{' '.join(self.flags)}]  cpl {self.cpl}",
            *(f"{name}  {getattr(self, name)}" for name in SEGMENTS),
            f"cr0 {self.cr0:08x}  cr2 {self.cr2:08x}  cr3 {self.cr3:08x}  cr4 {self.cr4:08x}",
        ]
        return "\n".join(lines)
