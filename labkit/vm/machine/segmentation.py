"""The segmentation unit as pure functions: may this access be made through this segment, and what faults if not?

    expand-up    0 ......... last | fault         expand-down   fault | last + 1 ......... FFFF or FFFFFFFF (B)

The processor's own unit is compiled (probes/segments.py, probes/segment_check.py); this is what it does, to be
read, and for what has no processor: shadow descriptors, pictures. Source: Intel SDM volume 3A, 3.4.5.1, 5.3, 5.4.
"""

from dataclasses import dataclass
from enum import StrEnum

from labkit.vm.machine.descriptors import SegmentDescriptor

__all__ = ["Access", "Fault", "check", "is_plain", "linear", "offsets"]

STACK_FAULT, GENERAL_PROTECTION = 12, 13
TOP_16, TOP_32 = 0xFFFF, 0xFFFFFFFF
READ_OR_WRITE = 2  # bit of the type: data may be written, code may be read


class Access(StrEnum):
    """What an instruction does with bytes of a segment."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception instead of an access; its error code is 0."""

    vector: int
    why: str

    def __str__(self) -> str:
        return f"{'#SS' if self.vector == STACK_FAULT else '#GP'}(0): {self.why}"


def offsets(descriptor: SegmentDescriptor) -> range:
    """The offsets that the limit allows, without regard to type."""
    if descriptor.expands_down:
        return range(descriptor.last + 1, (TOP_32 if descriptor.wide else TOP_16) + 1)
    return range(descriptor.last + 1)


def linear(descriptor: SegmentDescriptor, offset: int) -> int:
    """Linear address of an offset; the sum wraps at 4 GB."""
    return (descriptor.base + offset) & TOP_32


def check(
    descriptor: SegmentDescriptor | None, offset: int, size: int, access: Access, *, stack: bool = False
) -> Fault | None:
    """The fault of an access to `size` bytes; None where it is allowed.

    `descriptor` is what the segment register holds, None for the null selector; `stack`: it is SS. Where a
    segment of 4 GB ends the manual leaves it open whether an access that runs past it faults: here it does not.
    """

    def fault(why: str) -> Fault:
        return Fault(STACK_FAULT if stack else GENERAL_PROTECTION, why)

    if descriptor is None or not descriptor.present or descriptor.system:
        return fault("the null selector")
    may_read_or_write = bool(descriptor.type & READ_OR_WRITE)
    if access is Access.EXECUTE and not descriptor.code:
        return fault("not a code segment")
    if access is Access.WRITE and (descriptor.code or not may_read_or_write):
        return fault("not writable")
    if access is Access.READ and descriptor.code and not may_read_or_write:
        return fault("execute only")
    allowed = offsets(descriptor)
    if not descriptor.expands_down and descriptor.last == TOP_32:
        return None
    if offset not in allowed or offset + size - 1 not in allowed:
        return fault(f"offset {offset:x}h, {size} bytes, of {descriptor}")
    return None


def is_plain(descriptor: SegmentDescriptor | None) -> bool:
    """Can no access through it fault (stores through a code segment aside)? Then nothing has to be checked."""
    if descriptor is None or not descriptor.present or descriptor.system or descriptor.expands_down:
        return False
    return descriptor.last == TOP_32 and bool(descriptor.type & READ_OR_WRITE)
