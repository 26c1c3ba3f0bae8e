"""Shadow descriptors: the table that the processor has in place of the guest's.

    guest's GDT       shadow GDT
    | DPL 0 code |    | DPL 1, truncated   |     a guest kernel runs at level 1: its segments move up by one
    | DPL 3 data |    | DPL 3, truncated   |
    | TSS, gates |    | not present        |     the processor must never follow one of the guest's
                      | cached: six        |     hidden parts that no entry of the table holds any more
                      | the monitor's own  |

A write to the guest's table is traced and brings its shadow up to date. Segment registers keep the hidden part that
was loaded: when the entry has changed since, or the processor's mode has, the segment cannot be loaded again from
the table. It is nonreversible, lives in a cached descriptor, and direct execution has to wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from labkit.vm.machine.descriptors import GateDescriptor, SegmentDescriptor, decode
from labkit.vm.machine.truncation import FULL, AddressSpace, truncate

__all__ = ["NOTHING", "CachedDescriptor", "ShadowTable", "compress", "shadow_of"]

NOTHING = SegmentDescriptor(0, 0, 0, system=True, dpl=0, present=False, granular=False, wide=False)
"""In place of what the processor must not use: its loads fault and are looked at."""
KERNEL, COMPRESSED = 0, 1


def compress(level: int) -> int:
    """Guest level to the level it runs at: 0 becomes 1, which leaves 0 to the monitor."""
    return COMPRESSED if level == KERNEL else level


def shadow_of(
    guest: SegmentDescriptor | GateDescriptor,
    space: AddressSpace = FULL,
    *,
    truncated: bool = True,
    raised: bool = True,
) -> SegmentDescriptor:
    """A guest's descriptor as the processor gets it. `truncated=False`: for direct execution under paging.

    `raised=False` leaves level 0 alone, which is the mistake the lesson shows.
    """
    if isinstance(guest, GateDescriptor) or guest.system or not guest.present:
        return NOTHING
    shadow = truncate(guest, space).shadow if truncated else guest
    return replace(shadow, dpl=compress(guest.dpl) if raised else guest.dpl)


@dataclass(frozen=True, slots=True)
class CachedDescriptor:
    """What a segment register holds: the selector, the hidden part it was loaded with, and the mode then."""

    selector: int
    hidden: SegmentDescriptor | None
    protected: bool = True

    def reversible(self, table: "ShadowTable", *, protected: bool = True) -> bool:
        """Would a load of the selector now give the same hidden part?"""
        if self.protected != protected:
            return False
        index = self.selector >> 3
        if not index:
            return self.hidden is None
        return not self.selector & 4 and index < len(table) and table.guest(index) == self.hidden

    def __str__(self) -> str:
        return f"{self.selector:04x} -> {self.hidden or 'null'}" + ("" if self.protected else " (real mode)")


class ShadowTable:
    """The shadow of a guest's table of descriptors, kept coherent by `written`."""

    def __init__(self, entries: Sequence[tuple[int, int]], space: AddressSpace = FULL) -> None:
        self._space = space
        self._words = list(entries)
        self._shadows = [shadow_of(decode(*words), space) for words in entries]
        self.updates = 0

    def __len__(self) -> int:
        return len(self._words)

    def guest(self, index: int) -> SegmentDescriptor | GateDescriptor:
        """The guest's descriptor as its memory holds it."""
        return decode(*self._words[index])

    def shadow(self, index: int, *, truncated: bool = True) -> SegmentDescriptor:
        """The processor's descriptor."""
        return self._shadows[index] if truncated else shadow_of(self.guest(index), self._space, truncated=False)

    def written(self, index: int, low: int, high: int, *, traced: bool = True) -> None:
        """The guest has written an entry. `traced=False`: nobody noticed, and the shadow is stale."""
        self._words[index] = (low, high)
        if traced:
            self._shadows[index] = shadow_of(decode(low, high), self._space)
            self.updates += 1

    @property
    def stale(self) -> tuple[int, ...]:
        """Entries whose shadow is not that of the guest's descriptor; none while writes are traced."""
        here = range(len(self))
        return tuple(i for i in here if self._shadows[i] != shadow_of(self.guest(i), self._space))

    def accepts(self, selector: int) -> bool:
        """May guest code load it? Entries behind the guest's table are the monitor's, and level 1 could."""
        return not selector & 4 and selector >> 3 < len(self)

    def __str__(self) -> str:
        rows = (f"{8 * i:04x}  guest  {self.guest(i)}\n      shadow {self._shadows[i]}" for i in range(len(self)))
        return "\n".join(rows)
