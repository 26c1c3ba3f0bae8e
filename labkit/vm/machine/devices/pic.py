"""8259A programmable interrupt controllers, two of them cascaded as in every PC since the AT.

Source: Intel 8259A data sheet (231468), and the 82371AB (PIIX4) data sheet for the edge/level control
registers ELCR at 4D0h and 4D1h. The 8080 (MCS-80) vector mode is not there: no PC uses it.
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Pic8259", "PicPair", "PicPairState", "PicState"]

# ICW1, written to port 20h with bit 4 set
ICW1_IC4 = 0x01  # ICW4 follows
ICW1_SNGL = 0x02  # no ICW3
ICW1_LTIM = 0x08  # all inputs level-triggered
ICW1 = 0x10

# ICW4
ICW4_AEOI = 0x02
ICW4_SFNM = 0x10

OCW3 = 0x08
MASTER_COMMAND, MASTER_DATA, SLAVE_COMMAND, SLAVE_DATA, ELCR1, ELCR2 = 0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1
CASCADE = 2
SPURIOUS = 7


class PicState(NamedTuple):
    """Registers of one 8259A; `stage` counts the initialization words still awaited (0: none)."""

    lines: int = 0
    latch: int = 0
    imr: int = 0xFF
    isr: int = 0
    base: int = 0
    lowest: int = 7
    stage: int = 0
    single: bool = False
    icw4_follows: bool = False
    level_mode: bool = False
    auto_eoi: bool = False
    rotate_auto_eoi: bool = False
    fully_nested_special: bool = False
    special_mask: bool = False
    poll: bool = False
    read_isr: bool = False
    elcr: int = 0


class Pic8259:
    """One 8259A: eight request inputs, one INT output.

    `output(level)` is called whenever the INT pin may have changed; `elcr_mask` are the inputs that the
    edge/level register can make level-triggered.
    """

    def __init__(
        self, output: Callable[[bool], None], state: PicState, *, elcr_mask: int, master: bool
    ) -> None:
        self.auto_eoi = self.rotate_auto_eoi = self.poll = self.read_isr = False
        self.output = output
        self.elcr_mask = elcr_mask
        self.master = master
        self.load(state)

    def requests(self) -> int:
        """IRR: latched edges of edge-triggered inputs, present levels of level-triggered ones."""
        level = 0xFF if self.level_mode else self.elcr
        return (self.latch & ~level) | (self.lines & level)

    def set_line(self, pin: int, level: bool) -> None:
        """Drive request input `pin` (0-7). An edge that drops before INTA is withdrawn (data sheet)."""
        bit = 1 << pin
        if level:
            if self.lines & bit:
                return
            self.lines |= bit
            self.latch |= bit
        else:
            if not self.lines & bit:
                return
            self.lines &= ~bit
            self.latch &= ~bit
        self.output(self.pending() >= 0)

    def _highest(self, bits: int) -> int:
        """The input of `bits` (not 0) with the highest priority; the one after `lowest` comes first."""
        first = (self.lowest + 1) & 7
        turned = (bits >> first) | (bits << (8 - first)) & 0xFF
        return ((turned & -turned).bit_length() - 1 + first) & 7

    def pending(self) -> int:
        """The input that INTA would acknowledge, or -1 when INT is low."""
        wanted = self.requests() & ~self.imr
        if not wanted:
            return -1
        pin = self._highest(wanted)
        blocking = self.isr
        if self.special_mask:
            blocking &= ~self.imr
        if self.fully_nested_special and self.master:
            blocking &= ~(1 << CASCADE)
        if not blocking:
            return pin
        served = self._highest(blocking)
        return pin if (pin - self.lowest - 1) & 7 < (served - self.lowest - 1) & 7 else -1

    def acknowledge(self) -> int:
        """INTA: the input served, or -1 if the request has gone (the chip then answers as input 7)."""
        pin = self.pending()
        if pin >= 0:
            self.latch &= ~(1 << pin)
            if not self.auto_eoi:
                self.isr |= 1 << pin
            elif self.rotate_auto_eoi:
                self.lowest = pin
        # INT falls at INTA and rises again if something else is waiting: the master's input sees an edge.
        self.output(False)
        self.output(self.pending() >= 0)
        return pin

    def read(self, data: bool) -> int:
        """IN from the command (False) or data (True) port."""
        if self.poll:
            self.poll = False
            pin = self.acknowledge()
            return 0x80 | pin if pin >= 0 else 0
        if data:
            return self.imr
        return self.isr if self.read_isr else self.requests()

    def write(self, data: bool, value: int) -> None:
        """OUT to the command (False) or data (True) port."""
        if data:
            self._write_data(value)
        elif value & ICW1:
            self._start(value)
        elif value & OCW3:
            self._ocw3(value)
        else:
            self._ocw2(value)
        self.output(self.pending() >= 0)

    def _start(self, value: int) -> None:
        self.latch = 0
        self.imr = self.isr = 0
        self.lowest = 7
        self.special_mask = self.poll = self.read_isr = False
        self.auto_eoi = self.rotate_auto_eoi = self.fully_nested_special = False
        self.single = bool(value & ICW1_SNGL)
        self.icw4_follows = bool(value & ICW1_IC4)
        self.level_mode = bool(value & ICW1_LTIM)
        self.stage = 2

    def _write_data(self, value: int) -> None:
        # stage 2: ICW2 (vector base), 3: ICW3 (cascade wiring, fixed on a PC board), 4: ICW4, 0: OCW1
        stage = self.stage
        if stage == 0:
            self.imr = value
            return
        if stage == 2:
            self.base = value & 0xF8
        elif stage == 4:
            self.auto_eoi = bool(value & ICW4_AEOI)
            self.fully_nested_special = bool(value & ICW4_SFNM)
        if stage == 2 and not self.single:
            self.stage = 3
        elif stage < 4 and self.icw4_follows:
            self.stage = 4
        else:
            self.stage = 0

    def _ocw2(self, value: int) -> None:
        #   7   6    5    4 3  2 1 0
        #   R   SL   EOI  0 0  level
        rotate, specific, eoi = bool(value & 0x80), bool(value & 0x40), bool(value & 0x20)
        level = value & 7
        if not eoi:
            if specific:
                if rotate:
                    self.lowest = level
            else:
                self.rotate_auto_eoi = rotate
            return
        if not specific:
            served = self.isr
            if self.special_mask:
                served &= ~self.imr  # a non-specific EOI does not clear a level masked by special mask mode
            if not served:
                return
            level = self._highest(served)
        self.isr &= ~(1 << level)
        if rotate:
            self.lowest = level

    def _ocw3(self, value: int) -> None:
        #   7   6     5    4 3  2  1   0
        #   0   ESMM  SMM  0 1  P  RR  RIS
        if value & 0x40:
            self.special_mask = bool(value & 0x20)
        if value & 0x04:
            self.poll = True
        if value & 0x02:
            self.read_isr = bool(value & 1)

    def write_elcr(self, value: int) -> None:
        """OUT to the chip's edge/level control register."""
        self.elcr = value & self.elcr_mask
        self.output(self.pending() >= 0)

    def save(self) -> PicState:
        """All registers."""
        return PicState(
            self.lines, self.latch, self.imr, self.isr, self.base, self.lowest, self.stage, self.single,
            self.icw4_follows, self.level_mode, self.auto_eoi, self.rotate_auto_eoi,
            self.fully_nested_special, self.special_mask, self.poll, self.read_isr, self.elcr,
        )  # fmt: skip

    def load(self, state: PicState) -> None:
        """Inverse of `save`; the INT output is not driven."""
        (
            self.lines, self.latch, self.imr, self.isr, self.base, self.lowest, self.stage, self.single,
            self.icw4_follows, self.level_mode, self.auto_eoi, self.rotate_auto_eoi,
            self.fully_nested_special, self.special_mask, self.poll, self.read_isr, self.elcr,
        ) = state  # fmt: skip


