"""What a boot loader leaves behind: memory contents and the processor's start state.

Every loader in `labkit.guests` ends in a `BootImage`; `Machine.load` puts it in place. The processor starts
in 32-bit protected mode with flat segments and paging off, as the Linux 32-bit boot protocol and the
Multiboot specification both ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["BootImage", "Placement", "StartState", "Symbol"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Bytes at a guest-physical address."""

    address: int
    data: bytes
    what: str = ""

    @property
    def end(self) -> int:
        """First address after the bytes."""
        return self.address + len(self.data)


@dataclass(frozen=True, slots=True)
class StartState:
    """Registers at the first guest instruction; segments are flat, interrupts off, paging off.

    `code_selector` and `data_selector` name entries of the GDT at `gdt_address`
    (flat 4 GB ring 0 code and data), which the loader has placed in memory.
    """

    eip: int
    eax: int = 0
    ebx: int = 0
    ecx: int = 0
    edx: int = 0
    esi: int = 0
    edi: int = 0
    ebp: int = 0
    esp: int = 0
    gdt_address: int = 0
    gdt_limit: int = 0
    code_selector: int = 0x10
    data_selector: int = 0x18


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """A name for a linear address of the guest, from the image's symbols; size in bytes, 0 if unknown."""

    address: int
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class BootImage:
    """A guest ready to start: what goes into memory, and where the processor begins."""

    name: str
    placements: tuple[Placement, ...]
    start: StartState
    symbols: Sequence[Symbol] = field(default=(), repr=False)
    mmu: str = ""
    """What its machine's `mmu` must be; empty for a guest of an ordinary PC."""
