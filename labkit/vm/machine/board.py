"""The PC's board: every chip in its place, the port map, the interrupt wires, what a BIOS leaves in memory.

The processor side sees `Board` alone: ports, MMIO, one INTR pin with its acknowledge cycle, and the guest
time of the next event. Nothing here depends on the host's clock or on object identity.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.ata import Ata, AtaState
from labkit.vm.machine.devices.device import Device, nothing
from labkit.vm.machine.devices.disk import Disk, Image
from labkit.vm.machine.devices.dma import Dma, DmaState
from labkit.vm.machine.devices.firmware import firmware
from labkit.vm.machine.devices.i8042 import I8042, I8042State
from labkit.vm.machine.devices.ioapic import IOAPIC_BASE, IoApic, IoApicState
from labkit.vm.machine.devices.lapic import LAPIC_BASE, Lapic, LapicState
from labkit.vm.machine.devices.mptable import ioapic_pin
from labkit.vm.machine.devices.nic import Nic, NicState
from labkit.vm.machine.devices.pci import Pci, PciState
from labkit.vm.machine.devices.pic import PicPair, PicPairState
from labkit.vm.machine.devices.pit import Pit, PitState
from labkit.vm.machine.devices.rtc import START_TIME, Rtc, RtcState
from labkit.vm.machine.devices.sysport import SystemPorts, SystemPortsState
from labkit.vm.machine.devices.uart import Uart, UartState
from labkit.vm.machine.devices.vga import Vga, VgaState

__all__ = ["Board", "BoardState", "IsaLine"]

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], None]
PORTS = 0x10000
DISKS = 4


def _read_nothing(_port: int, size: int) -> int:
    return (1 << 8 * size) - 1


def _ignore(reason: str) -> None:
    pass


def _write_nothing(port: int, size: int, value: int) -> None:
    pass


class Timed(Protocol):
    """A chip with events of its own."""

    def deadline(self) -> int | None:
        """Guest nanoseconds of the next one."""
        ...

    def on_time(self, now: int) -> None:
        """Do it."""
        ...


class IsaLine:
    """An ISA interrupt request wire, which ends at both the 8259 pair and the I/O APIC."""

    def __init__(self, pic: PicPair, ioapic: IoApic, irq: int) -> None:
        self._pic = pic
        self._ioapic = ioapic
        self._irq = irq
        self._pin = ioapic_pin(irq)

    def set(self, level: bool) -> None:
        """Drive the wire."""
        self._pic.set_line(self._irq, level)
        self._ioapic.set_line(self._pin, level)


class BoardState(NamedTuple):
    """Every chip's state."""

    pic: PicPairState
    lapic: LapicState
    ioapic: IoApicState
    pit: PitState
    rtc: RtcState
    serial: UartState
    i8042: I8042State
    vga: VgaState
    sysport: SystemPortsState
    dma: DmaState
    pci: PciState
    ata0: AtaState
    ata1: AtaState
    nic: NicState


