"""Intel MultiProcessor tables: how a guest finds the APICs and how the ISA interrupts reach them.

Source: Intel MultiProcessor Specification 1.4, chapter 4. One processor, one ISA bus, one I/O APIC; ISA
interrupts go to the pin of the same number, but IRQ0 to pin 2.
"""

import struct

from labkit.vm.machine.devices.ioapic import IOAPIC_BASE, IOAPIC_ID, IOAPIC_VERSION
from labkit.vm.machine.devices.lapic import LAPIC_BASE

__all__ = ["checksummed", "configuration_table", "floating_pointer", "ioapic_pin"]

PROCESSOR, BUS, IOAPIC, IO_INTERRUPT, LOCAL_INTERRUPT = range(5)
INT, NMI, SMI, EXTINT = range(4)
LAPIC_ID, LAPIC_VERSION, ISA_BUS = 0, 0x14, 0
ENABLED, BOOT_PROCESSOR = 1, 2
SIGNATURE, FEATURES = 0x600, 0x201  # family 6; on-chip FPU and APIC
ALL = 0xFF


def ioapic_pin(irq: int) -> int:
    """The I/O APIC input of ISA interrupt `irq` (0-15 but 2)."""
    return 2 if irq == 0 else irq


def checksummed(table: bytes, place: int) -> bytes:
    """`table` with the byte at `place` set so that all bytes add up to 0 modulo 256."""
    fixed = bytearray(table)
    fixed[place] = 0
    fixed[place] = -sum(fixed) & 0xFF
    return bytes(fixed)


def floating_pointer(address: int) -> bytes:
    """The 16-byte structure that guests search for; `address` is where the configuration table lies."""
    #   signature  address  length/16  revision  checksum  features: 0 = table present, no IMCR
    raw = struct.pack("<4sIBBB5x", b"_MP_", address, 1, 4, 0)
    return checksummed(raw, 10)


def _entries() -> list[bytes]:
    flags = ENABLED | BOOT_PROCESSOR
    entries = [
        struct.pack("<BBBBII8x", PROCESSOR, LAPIC_ID, LAPIC_VERSION, flags, SIGNATURE, FEATURES),
        struct.pack("<BB6s", BUS, ISA_BUS, b"ISA   "),
        struct.pack("<BBBBI", IOAPIC, IOAPIC_ID, IOAPIC_VERSION, ENABLED, IOAPIC_BASE),
    ]
    # type, kind, polarity and trigger (0: as the bus has it), source bus, source IRQ, destination, its input
    entries += [
        struct.pack("<BBHBBBB", IO_INTERRUPT, INT, 0, ISA_BUS, irq, IOAPIC_ID, ioapic_pin(irq))
        for irq in range(16)
        if irq != 2
    ]
    entries.append(struct.pack("<BBHBBBB", LOCAL_INTERRUPT, EXTINT, 0, ISA_BUS, 0, LAPIC_ID, 0))
    entries.append(struct.pack("<BBHBBBB", LOCAL_INTERRUPT, NMI, 0, ISA_BUS, 0, ALL, 1))
    return entries


def configuration_table() -> bytes:
    """The table: header and entries."""
    entries = _entries()
    body = b"".join(entries)
    # signature, length, revision, checksum, OEM, product, OEM table, its size, entries, local APIC, extension
    header = struct.pack(
        "<4sHBB8s12sIHHIHBx",
        b"PCMP", 44 + len(body), 4, 0, b"LABKIT  ", b"PC          ", 0, 0, len(entries), LAPIC_BASE, 0, 0,
    )  # fmt: skip
    return checksummed(header + body, 7)
