"""NE2000: a National DP8390 with 16 KB of packet memory of its own, on the ISA bus at 300h, IRQ 9.

    300-30F  the DP8390's registers, in pages of 16        310  data port (remote DMA)        318-31F  reset
    packet memory: 0000-001F  the station's address, each byte twice, then 57h 57h      4000-7FFF  RAM, in pages of 256

    CR      7 6     5 4 3          2     1     0
            page    remote DMA     TXP   STA   STP        remote DMA: 1 read, 2 write, 4 and up: end

What is received lies in a ring of pages, each packet behind four bytes: status, next page, length (two bytes,
with the four of the frame's own checksum). CURR is where the next one goes, BNRY what the host has not taken yet.

Sources: National DP8390D data sheet (registers, receive ring, remote DMA); Linux drivers/net/ethernet/8390
(ne.c, lib8390.c: what a driver relies on). A sent frame is on the wire at once; in loopback it comes back into
the ring. Neither collisions nor the wire's errors happen here, so their counters stay 0.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import IrqLine, Moved

__all__ = ["ADDRESS", "DATA_PORT", "LARGEST_FRAME", "Nic", "NicState"]

BASE, DATA_PORT = 0x300, 0x310
ADDRESS = bytes.fromhex("525400123456")
"""The card's address on the network."""
LARGEST_FRAME, SMALLEST_FRAME = 1514, 60
RAM, RAM_END = 0x4000, 0x8000
STP, STA, TXP = 1, 2, 4
PRX, PTX, RXE, OVW, RDC, RST = 0x01, 0x02, 0x04, 0x10, 0x40, 0x80
AR_RUNT, AB, AM, PRO, MON = 0x02, 0x04, 0x08, 0x10, 0x20
LOOP, WORDS = 0x06, 0x01
WIRE_NS = 100_000
"""Guest time from a sent frame to its answer, where a `peer` answers."""
QUEUED = 64
"""Answers that wait for their time; more are lost, as on a wire."""
PAGE0_WRITE = {1: "pstart", 2: "pstop", 3: "bnry", 4: "tpsr", 12: "rcr", 13: "tcr", 14: "dcr", 15: "imr"}
PAGE2_READ = {1: "pstart", 2: "pstop", 4: "tpsr", 12: "rcr", 13: "tcr", 14: "dcr", 15: "imr"}


class Registers(NamedTuple):
    """The DP8390 after a reset."""

    cr: int = 0x21
    isr: int = RST
    imr: int = 0
    dcr: int = 0
    rcr: int = 0
    tcr: int = 0
    pstart: int = 0
    pstop: int = 0
    bnry: int = 0
    curr: int = 0
    tpsr: int = 0
    tbcr: int = 0
    rsar: int = 0
    rbcr: int = 0
    tsr: int = 0
    rsr: int = 0


class NicState(NamedTuple):
    """Registers, station and multicast address, packet RAM, and answers on their way (guest time, frame)."""

    registers: Registers
    address: bytes
    multicast: bytes
    memory: bytes
    coming: tuple[tuple[int, bytes], ...]


def checksum(data: bytes) -> int:
    """Ethernet's CRC-32, highest bit first, as it picks one of 64 multicast filters."""
    found = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            carry = found >> 31 ^ byte >> bit & 1
            found = found << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if carry else 0)
    return found


