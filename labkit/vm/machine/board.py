"""The PC's board: every chip in its place, the port map, the interrupt wires, and what a BIOS leaves in memory.

The processor side sees `Board` alone: ports, MMIO, one INTR pin with its acknowledge cycle, and the guest time of
the next event. Nothing here depends on the host's clock or on object identity.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import Device, nothing
from labkit.vm.machine.devices.dma import Dma, DmaState
from labkit.vm.machine.devices.i8042 import I8042, I8042State
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


def _read_nothing(port: int, size: int) -> int:
    return (1 << 8 * size) - 1


def _write_nothing(port: int, size: int, value: int) -> None:
    pass


class IsaLine:
    """An ISA interrupt request wire, which ends at both the 8259 pair and the I/O APIC."""

    def __init__(self, pic: PicPair, irq: int) -> None:
        self._pic = pic
        self._irq = irq

    def set(self, level: bool) -> None:
        """Drive the wire."""
        self._pic.set_line(self._irq, level)


class BoardState(NamedTuple):
    """Every chip's state."""

    pic: PicPairState
    pit: PitState
    rtc: RtcState
    serial: UartState
    i8042: I8042State
    vga: VgaState
    sysport: SystemPortsState
    dma: DmaState
    pci: PciState


class Board:
    """All chips; `memory` in bytes, `start_time` in Unix seconds, `mouse`: whether a PS/2 mouse is plugged in.

    The processor side sets `on_interrupt` (called when `interrupt_pending()` may have become true),
    `on_deadline` (called when `deadline()` may have changed) and `reset_requested` (called with a reason).
    """

    def __init__(
        self, clock: Clock, memory: int, start_time: int = START_TIME, mouse: bool = False
    ) -> None:
        self.on_interrupt: Callable[[], None] = nothing
        self.on_deadline: Callable[[], None] = nothing
        self.reset_requested: Callable[[str], None] = lambda reason: None
        self._deadline: int | None = None
        self._stale = True
        self.memory = memory
        moved, reset = self._moved, self._reset
        self.pic = PicPair(self._pic_output)
        self.pit = Pit(clock, IsaLine(self.pic, 0), moved)
        self.rtc = Rtc(clock, IsaLine(self.pic, 8), moved, start_time, memory)
        self.serial = Uart(clock, IsaLine(self.pic, 4), moved)
        self.i8042 = I8042(clock, IsaLine(self.pic, 1), IsaLine(self.pic, 12), moved, reset, mouse)
        self.keyboard = self.i8042.keyboard
        self.vga = Vga(clock)
        self.sysport = SystemPorts(clock, self.pit, reset)
        self.dma = Dma()
        self.pci = Pci(reset)
        self.devices: tuple[Device[Any], ...] = (
            self.pic, self.pit, self.rtc, self.serial, self.i8042, self.vga, self.sysport, self.dma, self.pci,
        )  # fmt: skip
        self._timed: tuple[Device[Any], ...] = (self.pit, self.rtc, self.serial, self.i8042)
        self.mmio_ranges: tuple[range, ...] = ()
        self._wire_ports()

    def _wire_ports(self) -> None:
        """One table look-up per access: byte accesses, and wider ones (split unless the chip takes them whole)."""
        self._read_byte: list[Read] = [_read_nothing] * PORTS
        self._write_byte: list[Write] = [_write_nothing] * PORTS
        self._read_wide: list[Read] = [_read_nothing] * PORTS
        self._write_wide: list[Write] = [_write_nothing] * PORTS
        for device in self.devices:
            for ports in device.ports:
                for port in ports:
                    self._read_byte[port], self._write_byte[port] = device.read, device.write
                    for before in range(max(0, port - 3), port + 1):
                        self._read_wide[before], self._write_wide[before] = self._read_split, self._write_split
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

    def mmio_at(self, physical: int) -> bool:
        """Whether a physical address belongs to a chip's registers and not to memory."""
        return any(physical in mmio for mmio in self.mmio_ranges)

    def read_mmio(self, physical: int, size: int) -> int:
        """A load from a chip's registers; all ones where there is none."""
        return (1 << 8 * size) - 1

    def write_mmio(self, physical: int, size: int, value: int) -> None:
        """A store to a chip's registers."""

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

    # --- interrupts --------------------------------------------------------------------------------

    def _pic_output(self, level: bool) -> None:
        if level:
            self.on_interrupt()

    def interrupt_pending(self) -> bool:
        """The processor's INTR pin."""
        return self.pic.level

    def acknowledge(self) -> int:
        """INTA: the vector to deliver; a request that has gone meanwhile gives the chip's spurious vector."""
        return self.pic.acknowledge()

    def _reset(self, reason: str) -> None:
        self.reset_requested(reason)

    # --- state -------------------------------------------------------------------------------------

    def save(self) -> BoardState:
        """Every chip's state, as immutable plain data."""
        return BoardState(
            self.pic.save(), self.pit.save(), self.rtc.save(), self.serial.save(), self.i8042.save(),
            self.vga.save(), self.sysport.save(), self.dma.save(), self.pci.save(),
        )  # fmt: skip

    def load(self, state: BoardState) -> None:
        """Inverse of `save`; callbacks are not called."""
        for device, saved in zip(self.devices, state, strict=True):
            device.load(saved)
        self._stale = True

    def firmware(self) -> tuple[tuple[int, bytes], ...]:
        """What a BIOS leaves in memory, as (physical address, bytes)."""
        return ()