class PicPairState(NamedTuple):
    """Both chips and the master's INT pin."""

    master: PicState
    slave: PicState
    level: bool


class PicPair:
    """Master and slave as a BIOS leaves them: vectors 08h and 70h; timer, keyboard, cascade unmasked.

    `output(level)` is the INTR wire to the processor; it is called when the level changes.
    """

    name = "pic"
    ports = (range(0x20, 0x22), range(0xA0, 0xA2), range(0x4D0, 0x4D2))
    wide: tuple[range, ...] = ()

    def __init__(self, output: Callable[[bool], None]) -> None:
        self._output = output
        self.level = False
        # the timer's output is high when the board starts, and its edge has long been served
        master = PicState(base=0x08, imr=0xB8, lines=1)
        slave = PicState(base=0x70, imr=0x8F)
        self.master = Pic8259(self._drive, master, elcr_mask=0xF8, master=True)
        self.slave = Pic8259(self._drive_master, slave, elcr_mask=0xDE, master=False)

    def _drive(self, level: bool) -> None:
        if level != self.level:
            self.level = level
            self._output(level)

    def _drive_master(self, level: bool) -> None:
        self.master.set_line(CASCADE, level)

    def set_line(self, irq: int, level: bool) -> None:
        """Drive ISA interrupt request `irq` (0-15; 2 is the cascade and not a request line)."""
        if irq < 8:
            self.master.set_line(irq, level)
        else:
            self.slave.set_line(irq - 8, level)

    def acknowledge(self) -> int:
        """INTA: the vector (0-255); that of IRQ7 or IRQ15 if the request has gone meanwhile."""
        pin = self.master.acknowledge()
        if pin < 0:
            return self.master.base + SPURIOUS
        if pin != CASCADE:
            return self.master.base + pin
        pin = self.slave.acknowledge()
        return self.slave.base + (pin if pin >= 0 else SPURIOUS)

    def read(self, port: int, size: int) -> int:
        """IN."""
        if port <= MASTER_DATA:
            return self.master.read(port == MASTER_DATA)
        if port <= SLAVE_DATA:
            return self.slave.read(port == SLAVE_DATA)
        return self.master.elcr if port == ELCR1 else self.slave.elcr

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        if port <= MASTER_DATA:
            self.master.write(port == MASTER_DATA, value)
        elif port <= SLAVE_DATA:
            self.slave.write(port == SLAVE_DATA, value)
        elif port == ELCR1:
            self.master.write_elcr(value)
        else:
            self.slave.write_elcr(value)

    def deadline(self) -> int | None:
        """None: the chip has no clock."""
        return None

    def on_time(self, now: int) -> None:
        """Nothing."""

    def save(self) -> PicPairState:
        """Both chips."""
        return PicPairState(self.master.save(), self.slave.save(), self.level)

    def load(self, state: PicPairState) -> None:
        """Inverse of `save`."""
        self.master.load(state.master)
        self.slave.load(state.slave)
        self.level = state.level
