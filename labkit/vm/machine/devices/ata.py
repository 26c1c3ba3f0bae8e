"""ATA disks on one channel, programmed I/O: the task file, commands, and their interrupts.

Source: ATA/ATAPI-6 (T13/1410D). A command takes 20 us of guest time, as does each further block of data, so
that interrupts arrive after the guest has finished setting up, as on a real disk. No DMA.
"""

from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.ata_drive import Drive, DriveState, identify
from labkit.vm.machine.devices.device import IrqLine, Moved
from labkit.vm.machine.devices.disk import SECTOR, Disk

__all__ = ["COMMAND_NS", "Ata", "AtaState"]

COMMAND_NS = 20_000
BSY, DRDY, DSC, DRQ, ERR = 0x80, 0x40, 0x10, 0x08, 0x01
IDNF, ABRT = 0x10, 0x04
READY = DRDY | DSC
NIEN, SRST, HOB = 0x02, 0x04, 0x80
LBA, SLAVE = 0x40, 0x10
FEATURES, COUNT, LOW, MIDDLE, HIGH = range(5)
# what the running command waits for, beyond the interface
IDLE, EXECUTE, READ_NEXT, WRITE_DONE, RESET_DONE = range(5)

READS = {0x20: (1, False), 0x21: (1, False), 0x24: (1, True), 0xC4: (0, False), 0x29: (0, True)}
WRITES = {0x30: (1, False), 0x31: (1, False), 0x34: (1, True), 0xC5: (0, False), 0x39: (0, True)}
VERIFIES = {0x40: False, 0x41: False, 0x42: True}
NOTHING_TO_DO = frozenset((0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA, 0x70))


class AtaState(NamedTuple):
    """Task file (each register with the value written before it), the transfer under way, and the drives."""

    task: tuple[int, ...]
    previous: tuple[int, ...]
    error: int
    status: int
    device: int
    control: int
    command: int
    phase: int
    due: int | None
    interrupt: bool
    buffer: bytes
    place: int
    sector: int
    remaining: int
    block: int
    drives: tuple[DriveState | None, DriveState | None]


