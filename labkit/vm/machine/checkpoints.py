"""Checkpoints: the machine's past, kept as versions of the frames that changed.

A checkpoint holds the processor, the devices, and a copy of each frame that was written since the checkpoint
before. What a frame held at checkpoint k is its newest version not younger than k:

    frame      0     1     2     3          versions, sorted by (frame, checkpoint)
    k=0        a0    b0    c0    d0         a0 b0 b1 b3 c0 c2 d0
    k=1              b1                     frame 1 at k=2: the last of b0 b1 b3 with checkpoint <= 2, b1
    k=2                    c2
    k=3              b3

So a checkpoint costs time and memory in proportion to the frames written, and any past state can be brought
back by copying only the frames that differ from the present one.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.memory import FRAME_SIZE, host_memory
from labkit.vm.machine.state import ExecutionPoint

__all__ = ["Bookmark", "Checkpoint", "Checkpoints", "Frames"]

CHUNK = 4096  # pages of the pool that are allocated at once
Frames = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The machine at one point: processor, TLB, devices, interrupt pins and halt, which frames have changed."""

    point: ExecutionPoint
    processor: bytes = field(repr=False)
    tlb: bytes = field(repr=False)
    board: Any = field(repr=False)
    pin: tuple[int, int, int, int] = field(repr=False)
    frames: Frames = field(repr=False)
    protection: Any = field(default=None, repr=False)
    """The protection unit's; None for a machine without one."""

    @property
    def clock(self) -> int:
        """Retired instructions."""
        return self.point.instructions


@dataclass(frozen=True, slots=True, eq=False)
class Bookmark:
    """A state between checkpoints: that of checkpoint `base` with these frames changed."""

    base: int
    state: Checkpoint
    pages: npt.NDArray[np.uint8] = field(repr=False)

    @property
    def clock(self) -> int:
        """Retired instructions."""
        return self.state.clock