class Board:
    """All chips of the PC.

    `memory` is the RAM size in bytes, `start_time` what the clock shows at guest time 0 in Unix seconds,
    `mouse` whether a PS/2 mouse is plugged in, `disks` up to four raw images (bytes or a path; None for an
    empty place): primary master and slave, secondary master and slave.

    The processor side sets `on_interrupt` (called when `interrupt_pending()` may have become true),
    `on_deadline` (called when `deadline()` may have changed), `on_nmi` and `reset_requested` (called with a
    reason). Raises ValueError for more than four disks, FileNotFoundError for an image that is not there.
    """

    def __init__(
        self,
        clock: Clock,
        memory: int,
        disks: Sequence[Image | None] = (),
        *,
        start_time: int = START_TIME,
        mouse: bool = False,
    ) -> None:
        if len(disks) > DISKS:
            raise ValueError(f"{len(disks)} disks given; the board has places for {DISKS}")
        self.on_interrupt: Callable[[], None] = nothing
        self.on_deadline: Callable[[], None] = nothing
        self.on_nmi: Callable[[], None] = nothing
        self.reset_requested: Callable[[str], None] = _ignore
        self._deadline: int | None = None
        self._stale = True
        self.memory = memory
        self.disks = tuple(Disk(image) if image is not None else None for image in disks)
        self._wire_chips(clock, start_time, mouse)
        self.devices: tuple[Device[Any], ...] = (
            self.pit, self.rtc, self.serial, self.i8042, self.vga, self.sysport, self.dma, self.pci,
            *self.ata, self.nic, self.pic,
        )  # fmt: skip
        self._timed: tuple[Timed, ...] = (
            self.pit, self.rtc, self.serial, self.i8042, self.lapic, *self.ata, self.nic,
        )  # fmt: skip
        self.mmio_ranges: tuple[range, ...] = (self.ioapic.mmio, self.lapic.mmio)
        self._wire_ports()

    def _wire_chips(self, clock: Clock, start_time: int, mouse: bool) -> None:
        moved, reset = self._moved, self._reset
        self.pic = PicPair(self._pic_output)
        self.lapic = Lapic(clock, self._interrupt_output, self._level_ended, moved, nmi=self._nmi)
        self.ioapic = IoApic(self.lapic.receive)

        def line(irq: int) -> IsaLine:
            return IsaLine(self.pic, self.ioapic, irq)

        first, second, third, fourth = (self.disks + (None,) * DISKS)[:DISKS]
        at_disks = (first is not None) + (second is not None)
        self.pit = Pit(clock, line(0), moved)
        self.rtc = Rtc(clock, line(8), moved, start_time=start_time, memory=self.memory, disks=at_disks)
        self.serial = Uart(clock, line(4), moved)
        self.i8042 = I8042(clock, line(1), line(12), moved, reset=reset, mouse=mouse)
        self.keyboard = self.i8042.keyboard
        self.vga = Vga(clock)
        self.sysport = SystemPorts(clock, self.pit, reset, self.serial.print)
        self.nic = Nic(clock, line(9), moved)
        self.dma = Dma()
        self.pci = Pci(reset)
        self.ata = (
            Ata(clock, line(14), moved, (first, second)),
            Ata(clock, line(15), moved, (third, fourth), base=0x170, control=0x376, name="ata1"),
        )

    def _wire_ports(self) -> None:
        """One table look-up per access: bytes, and wider ones (split unless the chip takes them whole)."""
        self._read_byte: list[Read] = [_read_nothing] * PORTS
        self._write_byte: list[Write] = [_write_nothing] * PORTS
        self._read_wide: list[Read] = [_read_nothing] * PORTS
        self._write_wide: list[Write] = [_write_nothing] * PORTS
        for device in self.devices:
            for ports in device.ports:
                for port in ports:
                    self._read_byte[port], self._write_byte[port] = device.read, device.write
                    for before in range(max(0, port - 3), port + 1):
                        self._read_wide[before], self._write_wide[before] = (
                            self._read_split,
                            self._write_split,
                        )
        for device in self.devices:
            for ports in device.wide:
                for port in ports:
                    self._read_wide[port], self._write_wide[port] = device.read, device.write

    def _read_split(self, port: int, size: int) -> int:
        value = 0
        for place in range(size):
            at = port + place & 0xFFFF
            value |= self._read_byte[at](at, 1) << 8 * place
        return value

    def _write_split(self, port: int, size: int, value: int) -> None:
        for place in range(size):
            at = port + place & 0xFFFF
            self._write_byte[at](at, 1, value >> 8 * place & 0xFF)

    # --- ports and memory-mapped registers ---------------------------------------------------------

    def read_port(self, port: int, size: int) -> int:
        """IN of 1, 2 or 4 bytes; a port without a chip reads all ones."""
        if size == 1:
            return self._read_byte[port](port, 1)
        return self._read_wide[port](port, size)

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT of 1, 2 or 4 bytes."""
        if size == 1:
            self._write_byte[port](port, 1, value)
        else:
            self._write_wide[port](port, size, value)

    def read_mmio(self, physical: int, size: int) -> int:
        """A load from a chip's registers; all ones where there is none."""
        page = physical & ~0xFFF
        if page == LAPIC_BASE:
            return self.lapic.read_mmio(physical & 0xFFF, size)
        if page == IOAPIC_BASE:
            return self.ioapic.read_mmio(physical & 0xFFF, size)
        return (1 << 8 * size) - 1

    def steady(self, physical: int) -> bool:
        """Does what is read here change by nothing but stores to its page?"""
        return physical & ~0xFFF == LAPIC_BASE and self.lapic.steady(physical & 0xFFF)

    def write_mmio(self, physical: int, size: int, value: int) -> None:
        """A store to a chip's registers."""
        page = physical & ~0xFFF
        if page == LAPIC_BASE:
            self.lapic.write_mmio(physical & 0xFFF, size, value)
        elif page == IOAPIC_BASE:
            self.ioapic.write_mmio(physical & 0xFFF, size, value)

    # --- time --------------------------------------------------------------------------------------

    def _moved(self) -> None:
        self._stale = True
        self.on_deadline()

    def deadline(self) -> int | None:
        """Guest nanoseconds at which `on_time` must be called next; None if no chip has anything to do."""
        if self._stale:
            self._stale = False
            times = [at for device in self._timed if (at := device.deadline()) is not None]
            self._deadline = min(times) if times else None
        return self._deadline

    def on_time(self, now: int) -> None:
        """Let every chip whose deadline has passed do what falls due."""
        for device in self._timed:
            at = device.deadline()
            if at is not None and now >= at:
                device.on_time(now)
        self._stale = True

    # --- interrupts --------------------------------------------------------------------------------

    def _pic_output(self, level: bool) -> None:
        self.lapic.set_lint0(level)

    def _interrupt_output(self, level: bool) -> None:
        if level:
            self.on_interrupt()

    def _level_ended(self, vector: int) -> None:
        self.ioapic.end(vector)

    def _nmi(self) -> None:
        self.on_nmi()

    def interrupt_pending(self) -> bool:
        """The processor's INTR pin."""
        return self.lapic.level

    def acknowledge(self) -> int:
        """INTA: the vector to deliver; a request that has gone meanwhile gives the chip's spurious vector."""
        vector = self.lapic.acknowledge()
        return self.pic.acknowledge() if vector is None else vector

    def _reset(self, reason: str) -> None:
        self.reset_requested(reason)

    # --- state -------------------------------------------------------------------------------------

    def save(self) -> BoardState:
        """Every chip's state, as immutable plain data."""
        return BoardState(
            self.pic.save(), self.lapic.save(), self.ioapic.save(), self.pit.save(), self.rtc.save(),
            self.serial.save(), self.i8042.save(), self.vga.save(), self.sysport.save(), self.dma.save(),
            self.pci.save(), self.ata[0].save(), self.ata[1].save(), self.nic.save(),
        )  # fmt: skip

    def load(self, state: BoardState) -> None:
        """Inverse of `save`; callbacks are not called."""
        self.pic.load(state.pic)
        self.lapic.load(state.lapic)
        self.ioapic.load(state.ioapic)
        self.pit.load(state.pit)
        self.rtc.load(state.rtc)
        self.serial.load(state.serial)
        self.i8042.load(state.i8042)
        self.vga.load(state.vga)
        self.sysport.load(state.sysport)
        self.dma.load(state.dma)
        self.pci.load(state.pci)
        self.ata[0].load(state.ata0)
        self.ata[1].load(state.ata1)
        self.nic.load(state.nic)
        self._stale = True

    def firmware(self) -> tuple[tuple[int, bytes], ...]:
        """What a BIOS leaves in memory, as (physical address, bytes): data areas, MP tables, date."""
        return firmware(sum(disk is not None for disk in self.disks))