class Ata:
    """One channel with up to two disks; `base` and `control` are its first command and its control port."""

    def __init__(
        self,
        clock: Clock,
        irq: IrqLine,
        moved: Moved,
        disks: tuple[Disk | None, Disk | None],
        *,
        base: int = 0x1F0,
        control: int = 0x3F6,
        name: str = "ata0",
    ) -> None:
        self._clock = clock
        self._irq = irq
        self._moved = moved
        self._base = base
        self.name = name
        self._drives = tuple(Drive(disk) if disk is not None else None for disk in disks)
        here = any(disk is not None for disk in disks)
        self.ports: tuple[range, ...] = (range(base, base + 8), range(control, control + 1)) if here else ()
        self.wide: tuple[range, ...] = (range(base, base + 1),) if here else ()
        self._task = [0, 1, 1, 0, 0]
        self._previous = [0] * 5
        self._error = 1
        self._status = READY
        self._device = 0
        self._control = 0
        self._command = 0
        self._phase = IDLE
        self._due: int | None = None
        self._interrupt = False
        self._buffer = bytearray()
        self._place = 0
        self._sector = self._remaining = self._block = 0

    def _drive(self) -> Drive | None:
        return self._drives[self._device >> 4 & 1]

    # --- ports ------------------------------------------------------------------------------------------

    def read(self, port: int, size: int) -> int:
        """IN."""
        register = port - self._base
        if register == 0:
            return self._read_data(size)
        if register == 7:
            status = self._visible_status()
            if self._interrupt and self._drive() is not None:
                self._interrupt = False
                self._drive_line()
            return status
        if not 0 <= register < 8:
            return self._visible_status()
        if register == 6:
            return self._device | 0xA0
        if register == 1:
            return self._error
        old = self._control & HOB
        return (self._previous if old else self._task)[register - 1]

    def _visible_status(self) -> int:
        if self._due is not None and self._clock.now() >= self._due:
            self.on_time(self._clock.now())
        return self._status if self._drive() is not None else 0

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        register = port - self._base
        if register == 0:
            self._write_data(size, value)
            return
        value &= 0xFF
        if not 0 <= register < 8:
            self._write_control(value)
            return
        self._control &= ~HOB
        if register == 7:
            self._write_command(value)
        elif self._status & BSY and self._phase != IDLE:
            return
        elif register == 6:
            self._device = value & 0x5F
        else:
            self._previous[register - 1] = self._task[register - 1]
            self._task[register - 1] = value

    def _write_control(self, value: int) -> None:
        #   7    2     1
        #   HOB  SRST  nIEN
        before, self._control = self._control, value & (HOB | SRST | NIEN)
        if value & SRST:
            self._status = BSY
            self._wait(RESET_DONE, None)
            self._interrupt = False
        elif before & SRST:
            self._wait(RESET_DONE, COMMAND_NS)
        self._drive_line()

    # --- commands ---------------------------------------------------------------------------------------

    def _wait(self, phase: int, delay: int | None) -> None:
        self._phase = phase
        due = self._clock.now() + delay if delay is not None else None
        if due != self._due:
            self._due = due
            self._moved()

    def _write_command(self, value: int) -> None:
        if self._control & SRST or self._status & BSY:
            return
        if self._drive() is None and value != 0x90:
            return
        self._command = value
        self._interrupt = False
        self._drive_line()
        self._error = 0
        if value in WRITES and self._start_write(value):
            return
        self._status = BSY
        self._wait(EXECUTE, COMMAND_NS)

    def deadline(self) -> int | None:
        """When the disk has done its part."""
        return self._due

    def on_time(self, now: int) -> None:
        """The disk has done its part of the command."""
        phase = self._phase
        self._wait(IDLE, None)
        if phase == EXECUTE:
            self._execute()
        elif phase == READ_NEXT:
            self._offer_block()
        elif phase == WRITE_DONE:
            self._commit_block()
        elif phase == RESET_DONE:
            self._signature()
            self._status = READY

    def _execute(self) -> None:
        command, drive = self._command, self._drive()
        if command == 0x90:
            self._signature()
            self._finish()
        elif drive is None:
            self._status = READY
        elif command in READS or command in WRITES:
            self._start_read(drive)
        elif command == 0xEC:
            self._buffer = bytearray(identify(drive, self._device >> 4 & 1))
            self._place, self._remaining = 0, 0
            self._finish(READY | DRQ)
        elif command in VERIFIES:
            sector, count = self._address(drive, VERIFIES[command])
            self._conclude(0 if 0 <= sector <= drive.disk.sectors - count else IDNF)
        else:
            self._execute_simple(drive)

    def _execute_simple(self, drive: Drive) -> None:
        command, task = self._command, self._task
        done = True
        if command == 0x91:
            done = drive.set_geometry((self._device & 15) + 1, task[COUNT])
        elif command == 0xC6:
            done = drive.set_multiple(task[COUNT])
        elif command == 0xEF:
            done = task[FEATURES] in (0x02, 0x03, 0x55, 0x66, 0x82, 0xAA, 0xCC)
        elif command == 0xE5:
            task[COUNT] = 0xFF  # active
        elif command in (0xF8, 0x27):
            self._set_address(drive.disk.sectors - 1, command == 0x27)
        else:
            done = command in NOTHING_TO_DO or 0x10 <= command <= 0x1F
        self._conclude(0 if done else ABRT)

    def _finish(self, status: int = READY) -> None:
        self._status = status
        self._interrupt = True
        self._drive_line()

    def _conclude(self, error: int) -> None:
        self._error = error
        self._finish(READY | ERR if error else READY)

    def _drive_line(self) -> None:
        self._irq.set(self._interrupt and not self._control & NIEN)

    def _signature(self) -> None:
        self._task = [0, 1, 1, 0, 0]
        self._device = 0
        self._error = 1  # both passed, or the second is not there

    # --- addresses --------------------------------------------------------------------------------------

    def _address(self, drive: Drive, extended: bool) -> tuple[int, int]:
        """First sector (-1: no such cylinder, head, sector) and number of sectors of the command."""
        task, old = self._task, self._previous
        low = task[LOW] | task[MIDDLE] << 8 | task[HIGH] << 16
        if extended:
            count = task[COUNT] | old[COUNT] << 8
            return low | (old[LOW] | old[MIDDLE] << 8 | old[HIGH] << 16) << 24, count or 0x10000
        count = task[COUNT] or 256
        if self._device & LBA:
            return low | (self._device & 15) << 24, count
        return drive.chs(task[MIDDLE] | task[HIGH] << 8, self._device & 15, task[LOW]), count

    def _set_address(self, sector: int, extended: bool) -> None:
        task = self._task
        if extended:
            upper = sector >> 24
            self._previous[LOW : HIGH + 1] = [upper & 0xFF, upper >> 8 & 0xFF, upper >> 16 & 0xFF]
        elif not self._device & LBA:
            return
        else:
            sector = min(sector, 0x0FFFFFFF)
            self._device = self._device & 0xF0 | sector >> 24
        task[LOW : HIGH + 1] = [sector & 0xFF, sector >> 8 & 0xFF, sector >> 16 & 0xFF]

    def _locate(self, drive: Drive, kind: dict[int, tuple[int, bool]]) -> int:
        """Set up a transfer; 0, or the error bit that tells why not."""
        single, extended = kind[self._command]
        block = single or drive.multiple
        if not block:
            return ABRT
        sector, count = self._address(drive, extended)
        if sector < 0 or sector + count > drive.disk.sectors:
            return IDNF
        self._sector, self._remaining, self._block = sector, count, block
        return 0

    # --- data -------------------------------------------------------------------------------------------

    def _start_read(self, drive: Drive) -> None:
        error = self._locate(drive, READS if self._command in READS else WRITES)
        if error:
            self._conclude(error)
        else:
            self._offer_block()

    def _offer_block(self) -> None:
        drive = self._drive()
        if drive is None:
            return
        count = min(self._block, self._remaining)
        self._buffer = bytearray().join(drive.disk.read(self._sector + i) for i in range(count))
        self._place = 0
        self._advance(count)
        self._finish(READY | DRQ)

    def _advance(self, count: int) -> None:
        self._sector += count
        self._remaining -= count
        kind = READS if self._command in READS else WRITES
        self._set_address(self._sector - 1, kind[self._command][1])
        self._task[COUNT] = self._remaining & 0xFF

    def _read_data(self, size: int) -> int:
        place = self._place
        if not self._status & DRQ or self._command in WRITES:
            return 0
        end = place + size
        value = int.from_bytes(self._buffer[place:end], "little")
        self._place = end
        if end >= len(self._buffer):
            self._place = 0
            if self._remaining:
                self._status = BSY
                self._wait(READ_NEXT, COMMAND_NS)
            else:
                self._status = READY
        return value

    def _start_write(self, command: int) -> bool:
        """Ask for the first block at once; False if the command must fail (it does so in its time)."""
        drive = self._drive()
        if drive is None or self._locate(drive, WRITES):
            return False
        self._expect_block()
        return True

    def _expect_block(self) -> None:
        self._buffer = bytearray(SECTOR * min(self._block, self._remaining))
        self._place = 0
        self._status = READY | DRQ

    def _write_data(self, size: int, value: int) -> None:
        place = self._place
        if not self._status & DRQ or self._command not in WRITES:
            return
        end = min(place + size, len(self._buffer))
        self._buffer[place:end] = (value & 0xFFFFFFFF).to_bytes(4, "little")[: end - place]
        self._place = end
        if end == len(self._buffer):
            self._status = BSY
            self._wait(WRITE_DONE, COMMAND_NS)

    def _commit_block(self) -> None:
        drive = self._drive()
        if drive is None:
            return
        count = len(self._buffer) // SECTOR
        for number in range(count):
            drive.disk.write(
                self._sector + number, bytes(self._buffer[number * SECTOR : (number + 1) * SECTOR])
            )
        self._advance(count)
        if self._remaining:
            self._expect_block()
        self._finish(READY | DRQ if self._remaining else READY)

    # --- state ------------------------------------------------------------------------------------------

    def save(self) -> AtaState:
        """Registers, the buffer if it is in use, and what was written to the disks."""
        first, second = (drive.save() if drive is not None else None for drive in self._drives)
        busy = self._status & (DRQ | BSY)
        return AtaState(
            tuple(self._task), tuple(self._previous), self._error, self._status, self._device, self._control,
            self._command, self._phase, self._due, self._interrupt, bytes(self._buffer) if busy else b"",
            self._place, self._sector, self._remaining, self._block, (first, second),
        )  # fmt: skip

    def load(self, state: AtaState) -> None:
        """Inverse of `save`."""
        (
            task, previous, self._error, self._status, self._device, self._control, self._command,
            self._phase, self._due, self._interrupt, buffer, self._place, self._sector, self._remaining,
            self._block, drives,
        ) = state  # fmt: skip
        self._task, self._previous, self._buffer = list(task), list(previous), bytearray(buffer)
        for drive, saved in zip(self._drives, drives, strict=True):
            if drive is not None and saved is not None:
                drive.load(saved)
