"""Keyed paging from outside: the key registers and counts of a machine whose mmu is "keyed paging".

It is a fixed table of four keys (probes/keyed_fill.py). The registers are set at the first TLB fill after a change of
level; between fills Unicorn's TLBs, one for ring 3 and one for the others, keep the levels apart, and a change that
meets no fill is not counted.
"""

import ctypes
from dataclasses import dataclass

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import keyed_fill as k
from labkit.vm.machine.processor import Processor

__all__ = ["KeyedPaging", "check_keys", "keyed_paging", "load_words", "save_words"]


@dataclass(frozen=True, slots=True)
class KeyedPaging:
    """What the unit holds and has counted.

    `disabled` is what the four key registers forbid now, as masks of read 1, write 2, execute 4; `level_changes`
    those that some fill has seen; `forbidden` accesses that a key alone has stopped; `stale` keys that forbade
    what the guest's own rule allows, of which there should be none.
    """

    user: bool
    disabled: tuple[int, ...]
    level_changes: int
    register_writes: int
    forbidden: int
    stale: int


def keyed_paging(processor: Processor) -> KeyedPaging:
    """Read the unit. Raises `ValueError` for a processor with another mmu."""
    words = _words(processor)
    return KeyedPaging(
        bool(words[k.LEVEL]), tuple(words[k.REGISTERS + i] for i in range(k.KEYS)), words[k.CHANGES],
        words[k.WRITTEN], words[k.FORBIDDEN], words[k.STALE],
    )  # fmt: skip


def check_keys(processor: Processor, on: bool) -> None:
    """Switch the check of keys off, to see what the translations permit by themselves: too much; or on again.

    Raises `ValueError` for a processor with another mmu.
    """
    _words(processor)[k.OFF] = int(not on)
    processor.flush_tlb()


def save_words(processor: Processor) -> bytes:
    """All that the unit holds and has counted, for a checkpoint."""
    return bytes(_words(processor))


def load_words(processor: Processor, saved: bytes) -> None:
    """Inverse of `save_words`."""
    ctypes.memmove(_words(processor), saved, 8 * k.SIZE)
    processor.flush_tlb()


def _words(processor: Processor) -> "ctypes.Array[ctypes.c_uint64]":
    if processor.mmu != "keyed paging":
        raise ValueError(f"this machine's mmu is {processor.mmu!r}: make one with mmu='keyed paging'")
    return (ctypes.c_uint64 * k.SIZE).from_address(int(processor.cells[c.PROTECTION]))
