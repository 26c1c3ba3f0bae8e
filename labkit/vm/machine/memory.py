"""RAM in one host buffer, and what is known of each frame: dirty since the last checkpoint, code, read-only.

    0        A0000  B8000    C0000      100000                     size
    | memory | graphics | text | ROM area |      memory                |

All of it is one buffer, the ROM area included (read-only to the guest). Above it there is nothing: reads give
ones, writes are lost.
"""

import ctypes
import hashlib
import mmap

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes import cells as c

__all__ = ["FRAME_SIZE", "ROM", "Memory", "host_memory"]

FRAME_SIZE = 4096
MINIMUM, MAXIMUM = 1 << 20, 3 << 30
ROM = range(0xC0000, 0x100000)
FRAMES_BELOW_4G = 1 << 20


def host_memory(size: int) -> mmap.mmap:
    """Zeroed host memory, in large pages where there are some: the first touch is a tenth of a boot."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        made.madvise(mmap.MADV_HUGEPAGE)
    return made


class Memory:
    """Guest-physical memory of `size` bytes, a multiple of 4 KB from 1 MB to 3 GB.

    Raises `ValueError` for another size.
    """

    def __init__(self, size: int) -> None:
        if size % FRAME_SIZE or not MINIMUM <= size <= MAXIMUM:
            raise ValueError(f"memory of {size} bytes: give a multiple of 4096 from 1M to 3G, such as 128M")
        self.size = size
        self.frames = size // FRAME_SIZE
        self._map = host_memory(size)
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.state = np.zeros(self.frames, np.uint8)
        self.state[ROM.start // FRAME_SIZE : min(ROM.stop, size) // FRAME_SIZE] = c.FRAME_ROM
        self.dirty = np.zeros(self.frames, np.uint8)
        self.dirty_list = np.zeros(self.frames, np.uint32)
        self.generation = np.ones(self.frames, np.uint16)
        self._count = ctypes.c_uint64(0)

    def attach(self, cells: npt.NDArray[np.uint64]) -> None:
        """Tell the compiled hooks where everything is."""
        cells[c.RAM], cells[c.RAM_SIZE] = self.address, self.size
        cells[c.FRAMES], cells[c.DIRTY] = self.state.ctypes.data, self.dirty.ctypes.data
        cells[c.DIRTY_LIST], cells[c.GENERATION] = self.dirty_list.ctypes.data, self.generation.ctypes.data
        self._count = ctypes.c_uint64.from_address(cells.ctypes.data + 8 * c.DIRTY_COUNT)

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a physical address; ones where there is no memory."""
        end = min(address + size, self.size)
        if address >= self.size:
            return b"\xff" * size
        return self.bytes[address:end].tobytes() + b"\xff" * (address + size - end)

    def write(self, address: int, data: bytes) -> range:
        """Write as a device or the monitor would, ROM included; gives the frames that were touched.

        Who calls this while code of those frames may be translated must tell the processor
        (`Processor.changed`).
        """
        data = data[: max(0, self.size - address)]
        if not data:
            return range(0)
        self.bytes[address : address + len(data)] = np.frombuffer(data, np.uint8)
        touched = range(address // FRAME_SIZE, (address + len(data) - 1) // FRAME_SIZE + 1)
        for frame in touched:
            self.mark(frame)
        return touched

    def read32(self, address: int) -> int:
        """Little-endian word; ones where there is no memory."""
        return int.from_bytes(self.read(address, 4), "little")

    def mark(self, frame: int) -> None:
        """Note that a frame is not as the last checkpoint has it."""
        if not self.dirty[frame]:
            self.dirty[frame] = 1
            self.dirty_list[self._count.value] = frame
            self._count.value += 1

    def dirty_frames(self) -> npt.NDArray[np.uint32]:
        """Frames written since `clean`, in order of their first write."""
        return self.dirty_list[: self._count.value]

    def clean(self) -> None:
        """Begin a new epoch: nothing is dirty. The caller flushes the TLB, whose rights are now too wide."""
        self.dirty[self.dirty_frames()] = 0
        self._count.value = 0

    def sha256(self) -> str:
        """Fingerprint of the whole RAM."""
        return hashlib.sha256(self._map).hexdigest()
