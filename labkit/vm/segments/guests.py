"""Three small guests by which strategies are told apart, and their runs on the processor.

    thread-local      gs begins at the thread's data and allows 4 GB; they are reached by negative offsets, which wrap
    top of memory     ds is flat; the data lie in the monitor's range
    mix               both

An episode uses the cut part of a segment, or it does not: then its loop is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.segments.guest_code import GuestCode
from labkit.vm.segments.shared_memory import MONITOR
from labkit.vm.segments.shared_space import SharedSpace, flat
from labkit.vm.segments.strategies import Outcome, Strategy

__all__ = ["GUESTS", "MIX", "THREAD_LOCAL", "TOP_OF_MEMORY", "Guest", "outcome"]

THREAD = 0x200000
TOP = (MONITOR + 0x2000).to_bytes(4, "little")
# jecxz end; again: mov eax, gs:[-4]; inc dword gs:[-8]; dec ecx; jnz again; end:
NEGATIVE = bytes.fromhex("e311 658b05fcffffff 65ff05f8ffffff 49 75ef")
# jecxz end; again: inc dword [TOP]; dec ecx; jnz again; end:
HIGH = bytes.fromhex("e309 ff05") + TOP + bytes.fromhex("49 75f7")


@dataclass(frozen=True)
class Guest:
    """A guest's code, its segments, and its accesses to what truncation cuts off in one round."""

    name: str
    code: GuestCode
    accesses: int
    segments: Mapping[str, SegmentDescriptor] = field(default_factory=lambda: {"gs": flat(THREAD)})


THREAD_LOCAL = Guest("thread-local", GuestCode(NEGATIVE), 2)
TOP_OF_MEMORY = Guest("top of memory", GuestCode(HIGH), 1)
MIX = Guest("mix", GuestCode(b"\x89\xca" + NEGATIVE + b"\x89\xd1" + HIGH), 3)
"""The round counter is kept in edx between the two loops."""
GUESTS = (THREAD_LOCAL, TOP_OF_MEMORY, MIX)


def outcome(
    guest: Guest, strategy: Strategy, episodes: int, rounds: int, *, share: int = 100, translated: bool = False
) -> Outcome:
    """Run so many episodes on the processor, of which `share` percent go through the loop, `rounds` times.

    Raises `ValueError` for a share that is no percentage.
    """
    if not 0 <= share <= 100:
        raise ValueError(f"a share is 0 to 100 percent, not {share}")
    space = SharedSpace(guest.segments, strategy)
    space.load(guest.code)
    for number in range(episodes):
        used = number * share // 100 != (number + 1) * share // 100
        space.run(registers={"ecx": rounds if used else 0}, translated=translated)
    found = space.outcome()
    space.close()
    return found
