"""The machine: processor, memory and board, wired together, with one clock.

    processor --ports, CPUID--> board        board --INTR pin--> processor
    clock: retired instructions + skipped idle time, 5 ns each (virtual), or the host's (live)

An interrupt or a deadline that arises from a port access takes effect 512 instructions later, beyond the end
of any block of code: so it falls on the same instruction however the code was cut into blocks.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine import cpuid as model
from labkit.vm.machine.board import Board
from labkit.vm.machine.boot import BootImage, Symbol
from labkit.vm.machine.checkpoints import Bookmark, Checkpoint, Checkpoints, Frames
from labkit.vm.machine.devices.disk import Image
from labkit.vm.machine.devices.rtc import START_TIME
from labkit.vm.machine.guest_clock import GuestClock
from labkit.vm.machine.keyed_paging import load_words, save_words
from labkit.vm.machine.memory import FRAME_SIZE, Memory
from labkit.vm.machine.pace import Live, Pace, Skipping
from labkit.vm.machine.physical_unit import PhysicalUnit
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import pages
from labkit.vm.machine.processor import NEVER, Processor
from labkit.vm.machine.state import ExecutionPoint, Registers

__all__ = ["SETTLE", "Machine"]

RF = 0x10000  # in EFLAGS
SETTLE = 512
"""Instructions between a port access and what it causes; no block of code is longer."""


class Machine:
    """An ordinary PC with `memory` bytes of RAM.

    `clock` is "virtual" (guest time is a function of retired instructions) or "live" (the host's time);
    `disks` are up to four images, bytes or paths, never written to. `start_time` is what its calendar
    shows at first, in Unix seconds; by default the host's time on the live clock, a fixed one on the other.
    `segmentation=True` checks limits and types of segments, which Unicorn leaves out; flat code hardly notices.
    Raises `ValueError` for a wrong value, `LayoutError` where the installed Unicorn is not the supported one.
    """

    def __init__(
        self,
        memory: int = 128 << 20,
        clock: str = "virtual",
        disks: Sequence[Image | None] = (),
        mmu: str = "labkit",
        start_time: int | None = None,
        segmentation: bool = False,
    ) -> None:
        if clock not in ("virtual", "live"):
            raise ValueError(f"clock {clock!r}: give 'virtual' or 'live'")
        self.memory = Memory(memory)
        self.processor = Processor(self.memory, mmu, segmentation)
        self.protection: PhysicalUnit | None = None
        """The protection unit of a machine whose mmu is "keys"."""
        if mmu == "keys":
            self.install_unit()
        self.clock = GuestClock(self.processor, clock == "live")
        if start_time is None:
            start_time = int(time.time()) if clock == "live" else START_TIME
        self.board = Board(self.clock, memory, disks=disks, start_time=start_time)
        self.start_time = start_time
        pace = Live if clock == "live" else Skipping
        self.pace: Pace = pace(self.processor, self.board, self.clock)
        """When time and input from outside come in; see pace.py."""
        self._disks = disks
        self.image: BootImage | None = None
        self.pin_at = NEVER
        """Clock at which the interrupt pin follows the board again; NEVER when it does already."""
        self.nmi_at = NEVER
        """Clock from which a nonmaskable interrupt waits for the processor; NEVER for none."""
        self.halted = False
        """HLT has retired and no interrupt has ended it yet."""
        self.checkpoints = Checkpoints()
        self._at = -1  # RAM is checkpoint number _at with the dirty frames changed
        self._wire()

    def _wire(self) -> None:
        processor, board = self.processor, self.board
        processor.read_port, processor.write_port = board.read_port, board.write_port
        processor.cpuid = model.cpuid
        processor.read_device, processor.write_device = board.read_mmio, board.write_mmio
        board.on_interrupt, board.on_deadline = self._on_interrupt, self._on_deadline
        board.on_nmi = self._on_nmi
        for i, covered in enumerate(board.mmio_ranges):
            processor.cells[c.MMIO + 2 * i] = covered.start
            processor.cells[c.MMIO + 2 * i + 1] = covered.stop

    def install_unit(self, registers: int = 16, entries: int = 128) -> PhysicalUnit:
        """Put in an empty protection unit of that size. Raises `ValueError` for a machine with another mmu."""
        self.protection = PhysicalUnit(self.processor, registers, entries)
        return self.protection

    # --- starting

    def load(self, image: BootImage) -> None:
        """Put a boot image and the firmware's tables in place, the processor at its first instruction.

        Raises `ValueError` for an image that is made for another `mmu`.
        """
        if image.mmu and image.mmu != self.processor.mmu:
            raise ValueError(f"{image.name} needs a machine with mmu={image.mmu!r}, not {self.processor.mmu!r}")
        for address, data in self.board.firmware():
            self.processor.write_physical(address, data)
        for placement in image.placements:
            self.processor.write_physical(placement.address, placement.data)
        start, registers = image.start, self.processor.registers
        registers.set_flat(start.code_selector, start.data_selector)
        gdt = registers.segments[8]
        gdt.base, gdt.limit = start.gdt_address, start.gdt_limit
        for i, name in enumerate(("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")):
            registers.general[i] = getattr(start, name)
        registers.eip, registers.eflags = start.eip, 2
        self.image = image

    @property
    def symbols(self) -> Sequence[Symbol]:
        """Symbols of the loaded image."""
        return self.image.symbols if self.image else ()

    # --- interrupts and time

    def _on_interrupt(self) -> None:
        if not self.processor.in_hook:
            self.update_pin()
        elif self.pin_at == NEVER:
            self.pin_at = self.processor.clock + SETTLE
            self.processor.advance_deadline(self.pin_at)

    def _on_nmi(self) -> None:
        if self.nmi_at == NEVER:  # one that comes while another waits is lost
            self.nmi_at = self.processor.clock + (SETTLE if self.processor.in_hook else 0)
            self.processor.advance_deadline(self.nmi_at)

    def _on_deadline(self) -> None:
        if self.processor.in_hook:
            at = max(self.device_deadline(), self.processor.clock + SETTLE)
            self.processor.advance_deadline(at)

    def update_pin(self) -> None:
        """Let the processor's interrupt pin follow the board."""
        self.processor.set_interrupt_pin(self.board.interrupt_pending())
        self.pin_at = NEVER

    def device_deadline(self) -> int:
        """The clock (instructions) at which a device next has something to do."""
        return self.clock.clock_at(self.board.deadline())

    # --- looking

    @property
    def point(self) -> ExecutionPoint:
        """Where the processor stands."""
        return self.processor.point

    @property
    def registers(self) -> Registers:
        """All registers, as a value."""
        found = self.processor.registers.snapshot()
        return replace(found, eflags=found.eflags | RF) if self.processor.core.resume_flag else found

    def screen(self) -> list[str]:
        """The VGA text screen: 25 lines of 80 characters."""
        return self.board.vga.text(self.memory.bytes)

    def ram_sha256(self) -> str:
        """Fingerprint of the whole RAM."""
        return self.memory.sha256()

    def registers_sha256(self) -> str:
        """Fingerprint of all registers and of the clock."""
        text = f"{self.registers.sha256()} {self.processor.clock} {self.processor.idle}"
        return hashlib.sha256(text.encode()).hexdigest()

    # --- checkpoints

    def checkpoint(self) -> Checkpoint:
        """Remember the machine as it stands; costs time in proportion to the frames written since the last.

        After a `restore`, later checkpoints are forgotten first: the machine has one past.
        """
        memory = self.memory
        self.checkpoints.truncate(self._at + 1)
        pages = memory.bytes.reshape(-1, FRAME_SIZE)
        first = self._at < 0
        used = np.flatnonzero(pages.any(axis=1)).astype(np.uint32) if first else memory.dirty_frames()
        frames = used.copy()
        made = self._state(frames)
        self.checkpoints.add(made, pages)
        self._begin_epoch(len(self.checkpoints) - 1)
        return made

    def _begin_epoch(self, number: int) -> None:
        self.memory.clean()
        self.processor.flush_tlb()
        self._at = number

    @property
    def number(self) -> int:
        """Number of the checkpoint that the machine's dirty frames are relative to; -1 before the first."""
        return self._at

    def restore(self, checkpoint: Checkpoint) -> None:
        """Make the machine what it was at one of its checkpoints.

        Raises `ValueError` for a checkpoint that this machine does not have (any more).
        """
        number = next((k for k, known in enumerate(self.checkpoints.list) if known is checkpoint), None)
        if number is None:
            raise ValueError("this machine does not have that checkpoint: restore it where it was made")
        self.restore_number(number)

    def restore_number(self, number: int) -> None:
        """`restore` by the checkpoint's number."""
        target = self.checkpoints.list[number]
        frames = self._different(number)
        self._put_back(frames, self.checkpoints.sources(frames, number))
        self._become(target)
        self._begin_epoch(number)

    def _different(self, number: int) -> Frames:
        """Frames that may hold something else now than at a checkpoint."""
        mask = np.zeros(self.memory.frames, np.bool_)
        mask[self.memory.dirty_frames()] = True
        for frames in self.checkpoints.between(self._at, number):
            mask[frames] = True
        return np.flatnonzero(mask).astype(np.uint32)

    def bookmark(self) -> Bookmark:
        """Remember the machine beside the line of checkpoints: only what differs from the last one."""
        frames = self.memory.dirty_frames().copy()
        pages = self.memory.bytes.reshape(-1, FRAME_SIZE)[frames]
        return Bookmark(self._at, self._state(frames), pages)

    def return_to(self, bookmark: Bookmark) -> None:
        """Make the machine what it was at a bookmark of its present line of checkpoints."""
        target = bookmark.state
        changed = np.setdiff1d(self._different(bookmark.base), target.frames, assume_unique=True)
        self._put_back(changed, self.checkpoints.sources(changed, bookmark.base))
        first = bookmark.pages.ctypes.data
        self._put_back(target.frames, np.arange(len(target.frames), dtype=np.uint64) * FRAME_SIZE + first)
        self._become(target)
        self._begin_epoch(bookmark.base)
        for frame in target.frames.tolist():
            self.memory.mark(frame)

    def whole(self) -> Bookmark:
        """The machine for another one, in any process: all frames that are not zero."""
        pages = self.memory.bytes.reshape(-1, FRAME_SIZE)
        frames = np.flatnonzero(pages.any(axis=1)).astype(np.uint32)
        return Bookmark(-1, self._state(frames), pages[frames])

    def become(self, whole: Bookmark) -> None:
        """Make this machine, which has not run and is of the same kind, what another one was at `whole`."""
        pages = self.memory.bytes.reshape(-1, FRAME_SIZE)
        pages[np.flatnonzero(pages.any(axis=1))] = 0
        pages[whole.state.frames] = whole.pages
        self._become(whole.state)

    def _state(self, frames: Frames) -> Checkpoint:
        """All but RAM."""
        processor = self.processor
        pin = int(processor.interrupt_pin), self.pin_at, int(self.halted), self.nmi_at
        saved = processor.save(), processor.tlb.save(), self.board.save()
        return Checkpoint(self.point, *saved, pin, frames, self._protection_state())

    def _protection_state(self) -> Any:
        if self.processor.mmu == "keyed paging":
            return save_words(self.processor)
        return self.protection and self.protection.save()

    def _become(self, state: Checkpoint) -> None:
        self.board.load(state.board)
        self.processor.load(state.processor)
        self.processor.tlb.load(state.tlb)
        if self.protection is not None:
            self.protection.load(state.protection)
        elif state.protection is not None:
            load_words(self.processor, state.protection)
        self._set_pin(state.pin)

    def _set_pin(self, saved: tuple[int, int, int, int]) -> None:
        pin, self.pin_at, halted, self.nmi_at = saved
        self.halted = bool(halted)
        self.processor.set_interrupt_pin(bool(pin))

    def copy(self) -> "Machine":
        """Another machine in the same state, with its own processor and memory and without checkpoints."""
        twin = Machine(
            self.memory.size,
            disks=self._disks,
            mmu=self.processor.mmu,
            start_time=self.start_time,
            segmentation=self.processor.segmentation,
        )
        if self.protection is not None:
            twin.install_unit(len(self.protection.registers), self.protection.tlb.size)
        np.copyto(twin.memory.bytes, self.memory.bytes)
        twin._become(self._state(np.empty(0, np.uint32)))
        twin.image = self.image
        return twin

    def _put_back(self, frames: Frames, sources: npt.NDArray[np.uint64]) -> None:
        """Give these frames the bytes at host addresses (0 for zeros); code that changes is dropped."""
        frames, count = np.ascontiguousarray(frames), len(frames)
        first, from_where = frames.ctypes.data, sources.ctypes.data
        marks = self.memory.state[frames] & (c.FRAME_CODE | c.FRAME_MIXED)
        if marks.any():
            pages.find_stale(self.processor.cells, first, from_where, marks.ctypes.data, count)
            self.processor.changed(frames[marks != 0].tolist())
        pages.copy(self.processor.cells, first, from_where, count)
