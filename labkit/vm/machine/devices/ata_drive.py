"""One ATA disk drive behind the task file: geometry, settings, and what IDENTIFY DEVICE tells.

Source: ATA/ATAPI-6 (T13/1410D), 8.15 IDENTIFY DEVICE.
"""

import struct
from typing import NamedTuple

from labkit.vm.machine.devices.disk import SECTOR, Disk, Layer

__all__ = ["Drive", "DriveState", "identify"]

HEADS, TRACK_SECTORS, MAX_CYLINDERS = 16, 63, 16383
MAX_MULTIPLE = 16


class DriveState(NamedTuple):
    """The logical geometry, sectors of a multiple transfer (0: off), and what was written."""

    heads: int
    track_sectors: int
    multiple: int
    written: Layer


class Drive:
    """A disk with its settings."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.heads, self.track_sectors = HEADS, TRACK_SECTORS
        self.multiple = 0

    def cylinders(self) -> int:
        """Cylinders of the logical geometry (at least 1)."""
        return min(max(self.disk.sectors // (self.heads * self.track_sectors), 1), MAX_CYLINDERS)

    def chs(self, cylinder: int, head: int, sector: int) -> int:
        """The sector number of a cylinder, head, sector address; -1 if the geometry has none such."""
        if not 1 <= sector <= self.track_sectors or head >= self.heads:
            return -1
        return (cylinder * self.heads + head) * self.track_sectors + sector - 1

    def set_geometry(self, heads: int, track_sectors: int) -> bool:
        """INITIALIZE DEVICE PARAMETERS; False if it makes no sense."""
        if not track_sectors:
            return False
        self.heads, self.track_sectors = heads, track_sectors
        return True

    def set_multiple(self, sectors: int) -> bool:
        """SET MULTIPLE MODE: a power of two up to 16, or 0 for off; False for anything else."""
        if sectors > MAX_MULTIPLE or sectors & (sectors - 1):
            return False
        self.multiple = sectors
        return True

    def save(self) -> DriveState:
        """Settings and written sectors."""
        return DriveState(self.heads, self.track_sectors, self.multiple, self.disk.save())

    def load(self, state: DriveState) -> None:
        """Inverse of `save`."""
        self.heads, self.track_sectors, self.multiple, written = state
        self.disk.load(written)


def _swapped(text: str, length: int) -> bytes:
    """ATA strings: blank-filled, the first character of each pair in the high byte."""
    raw = text.ljust(length).encode("ascii")
    return bytes(raw[place ^ 1] for place in range(length))


def identify(drive: Drive, number: int) -> bytes:
    """The 512 bytes of IDENTIFY DEVICE."""
    data = bytearray(SECTOR)

    def words(first: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}H", data, 2 * first, *values)

    sectors = drive.disk.sectors
    cylinders = drive.cylinders()
    capacity = min(cylinders * drive.heads * drive.track_sectors, sectors)
    lba28 = min(sectors, 0x0FFFFFFF)
    default_cylinders = min(max(sectors // (HEADS * TRACK_SECTORS), 1), MAX_CYLINDERS)
    words(0, 0x0040, default_cylinders, 0, HEADS, 0, 0, TRACK_SECTORS)
    data[20:40] = _swapped(f"LK{number:08d}", 20)
    data[46:54] = _swapped("1.0", 8)
    data[54:94] = _swapped("LABKIT DISK", 40)
    words(47, 0x8000 | MAX_MULTIPLE, 0, 0x0A00, 0x4000, 0x0200)  # 49: LBA, IORDY; 51: PIO mode 2
    words(53, 0x0003, cylinders, drive.heads, drive.track_sectors, capacity & 0xFFFF, capacity >> 16)
    words(59, 0x0100 | drive.multiple if drive.multiple else 0, lba28 & 0xFFFF, lba28 >> 16)
    words(64, 0x0003, 0, 0, 120, 120)  # PIO modes 3 and 4, cycle times in ns
    words(80, 0x007E, 0)  # ATA-1 to ATA-6
    words(82, 0, 0x7400, 0x4000, 0, 0x3400, 0x4000)  # LBA48, FLUSH CACHE, FLUSH CACHE EXT
    words(100, sectors & 0xFFFF, sectors >> 16 & 0xFFFF, sectors >> 32 & 0xFFFF, 0)
    data[510] = 0xA5
    data[511] = -sum(data) & 0xFF
    return bytes(data)
