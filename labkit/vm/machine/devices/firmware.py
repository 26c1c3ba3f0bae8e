"""What a BIOS leaves in memory: its data area, the extended data area, MP tables, date and model byte.

Source: IBM PS/2 and PC BIOS interface technical reference (data area at 400h); no code is there, as guests on
this machine start in protected mode.
"""

import struct

from labkit.vm.machine.devices.mptable import configuration_table, floating_pointer

__all__ = ["BASE_MEMORY_KB", "EBDA", "firmware"]

BASE_MEMORY_KB = 639
EBDA = BASE_MEMORY_KB << 10  # one KB below 640 KB
BDA = 0x400
MP_POINTER, MP_TABLE = 0xF6000, 0xF6010
DATE, DATE_ADDRESS = b"01/01/24", 0xFFFF5
MODEL_AT, MODEL_ADDRESS = b"\xfc", 0xFFFFE


def _data_area(disks: int) -> bytes:
    area = bytearray(256)

    def words(offset: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}H", area, offset, *values)

    words(0x00, 0x3F8)  # COM1
    words(0x0E, EBDA >> 4)
    words(0x10, 0x0226)  # equipment: one serial port, 80x25 colour, pointing device, FPU
    words(0x13, BASE_MEMORY_KB)
    words(0x1A, 0x1E, 0x1E)  # keyboard buffer: head, tail
    area[0x49] = 3  # video mode
    words(0x4A, 80, 4096, 0)  # columns, bytes of a page, its offset
    words(0x60, 0x0607)  # cursor scan lines
    words(0x63, 0x3D4)  # CRTC
    area[0x75] = disks
    words(0x80, 0x1E, 0x3E)  # keyboard buffer: start, end
    area[0x84] = 24  # rows less one
    words(0x85, 16)  # scan lines of a character
    return bytes(area)


def firmware(disks: int) -> tuple[tuple[int, bytes], ...]:
    """(physical address, bytes) of everything; `disks` is the number of hard disks."""
    return (
        (BDA, _data_area(disks)),
        (EBDA, b"\x01".ljust(1024, b"\0")),  # its size in KB
        (MP_POINTER, floating_pointer(MP_TABLE)),
        (MP_TABLE, configuration_table()),
        (DATE_ADDRESS, DATE),
        (MODEL_ADDRESS, MODEL_AT),
    )
