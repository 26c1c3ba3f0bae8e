"""16550A serial port; COM1 is the machine's console.

Source: National Semiconductor PC16550D data sheet. A character is sent the moment it is written: the
transmitter is always empty when the guest looks, and the THRE interrupt falls and rises again with each
write. Received characters wait in a queue of any length outside the chip and enter its FIFO as it has room,
so none is ever overrun.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import IrqLine, Moved
from labkit.vm.machine.devices.history import EMPTY, History

__all__ = ["Uart", "UartState"]

CRYSTAL_HZ = 1_843_200
RDA, THRI, RLSI, MSI = 1, 2, 4, 8  # IER
FIFO_ENABLE, CLEAR_RX = 1, 2  # FCR
DLAB = 0x80  # LCR
DTR, RTS, OUT1, OUT2, LOOP = 1, 2, 4, 8, 16  # MCR
DR, OE, THRE, TEMT = 0x01, 0x02, 0x20, 0x40  # LSR
CONNECTED = 0xB0  # MSR of a terminal that is there: DCD, DSR, CTS
TRIGGERS = (1, 4, 8, 14)
FIFO_SIZE = 16


class UartState(NamedTuple):
    """Registers, the receive FIFO, typed bytes not yet in it, and everything printed."""

    ier: int
    fcr: int
    lcr: int
    mcr: int
    modem_delta: int
    scratch: int
    divisor: int
    thre_pending: bool
    overrun: bool
    timeout: bool
    timeout_at: int | None
    gated: bool
    fifo: bytes
    queue: bytes
    output: History


class Uart:
    """One 16550A at `base`.

    `output` holds everything that the guest has printed; each of `on_output` is called with what is new.
    """

    wide: tuple[range, ...] = ()

    def __init__(
        self, clock: Clock, irq: IrqLine, moved: Moved, base: int = 0x3F8, name: str = "com1"
    ) -> None:
        self._clock = clock
        self._irq = irq
        self._moved = moved
        self._base = base
        self.name = name
        self.ports = (range(base, base + 8),)
        self.output = bytearray()
        self.on_output: list[Callable[[bytes], None]] = []
        self._fifo: deque[int] = deque()
        self._queue = bytearray()
        self._ier = self._fcr = self._mcr = self._modem_delta = self._scratch = 0
        self._lcr = 3
        self._divisor = 1
        self._thre_pending = self._overrun = self._timeout = False
        self._timeout_at: int | None = None
        self._gated = False
        self._history = EMPTY

    # --- the other end of the wire -----------------------------------------------------------------

    def type(self, data: bytes) -> None:
        """Queue `data` as input; the guest can read it in order, each byte as soon as the FIFO has room."""
        self._queue += data
        self._fill()

    def _fill(self) -> None:
        queue = self._queue
        if queue and not self._mcr & LOOP:
            room = (FIFO_SIZE if self._fcr & FIFO_ENABLE else 1) - len(self._fifo)
            if room > 0:
                self._fifo.extend(queue[:room])
                del queue[:room]
                self._arm_timeout()
        self._update()

    def _receive_loop(self, value: int) -> None:
        if len(self._fifo) >= (FIFO_SIZE if self._fcr & FIFO_ENABLE else 1):
            self._overrun = True
            if not self._fcr & FIFO_ENABLE:
                self._fifo[0] = value  # the holding register is overwritten; a full FIFO keeps its contents
        else:
            self._fifo.append(value)
        self._arm_timeout()
        self._update()

    def _arm_timeout(self) -> None:
        """Four character times without a read, and the FIFO asks for attention below its trigger level."""
        self._timeout = False
        at = None
        if self._fcr & FIFO_ENABLE and self._fifo:
            bits = 2 + 5 + (self._lcr & 3) + (self._lcr >> 2 & 1) + (self._lcr >> 3 & 1)
            at = self._clock.now() + 4 * bits * 16 * (self._divisor or 0x10000) * 1_000_000_000 // CRYSTAL_HZ
        if at != self._timeout_at:
            self._timeout_at = at
            self._moved()

    # --- interrupts --------------------------------------------------------------------------------

    def _cause(self) -> int:
        """IIR bits 3-0: the interrupt of highest priority, 1 if none."""
        ier = self._ier
        if ier & RLSI and self._overrun:
            return 6
        if ier & RDA and self._fifo:
            level = TRIGGERS[self._fcr >> 6] if self._fcr & FIFO_ENABLE else 1
            if len(self._fifo) >= level:
                return 4
            if self._timeout:
                return 12
        if ier & THRI and self._thre_pending:
            return 2
        if ier & MSI and self._modem_delta:
            return 0
        return 1

    def _update(self) -> None:
        # On a PC the OUT2 pin opens the way to the interrupt line, and loopback forces the pin inactive. A
        # guest that has never raised OUT2 was written on a board where the pin goes nowhere.
        open_way = not self._gated or self._mcr & (OUT2 | LOOP) == OUT2
        self._irq.set(open_way and self._cause() != 1)

    # --- registers ---------------------------------------------------------------------------------

    def read(self, port: int, size: int) -> int:
        """IN."""
        register = port - self._base
        if register == 5:
            overrun, self._overrun = self._overrun, False
            if overrun:
                self._update()
            return THRE | TEMT | (DR if self._fifo else 0) | (OE if overrun else 0)
        if register == 0:
            return self._divisor & 0xFF if self._lcr & DLAB else self._read_data()
        if register == 1:
            return self._divisor >> 8 if self._lcr & DLAB else self._ier
        if register == 2:
            return self._read_iir()
        if register == 3:
            return self._lcr
        if register == 4:
            return self._mcr
        if register == 6:
            return self._read_msr()
        return self._scratch

    def _read_data(self) -> int:
        if not self._fifo:
            return 0
        value = self._fifo.popleft()
        self._arm_timeout()
        self._fill()
        return value

    def _read_iir(self) -> int:
        cause = self._cause()
        if cause == 2:
            self._thre_pending = False
            self._update()
        return cause | (0xC0 if self._fcr & FIFO_ENABLE else 0)

    def _lines(self) -> int:
        #   7    6   5    4    3     2     1     0
        #   DCD  RI  DSR  CTS  dDCD  tRI   dDSR  dCTS
        mcr = self._mcr
        if not mcr & LOOP:
            return CONNECTED
        return (mcr & RTS) << 3 | (mcr & DTR) << 5 | (mcr & OUT1) << 4 | (mcr & OUT2) << 4

    def _read_msr(self) -> int:
        delta, self._modem_delta = self._modem_delta, 0
        if delta:
            self._update()
        return self._lines() | delta

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        register, value = port - self._base, value & 0xFF
        if register == 0:
            if self._lcr & DLAB:
                self._divisor = self._divisor & 0xFF00 | value
            else:
                self._send(value)
        elif register == 1:
            if self._lcr & DLAB:
                self._divisor = self._divisor & 0xFF | value << 8
            else:
                self._write_ier(value & 0x0F)
        elif register == 2:
            self._write_fcr(value)
        elif register == 3:
            self._lcr = value
        elif register == 4:
            self._write_mcr(value & 0x1F)
        elif register == 7:
            self._scratch = value

    def print(self, value: int) -> None:
        """Let a byte appear on the console."""
        self.output.append(value)
        if self.on_output:
            piece = bytes((value,))
            for listener in self.on_output:
                listener(piece)

    def _send(self, value: int) -> None:
        self._thre_pending = False
        self._update()
        if self._mcr & LOOP:
            self._receive_loop(value & 0xFF >> 3 - (self._lcr & 3))
        else:
            self.print(value)
        self._thre_pending = True
        self._update()

    def _write_ier(self, value: int) -> None:
        if value & THRI and not self._ier & THRI:
            self._thre_pending = True  # enabling the interrupt with an empty transmitter raises it at once
        self._ier = value
        self._update()

    def _write_fcr(self, value: int) -> None:
        #   7 6      5 4  3    2         1         0
        #   trigger  -    DMA  clear TX  clear RX  enable
        if (value ^ self._fcr) & FIFO_ENABLE or (value & CLEAR_RX and value & FIFO_ENABLE):
            self._fifo.clear()
        self._fcr = value & 0xC9 if value & FIFO_ENABLE else 0
        self._arm_timeout()
        self._fill()

    def _write_mcr(self, value: int) -> None:
        before = self._lines()
        self._mcr = value
        self._gated = self._gated or bool(value & OUT2)
        changed = before ^ self._lines()
        # the ring indicator reports only its trailing edge
        ring = 4 if changed & before & 0x40 else 0
        self._modem_delta |= changed >> 4 & 0x0B | ring
        self._fill()

    # --- time and state ----------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When the receive FIFO times out."""
        return self._timeout_at

    def on_time(self, now: int) -> None:
        """Receive timeout."""
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            self._timeout = True
            self._moved()
            self._update()

    def save(self) -> UartState:
        """Registers, FIFO, queue; the output is shared with earlier states, not copied."""
        if len(self.output) != self._history.length:
            self._history = self._history.extended(bytes(self.output[self._history.length :]))
        return UartState(
            self._ier, self._fcr, self._lcr, self._mcr, self._modem_delta, self._scratch, self._divisor,
            self._thre_pending, self._overrun, self._timeout, self._timeout_at, self._gated,
            bytes(self._fifo), bytes(self._queue), self._history,
        )  # fmt: skip

    def load(self, state: UartState) -> None:
        """Inverse of `save`; `output` stays the same object, and `on_output` is not called."""
        (
            self._ier, self._fcr, self._lcr, self._mcr, self._modem_delta, self._scratch, self._divisor,
            self._thre_pending, self._overrun, self._timeout, self._timeout_at, self._gated,
            fifo, queue, history,
        ) = state  # fmt: skip
        self._fifo.clear()
        self._fifo.extend(fifo)
        self._queue[:] = queue
        kept = history.common(self._history)
        del self.output[kept:]
        self.output += history.after(kept)
        self._history = history
