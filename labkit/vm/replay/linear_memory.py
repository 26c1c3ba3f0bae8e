"""Guest memory by linear address, page by page, as the cursor's page tables have it; nothing is changed by a look."""

from collections.abc import Iterator

from labkit.vm.machine import Machine
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.paging import translate
from labkit.vm.replay.errors import TimelineError

__all__ = ["pieces", "read"]


def _pages(linear: int, size: int) -> Iterator[tuple[int, int]]:
    """A range cut at page boundaries: linear address and bytes of each piece."""
    while size > 0:
        linear &= 0xFFFFFFFF
        count = min(size, FRAME_SIZE - linear % FRAME_SIZE)
        yield linear, count
        linear, size = linear + count, size - count


def pieces(machine: Machine, linear: int, size: int) -> list[tuple[int, int, int]]:
    """A range by page: linear, physical, bytes. Raises `TimelineError` where there is no RAM."""
    found, here = [], machine.processor.clock
    for at, count in _pages(linear, size):
        physical = translate(machine.processor.registers, machine.memory, at)
        if physical is None:
            raise TimelineError(f"address {at:08x} is not mapped at instruction {here}")
        if physical >= machine.memory.size:
            raise TimelineError(f"address {at:08x} leads to {physical:08x}, where there is no memory")
        found.append((at, physical, count))
    return found


def read(machine: Machine, linear: int, size: int) -> bytes | None:
    """Bytes at a linear address; None where a page is not mapped."""
    parts = []
    for at, count in _pages(linear, size):
        physical = translate(machine.processor.registers, machine.memory, at)
        if physical is None:
            return None
        parts.append(machine.memory.read(physical, count))
    return b"".join(parts)
