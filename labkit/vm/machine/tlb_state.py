"""The guest's TLB under x86 paging as a value: what a checkpoint keeps of it (see probes/tlb.py).

The TLB of the protection unit, which is another kind of machine, is in tlb.py.
"""

import zlib

import numpy as np

from labkit.vm.machine.core import Core
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import tlb

__all__ = ["TlbState"]

PLAIN = 512  # entries that are not worth packing
RAW, PACKED = b"\0", b"\1"


class TlbState:
    """The translations that the guest's accesses have made since it last flushed them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def save(self) -> bytes:
        """All live entries."""
        cells = self._core.cells
        if not cells[c.TLB]:
            return RAW
        words = np.empty(int(cells[c.TLB_COUNT]), np.uint64)
        words = words[: tlb.save(cells, words.ctypes.data)]
        if len(words) <= PLAIN:
            return RAW + words.tobytes()
        steps = np.diff(words, prepend=np.uint64(0))  # neighbours are alike: a long row packs to nothing
        return PACKED + zlib.compress(steps.tobytes(), 1)

    def load(self, saved: bytes) -> None:
        """Exact inverse of `save`, once the control registers are as they were then."""
        if not self._core.cells[c.TLB]:
            return
        if saved[:1] == PACKED:
            words = np.cumsum(np.frombuffer(zlib.decompress(saved[1:]), np.uint64), dtype=np.uint64)
        else:
            words = np.frombuffer(saved[1:], np.uint64)
        tlb.load(self._core.cells, words.ctypes.data, len(words))
        self._core.memory.state[:] &= 0xFF ^ c.FRAME_TRACED  # what was read of descriptors may be another now
        self._core.flush_tlb()

    def forget(self) -> None:
        """Forget all translations, as the guest's own flush does."""
        if self._core.cells[c.TLB]:
            tlb.forget(self._core.cells)
        self._core.flush_tlb()
