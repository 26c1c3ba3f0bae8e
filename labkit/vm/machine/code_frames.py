"""Frames that hold translated code: kept apart from written ones, so that no translation goes stale.

                 fetch                      store
        data ------------> code ----------------------> data     (its code is forgotten)
                            |  again and again, or by code of the frame itself
                            +-------------------------> mixed    (every store is checked for code under it)
        mixed -- after a million instructions --> data

A frame's generation is part of the key under which its blocks were decoded; a new one makes them all unknown.
"""

from collections.abc import Callable, Iterable

from labkit.vm.machine.core import Core
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c

__all__ = ["CodeFrames"]

CODE, MIXED = c.FRAME_CODE, c.FRAME_MIXED
MAX_FLIPS = 8
SEPARATE_AFTER = 1_000_000  # instructions that mixed frames are left as they are
LAST_GENERATION = 0xFFE
CHANGING = 0xFFF  # generation of a mixed frame: nothing decoded from it is kept
LONGEST_INSTRUCTION = 15


class CodeFrames:
    """The state of each frame, and its changes. Who calls them flushes the TLB where the answer is True."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._memory = core.memory
        self._flips: dict[int, int] = {}
        self._mixed: set[int] = set()
        self._separate_at = 0
        self.on_release: Callable[[int], None] = lambda _frame: None
        """Told of each frame whose code may change from now on."""

    def changed(self, frames: Iterable[int]) -> bool:
        """The bytes of these frames were changed from outside: was code among them?"""
        state, frames = self._memory.state, list(frames)
        for frame in frames:
            state[frame] &= 0xFF ^ c.FRAME_TRACED
        stale = [frame for frame in frames if state[frame] & (CODE | MIXED)]
        for frame in stale:
            self.release(frame)
        return bool(stale)

    def written(self) -> None:
        """The guest is about to store to a frame that holds translated code."""
        frame = int(self._core.cells[c.FAULT_PHYSICAL]) // FRAME_SIZE
        flips = self._flips[frame] = self._flips.get(frame, 0) + 1
        if not self._memory.state[frame] & MIXED and (flips > MAX_FLIPS or frame in self.running()):
            self._mix(frame)
        else:
            self.release(frame)

    def running(self) -> set[int]:
        """Frames that the instruction at EIP lies in."""
        at, pages = self._core.registers.linear_eip, self._core.pages
        return {int(pages[(at + more & 0xFFFFFFFF) >> 12]) >> 12 for more in (0, LONGEST_INSTRUCTION - 1)}

    def release(self, frame: int) -> None:
        """Make a code frame a data frame."""
        core, memory = self._core, self._memory
        self.on_release(frame)
        core.forget_frame(frame)
        self._mixed.discard(frame)
        if memory.state[frame] & MIXED or memory.generation[frame] >= LAST_GENERATION:
            core.forget_decoded()
            memory.generation[frame] = 0
        memory.generation[frame] += 1
        memory.state[frame] = int(memory.state[frame]) & ~(CODE | MIXED)

    def _mix(self, frame: int) -> None:
        """Make a frame both: each store into it is checked for code from now on."""
        memory = self._memory
        self.on_release(frame)
        self._core.forget_frame(frame)  # blocks that count themselves are not looked at
        self._mixed.add(frame)
        memory.generation[frame] = CHANGING
        memory.state[frame] = (int(memory.state[frame]) & ~CODE) | MIXED
        self._core.cells[c.MIXED] = 1

    def separate(self) -> bool:
        """Mixed frames are slow: now and then make them plain again, until code and stores meet once more."""
        clock = self._core.cells[c.CLOCK]
        if not self._mixed or clock < self._separate_at:
            return False
        for frame in list(self._mixed):
            self.release(frame)
        self._flips.clear()
        self._core.cells[c.MIXED] = 0
        self._core.attend(c.ATTENTION_MIXED, False)
        self._separate_at = clock + SEPARATE_AFTER
        return True
