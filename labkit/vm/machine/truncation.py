"""Truncation: the guest's segment, cut so that no offset of it reaches the monitor at the top of the linear space.

    0          base                 monitor          end
    |............|=====================|mmmmmmmmmmmm|     linear addresses; the segment runs to the right and wraps
                  first: usable         second       third: wrapped, from 0 on

Only the limit can be changed, so the cut takes the second and the third portion. In units of the limit's
granularity the cut is rounded down, and what it takes too much is emulated like the rest. An expand-down segment
is given its top by the processor: when it reaches the monitor nothing of it stays.

Widths are a parameter, so that all of this can be tried on every descriptor of a space of a few hundred bytes.
Source: the mechanism of US patents 7,281,102 and 7,487,313; the cases are derived from it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from labkit.vm.machine.descriptors import SegmentDescriptor

__all__ = ["FULL", "AddressSpace", "Cut", "Truncation", "allowed", "portions", "truncate"]

EXPAND_DOWN, WRITABLE = 4, 2


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """A linear space of 2^bits bytes whose part from `monitor` on is the monitor's; limits have `field` bits."""

    bits: int = 32
    field: int = 20
    monitor: int = 0xFFC00000

    def __post_init__(self) -> None:
        if not 0 < self.monitor < self.size or self.monitor % self.unit:
            raise ValueError(f"the monitor begins at a multiple of {self.unit} inside the space, not {self.monitor:x}h")

    @property
    def size(self) -> int:
        """Bytes of the whole space."""
        return 1 << self.bits

    @property
    def unit(self) -> int:
        """Bytes that a granular limit counts in."""
        return 1 << self.bits - self.field

    def last(self, descriptor: SegmentDescriptor) -> int:
        """The highest offset that the limit names."""
        return (descriptor.limit + 1) * self.unit - 1 if descriptor.granular else descriptor.limit

    def top(self, descriptor: SegmentDescriptor) -> int:
        """The highest offset of an expand-down segment."""
        return (self.size if descriptor.wide else 1 << self.bits // 2) - 1


FULL = AddressSpace()
"""The 4 GB space with the monitor in its top 4 MB."""


class Cut(StrEnum):
    """What truncation does to a segment."""

    NONE = "unchanged: it does not reach the monitor"
    SHORTENED = "cut before the monitor"
    EMPTY = "nothing left: every access faults and is emulated"


@dataclass(frozen=True, slots=True)
class Truncation:
    """A guest's descriptor and what the processor gets in its place."""

    guest: SegmentDescriptor
    shadow: SegmentDescriptor
    cut: Cut
    lost: int
    """Bytes of the segment that fault although the guest may use them."""

    def __str__(self) -> str:
        return f"guest  {self.guest}\nshadow {self.shadow}\n       {self.cut}; {self.lost} bytes emulated"


def allowed(descriptor: SegmentDescriptor, space: AddressSpace = FULL) -> range:
    """The offsets that the limit allows."""
    if descriptor.expands_down:
        return range(space.last(descriptor) + 1, space.top(descriptor) + 1)
    return range(space.last(descriptor) + 1)


def portions(descriptor: SegmentDescriptor, space: AddressSpace = FULL) -> tuple[int, int, int]:
    """Bytes of the segment before the monitor, in its range, and wrapped beyond; in order from its first offset."""
    offsets = allowed(descriptor, space)
    start = (descriptor.base + offsets.start) % space.size
    first = min(len(offsets), max(space.monitor - start, 0))
    second = min(len(offsets) - first, space.size - max(start, space.monitor))
    return first, second, len(offsets) - first - second


def truncate(descriptor: SegmentDescriptor, space: AddressSpace = FULL) -> Truncation:
    """Cut a code or data segment. Raises `ValueError` for a system segment, which is never given to the processor."""
    if descriptor.system:
        raise ValueError(f"only code and data segments are truncated, not: {descriptor}")
    first, second, third = portions(descriptor, space)
    whole = first + second + third
    if not second + third:
        return Truncation(descriptor, descriptor, Cut.NONE, 0)
    if descriptor.expands_down or not first:
        return Truncation(descriptor, _empty(descriptor, space), Cut.EMPTY, whole)
    last = first - 1
    fine = last < 1 << space.field
    limit = last if fine else (last + 1) // space.unit - 1
    shadow = replace(descriptor, limit=limit, granular=not fine)
    return Truncation(descriptor, shadow, Cut.SHORTENED, whole - len(allowed(shadow, space)))


def _empty(descriptor: SegmentDescriptor, space: AddressSpace) -> SegmentDescriptor:
    """A data segment that allows no offset: expand-down, from behind the highest offset on."""
    kind = EXPAND_DOWN | (descriptor.type & WRITABLE if not descriptor.code else 0)
    return replace(descriptor, type=kind, limit=(1 << space.field) - 1, granular=True, wide=True)
