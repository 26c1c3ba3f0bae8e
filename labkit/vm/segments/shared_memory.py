"""One linear address space for two, in real memory: the guest below, the monitor in the top 4 MB, page tables for both.

    linear      0         400000        FF800000     FFC00000          physical  1 MB  4    8    12    16    20
    shadow      | the guest's | nothing   | the guest's | the monitor's            |tables|low|below|top|monitor|
    guest's own | the guest's | nothing   | the guest's | the guest's top |

The guest believes that the top is its own: what it keeps there lies in frames of its own, which only the monitor's
emulation reaches, by the guest's page tables. The processor runs on the shadow page tables. The monitor's frames are
full of canaries, but for two pages: its words and its descriptor tables.
"""

import struct

import numpy as np

from labkit.vm.machine.access_log import AccessLog
from labkit.vm.machine.memory import Memory
from labkit.vm.machine.processor import Processor

__all__ = ["CODE", "CODE_SIZE", "MONITOR", "RAM", "TABLE", "TRANSLATIONS", "SharedMemory"]

MB = 1 << 20
RAM = 20 * MB
LOW, BELOW, TOP, FRAMES = 4 * MB, 8 * MB, 12 * MB, 16 * MB
SHADOW_TABLES, GUEST_TABLES = 1 * MB, 2 * MB
MONITOR = 0xFFC00000
"""Linear address from which on all is the monitor's."""
TABLE = MONITOR + 0x1000
TRANSLATIONS = MONITOR + 0x100000
CODE, CODE_SIZE = 0x300000, 0x10000
"""Where the guest's code lies, read-only."""
OWN = 0x2000
PRESENT, WRITABLE, USER = 1, 2, 4


class SharedMemory:
    """The memory, its page tables, the canaries and the log of accesses to the monitor's frames."""

    def __init__(self, processor: Processor, memory: Memory, *, supervisor: bool = True) -> None:
        self._processor, self._memory = processor, memory
        monitors = PRESENT | WRITABLE | (0 if supervisor else USER)
        guests = PRESENT | WRITABLE | USER
        self._directory(SHADOW_TABLES, FRAMES, monitors)
        self._directory(GUEST_TABLES, TOP, guests)
        self.canaries = np.random.default_rng(1).integers(0, 256, 4 * MB, np.uint8)
        memory.write(FRAMES, self.canaries.tobytes())
        memory.write(FRAMES, bytes(OWN))
        self.log = AccessLog(processor, range(FRAMES + OWN, FRAMES + 4 * MB), range(FRAMES, FRAMES + OWN))
        self.shadow, self.guest = SHADOW_TABLES, GUEST_TABLES

    def _directory(self, at: int, top: int, rights: int) -> None:
        """A page directory with three tables behind it."""
        parts = ((0, LOW, 7), (MONITOR - 4 * MB, BELOW, 7), (MONITOR, top, rights))
        for number, (linear, physical, allowed) in enumerate(parts, 1):
            table = at + 0x1000 * number
            self._memory.write(at + (linear >> 22) * 4, struct.pack("<I", table | 7))
            frames = np.arange(physical, physical + 4 * MB, 0x1000).astype(np.uint32) | np.uint32(allowed)
            if physical == LOW:
                first, last = CODE >> 12, CODE + CODE_SIZE >> 12
                frames[first:last] &= np.uint32(0xFFFFFFFF ^ WRITABLE)
            self._memory.write(table, frames.tobytes())

    def put(self, linear: int, data: bytes) -> None:
        """Write as the monitor does, in the shadow's view: code, translations, tables."""
        self._processor.write_physical(self._physical(linear, FRAMES), data)
        if linear >= MONITOR + OWN:
            at = linear - MONITOR
            self.canaries[at : at + len(data)] = np.frombuffer(data, np.uint8)

    def get(self, linear: int, size: int) -> bytes:
        """Read in the guest's own view."""
        return self._memory.read(self._physical(linear, TOP), size)

    def fill(self, linear: int, data: bytes) -> None:
        """Write in the guest's own view."""
        self._processor.write_physical(self._physical(linear, TOP), data)

    @staticmethod
    def _physical(linear: int, top: int) -> int:
        if linear >= MONITOR:
            return linear - MONITOR + top
        if linear >= MONITOR - 4 * MB:
            return linear - (MONITOR - 4 * MB) + BELOW
        if linear < 4 * MB:
            return linear + LOW
        raise ValueError(f"nothing lies at {linear:x}h")

    @property
    def damaged(self) -> int:
        """Bytes of the monitor's that are not what it left there."""
        here = self._memory.bytes[FRAMES + OWN : FRAMES + 4 * MB]
        return int(np.count_nonzero(here != self.canaries[OWN:]))

    @property
    def kept(self) -> int:
        """The monitor's word: the guest's stack pointer where the last translated block began, stored through gs."""
        return int.from_bytes(self._memory.read(FRAMES, 4), "little")
