"""Lab 1: a monitor that lives in the guest's address space, kept apart by segments and by paging.

Seeds: abstracts 8 and 9, "a first software entity occupies a portion of a linear address space of a second
software entity and prevents it from accessing its memory". Segments cut short protect while translated code runs
at a level that paging cannot tell from the monitor's; in direct execution paging alone can, and the cut may go.

Entry objects: `truncate`, `ShadowTable`, `Protection`, `run` of a strategy; all of it on the processor: `SharedSpace`.
Read first: `machine/truncation.py`, then `modes.py`, then `shared_space.py`.
"""

from labkit.vm.machine.shadow_descriptors import CachedDescriptor, ShadowTable
from labkit.vm.machine.truncation import AddressSpace, Cut, Truncation, truncate
from labkit.vm.segments.guest_code import GuestCode
from labkit.vm.segments.modes import Mode, Protection, Safeguard
from labkit.vm.segments.shared_space import SharedSpace
from labkit.vm.segments.strategies import Strategy, run

__all__ = [
    "AddressSpace", "CachedDescriptor", "Cut", "GuestCode", "Mode", "Protection", "Safeguard", "ShadowTable",
    "SharedSpace", "Strategy", "Truncation", "run", "truncate",
]  # fmt: skip