class _Pool:
    """Pages in chunks; new ones are laid out in a row, freed ones are used again."""

    def __init__(self) -> None:
        self._chunks: list[npt.NDArray[np.uint8]] = []
        self._next = 0
        self._free = np.empty(0, np.int64)

    def store(self, pages: npt.NDArray[np.uint8], frames: Frames) -> npt.NDArray[np.int64]:
        """Copy these frames of RAM in; their slots."""
        again = min(len(self._free), len(frames))
        slots = np.concatenate([self._free[:again], np.arange(self._next, self._next + len(frames) - again)])
        self._free = self._free[again:]
        for slot, frame in zip(slots[:again].tolist(), frames[:again].tolist(), strict=True):
            self.page(slot)[:] = pages[frame]
        self._append(pages, frames[again:])
        return slots

    def _append(self, pages: npt.NDArray[np.uint8], frames: Frames) -> None:
        done = 0
        while done < len(frames):
            chunk, at = divmod(self._next, CHUNK)
            if chunk == len(self._chunks):
                chunk_bytes = np.frombuffer(host_memory(CHUNK * FRAME_SIZE), np.uint8)
                self._chunks.append(chunk_bytes.reshape(CHUNK, FRAME_SIZE))
            count = min(CHUNK - at, len(frames) - done)
            room = self._chunks[chunk][at : at + count]
            np.take(pages, frames[done : done + count], axis=0, out=room, mode="clip")
            self._next += count
            done += count

    def page(self, slot: int) -> npt.NDArray[np.uint8]:
        """The page in a slot."""
        page: npt.NDArray[np.uint8] = self._chunks[slot // CHUNK][slot % CHUNK]
        return page

    def addresses(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Host addresses of the pages in these slots, 0 for a slot below 0."""
        chunks = np.array([chunk.ctypes.data for chunk in self._chunks], np.uint64)
        places = (slots % CHUNK).astype(np.uint64) * np.uint64(FRAME_SIZE)
        return np.where(slots < 0, np.uint64(0), chunks[slots // CHUNK] + places)

    def free(self, slots: npt.NDArray[np.int64]) -> None:
        """Give slots back."""
        self._free = np.concatenate([self._free, slots])

    @property
    def used(self) -> int:
        """Pages in use."""
        return self._next - len(self._free)


class Checkpoints:
    """A line of checkpoints of one machine, oldest first; `budget` bounds the bytes of page versions, with `aside`.

    When the budget is used up every second checkpoint but the newest is given up, so any point stays
    reachable, only from a little further away.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self.aside = 0
        """Bytes that somebody else keeps with each checkpoint: the state of an engine, which a guest may make large."""
        self.list: list[Checkpoint] = []
        self._pool = _Pool()
        # one row per version: frame << 32 | checkpoint, and the slot; sorted when `_sorted`
        self._keys: list[npt.NDArray[np.int64]] = []
        self._slots: list[npt.NDArray[np.int64]] = []
        self._index: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.list)

    @property
    def bytes(self) -> int:
        """Memory that the page versions take."""
        return self._pool.used * FRAME_SIZE

    def add(self, checkpoint: Checkpoint, pages: npt.NDArray[np.uint8]) -> None:
        """Append a checkpoint; `pages` is RAM as (frames, 4096)."""
        number = len(self.list)
        self.list.append(checkpoint)
        self._keys.append(checkpoint.frames.astype(np.int64) << 32 | number)
        self._slots.append(self._pool.store(pages, checkpoint.frames))
        self._index = None
        taken = self.bytes + self.aside * len(self.list)
        if self.budget is not None and taken > self.budget and len(self.list) > 4:
            self.thin()

    def before(self, clock: int) -> int:
        """Number of the last checkpoint at or before a clock; raises `ValueError` where there is none."""
        low, high = 0, len(self.list)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.list[middle].clock <= clock else (low, middle)
        if low == 0:
            raise ValueError(f"no checkpoint at or before instruction {clock}")
        return low - 1

    def between(self, first: int, last: int) -> list[Frames]:
        """Frames written between two checkpoints, in either order, by checkpoint."""
        low, high = sorted((first, last))
        return [checkpoint.frames for checkpoint in self.list[low + 1 : high + 1]]

    def sources(self, frames: Frames, number: int) -> npt.NDArray[np.uint64]:
        """Host addresses of what these frames held at a checkpoint; 0 for zeros."""
        return self._pool.addresses(self._find(frames, number))

    def truncate(self, count: int) -> None:
        """Forget all but the first `count` checkpoints."""
        for slots in self._slots[count:]:
            self._pool.free(slots)
        del self.list[count:], self._keys[count:], self._slots[count:]
        self._index = None

    def thin(self) -> None:
        """Give up every second checkpoint, keeping the first and the newest."""
        keep = sorted({*range(0, len(self.list), 2), len(self.list) - 1})
        merged: list[Checkpoint] = []
        keys, all_slots = [], []
        previous = -1
        for new, number in enumerate(keep):
            latest: dict[int, int] = {}
            for k in range(previous + 1, number + 1):
                fresh = dict(zip((self._keys[k] >> 32).tolist(), self._slots[k].tolist(), strict=True))
                self._pool.free(np.array([latest[f] for f in fresh if f in latest], np.int64))
                latest.update(fresh)
            frames = np.fromiter(latest, np.uint32, len(latest))
            merged.append(replace(self.list[number], frames=frames))
            keys.append(frames.astype(np.int64) << 32 | new)
            all_slots.append(np.fromiter(latest.values(), np.int64, len(latest)))
            previous = number
        self.list[:], self._keys, self._slots, self._index = merged, keys, all_slots, None

    def _sorted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if self._index is None:
            keys, slots = np.concatenate(self._keys), np.concatenate(self._slots)
            order = np.argsort(keys, kind="stable")
            self._index = keys[order], slots[order]
        return self._index

    def _find(self, frames: Frames, number: int) -> npt.NDArray[np.int64]:
        keys, slots = self._sorted()
        wanted = frames.astype(np.int64) << 32
        at = np.searchsorted(keys, wanted | number, side="right") - 1
        found = (at >= 0) & (keys[at] >> 32 == frames)
        return np.where(found, slots[at], -1)