class Nic:
    """The card. What it sends goes to `on_transmit`; what the wire brings comes by `receive`.

    `peer`, where there is one, answers each sent frame with frames, WIRE_NS of guest time later: a network that
    is a function of the guest alone, so that a run on the virtual clock stays the same each time.
    """

    name = "ne2000"
    ports = (range(BASE, BASE + 0x20),)
    wide = (range(DATA_PORT, DATA_PORT + 1),)

    def __init__(self, clock: Clock, irq: IrqLine, moved: Moved) -> None:
        self._clock, self._irq, self._moved = clock, irq, moved
        self.on_transmit: list[Callable[[bytes], None]] = []
        self.peer: Callable[[bytes], list[bytes]] | None = None
        doubled = bytes(byte for byte in (ADDRESS + b"\0" * 8 + b"WW") for _ in range(2))
        self._prom = doubled
        self._ram = bytearray(RAM_END - RAM)
        self._saved: bytes | None = bytes(self._ram)
        self._address, self._multicast = bytearray(6), bytearray(8)
        self._coming: deque[tuple[int, bytes]] = deque()
        self._set(Registers())

    def _set(self, registers: Registers) -> None:
        (
            self._cr, self._isr, self._imr, self._dcr, self._rcr, self._tcr, self._pstart, self._pstop, self._bnry,
            self._curr, self._tpsr, self._tbcr, self._rsar, self._rbcr, self._tsr, self._rsr,
        ) = registers  # fmt: skip

    def _get(self) -> Registers:
        return Registers(
            self._cr, self._isr, self._imr, self._dcr, self._rcr, self._tcr, self._pstart, self._pstop, self._bnry,
            self._curr, self._tpsr, self._tbcr, self._rsar, self._rbcr, self._tsr, self._rsr,
        )  # fmt: skip

    # --- interrupts --------------------------------------------------------------------------------

    def _raise(self, cause: int) -> None:
        self._isr |= cause
        self._update()

    def _update(self) -> None:
        self._irq.set(bool(self._isr & self._imr & 0x7F))

    # --- ports -------------------------------------------------------------------------------------

    def read(self, port: int, size: int) -> int:
        """IN."""
        register = port - BASE
        if register == 0x10:
            return self._remote_read(size)
        if register >= 0x18:
            self._reset()
            return 0
        if register > 0x10:
            return 0xFF
        return self._read_register(register) if register else self._cr

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        register = port - BASE
        if register == 0x10:
            self._remote_write(size, value)
        elif register == 0:
            self._command(value & 0xFF)
        elif register < 0x10:
            self._write_register(register, value & 0xFF)

    def _reset(self) -> None:
        self._set(Registers(imr=self._imr, dcr=self._dcr, pstart=self._pstart, pstop=self._pstop, bnry=self._bnry,
                            curr=self._curr, rcr=self._rcr, tcr=self._tcr))  # fmt: skip
        self._update()

    def _read_register(self, register: int) -> int:
        page = self._cr >> 6
        if page == 1:
            if register < 7:
                return self._address[register - 1]
            return self._curr if register == 7 else self._multicast[register - 8]
        if page == 2:
            return int(getattr(self, f"_{PAGE2_READ[register]}")) if register in PAGE2_READ else 0
        if page == 3:
            return 0
        found = {1: self._rsar & 0xFF, 2: self._rsar >> 8, 3: self._bnry, 4: self._tsr, 7: self._isr,
                 8: self._rsar & 0xFF, 9: self._rsar >> 8, 12: self._rsr}  # fmt: skip
        return found.get(register, 0)

    def _write_register(self, register: int, value: int) -> None:
        page = self._cr >> 6
        if page == 1:
            if register < 7:
                self._address[register - 1] = value
            elif register == 7:
                self._curr = value
            else:
                self._multicast[register - 8] = value
        elif page == 0:
            self._write_page0(register, value)

    def _write_page0(self, register: int, value: int) -> None:
        if register in PAGE0_WRITE:
            setattr(self, f"_{PAGE0_WRITE[register]}", value)
        elif register == 7:
            self._isr &= ~(value & 0x7F)
        else:
            low, name = register in {5, 8, 10}, {5: "tbcr", 6: "tbcr", 8: "rsar", 9: "rsar", 10: "rbcr", 11: "rbcr"}
            before = int(getattr(self, f"_{name[register]}"))
            setattr(self, f"_{name[register]}", before & 0xFF00 | value if low else before & 0xFF | value << 8)
        self._update()

    def _command(self, value: int) -> None:
        self._cr = value & ~TXP
        self._isr = self._isr | RST if value & STP else self._isr & ~RST
        if value & 0x38 in (0x08, 0x10) and not self._rbcr:
            self._isr |= RDC  # nothing to move: done
        if value & TXP and not value & STP:
            self._transmit()
        self._update()

    # --- packet memory -----------------------------------------------------------------------------

    def _byte(self, address: int) -> int:
        if RAM <= address < RAM_END:
            return self._ram[address - RAM]
        return self._prom[address] if address < len(self._prom) else 0xFF

    def _next_remote(self) -> int:
        """The address that remote DMA is at; one byte on."""
        at = self._rsar
        self._rsar = at + 1 & 0xFFFF
        if self._rsar == self._pstop << 8:
            self._rsar = self._pstart << 8
        self._rbcr -= 1
        if not self._rbcr:
            self._raise(RDC)
        return at

    def _width(self, size: int) -> int:
        """Bytes that one access moves: a card that was set to bytes moves one."""
        return min(size, self._rbcr) if self._dcr & WORDS else min(1, self._rbcr)

    def _remote_read(self, size: int) -> int:
        if self._cr & 0x38 != 0x08:
            return 0
        return sum(self._byte(self._next_remote()) << 8 * place for place in range(self._width(size)))

    def _remote_write(self, size: int, value: int) -> None:
        if self._cr & 0x38 != 0x10:
            return
        for place in range(self._width(size)):
            at = self._next_remote()
            if RAM <= at < RAM_END:
                self._ram[at - RAM] = value >> 8 * place & 0xFF
        self._saved = None

    # --- the wire ----------------------------------------------------------------------------------

    def _transmit(self) -> None:
        start = (self._tpsr << 8) - RAM
        frame = bytes(self._ram[start : start + self._tbcr]) if start >= 0 else b""
        if len(frame) == self._tbcr:
            if self._tcr & LOOP:
                self._store(frame)
            elif frame:
                self._send(frame)
        self._tsr = 1
        self._isr |= PTX

    def _send(self, frame: bytes) -> None:
        for listener in self.on_transmit:
            listener(frame)
        if self.peer is not None:
            due = self._clock.now() + WIRE_NS
            self._coming.extend((due, answer) for answer in self.peer(frame)[: QUEUED - len(self._coming)])
            self._moved()

    def receive(self, frame: bytes) -> None:
        """A frame from the wire: into the ring if it is for this station; lost if there is no room, or no ring."""
        if not self._tcr & LOOP and len(frame) <= LARGEST_FRAME:
            self._store(frame)

    def _wanted(self, frame: bytes) -> bool:
        if self._rcr & PRO:
            return True
        if frame[:6] == b"\xff" * 6:
            return bool(self._rcr & AB)
        if frame[:1] and frame[0] & 1:
            place = checksum(frame[:6]) >> 26
            return bool(self._rcr & AM) and bool(self._multicast[place >> 3] >> (place & 7) & 1)
        return frame[:6] == bytes(self._address)

    def _store(self, frame: bytes) -> None:
        start, stop = self._pstart << 8, self._pstop << 8
        if self._cr & STP or not self._wanted(frame) or self._rcr & MON:
            return
        if not (RAM <= start < stop <= RAM_END and start <= self._curr << 8 < stop):
            return  # no ring was set up
        data = frame.ljust(SMALLEST_FRAME, b"\0")
        count = len(data) + 4
        at, pages = self._curr << 8, (count + 4 + 255) // 256
        if pages >= self._free_pages():
            self._raise(OVW)
            return
        following = start + (at - start + pages * 256) % (stop - start)
        self._rsr = 0x21 if frame[:1] and frame[0] & 1 else 0x01
        header = bytes((self._rsr, following >> 8, count & 0xFF, count >> 8))
        for byte in header + data:
            self._ram[at - RAM] = byte
            at = at + 1 if at + 1 < stop else start
        self._saved = None
        self._curr = following >> 8
        self._raise(PRX)

    def _free_pages(self) -> int:
        size = self._pstop - self._pstart
        return (self._bnry - self._curr - 1) % size + 1

    # --- time and state ----------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When the next answer arrives."""
        return self._coming[0][0] if self._coming else None

    def on_time(self, now: int) -> None:
        """Answers arrive."""
        while self._coming and self._coming[0][0] <= now:
            self.receive(self._coming.popleft()[1])
        self._moved()

    def save(self) -> NicState:
        """Registers and packet memory, and what is on the wire."""
        if self._saved is None:
            self._saved = bytes(self._ram)
        return NicState(
            self._get(), bytes(self._address), bytes(self._multicast), self._saved, tuple(self._coming)
        )

    def load(self, state: NicState) -> None:
        """Inverse of `save`."""
        self._set(state.registers)
        self._address[:], self._multicast[:] = state.address, state.multicast
        self._ram[:], self._saved = state.memory, state.memory
        self._coming = deque(state.coming)
