"""The guest `acts` on a protection unit: a script's accesses and operations done by guest code, and what came of each.

    table    what, EBX, ECX, EDX           the guest does a row, at the level that it is at by then,
    notes    0, EAX                        and notes what came of it: what EAX was afterwards,
             cause, address, EIP, level    or what the interruption told its handler
    frames   10  MOV EAX, tag; RET         what the script's pages may be translated to: code,
             20  PROMOTE; RET              code that raises the level where its page says so,
             800 words                     data,
             ffe the word across           which goes on in the next page, at 0,
             ffd MOV EAX, that word        and is the operand of an instruction across both; the RET is at 2

Source of the guest: labkit/guests/rings/acts.S.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labkit import guests
from labkit.guests import multiboot
from labkit.vm.keys.engine import KeysEngine
from labkit.vm.keys.operations import Operation
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine import Machine
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.boot import BootImage
from labkit.vm.monitor import Monitor
from labkit.vm.monitor.stop import StopReason

__all__ = [
    "ACROSS", "DATA", "EXECUTES", "FIRST_FRAME", "KINDS", "MOST_ACTS", "MOST_FRAMES", "MOVES", "NOTES", "PROMOTES",
    "READS", "STACK", "TABLE", "UPDATES", "WRITES", "Act", "Done", "Words", "address_of", "do", "fresh_frames",
    "pages_of",
]  # fmt: skip

Words = npt.NDArray[np.uint32]

IMAGE = Path(guests.__file__).parent / "rings" / "acts.elf"
MEMORY = 8 << 20
TABLE, NOTES, STACK = 0x400000, 0x500000, 0x300000
MOST_ACTS = (NOTES - TABLE) // 16
FIRST_FRAME, MOST_FRAMES = 0x200, 0x100
MOVES, PROMOTES, DATA, ACROSS = 0x10, 0x20, 0x800, 0xFFE
"""Where in a frame is the code that moves its tag to EAX, the code that promotes, data, the word across two pages."""
READS, WRITES, EXECUTES, UPDATES = range(32, 36)
KINDS = {
    READS: (Access.READ,), WRITES: (Access.WRITE,), EXECUTES: (Access.EXECUTE,), UPDATES: (Access.READ, Access.WRITE),
}  # fmt: skip
"""By number in the table (operations of the unit have their own) what an instruction does to its pages, in order."""
MOST_PER_ACT = 200  # instructions, with the handler


class Act(NamedTuple):
    """A row of the table: an operation or one of `KINDS`, and its operands. Accesses: the address, a written value."""

    what: int
    b: int = 0
    c: int = 0
    d: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """How a script ended: whether at its end, the notes, the frames, and all memory as a SHA-256."""

    ended: bool
    notes: Words
    frames: Words
    ram: str
    clock: int


@cache
def _image() -> BootImage:
    return replace(multiboot.load(IMAGE, "", [], MEMORY), name="acts", mmu="keys")


def address_of(name: str) -> int:
    """Address of a label in the guest. Raises `StopIteration` for none of that name."""
    return next(symbol.address for symbol in _image().symbols if symbol.name == name)


def pages_of(first: int, size: int) -> range:
    """Numbers of the pages that `size` bytes from an address on are in."""
    return range(first >> 12, (first + size + 4095) >> 12)


def fresh_frames(count: int, seed: int) -> Words:
    """So many frames before the start, as words: their code, and random data."""
    made = np.zeros((count, 4096), np.uint8)
    made[:, DATA:] = np.random.default_rng(seed).integers(0, 256, (count, 4096 - DATA), np.uint8)
    made[:, ACROSS - 1], made[:, 2] = 0xB8, 0xC3
    promotes = b"\xb8" + Operation.PROMOTE.to_bytes(4, "little") + b"\xcd\x60\xc3"
    made[:, PROMOTES : PROMOTES + len(promotes)] = list(promotes)
    for frame in range(count):
        tag = (0xC0DE0000 | frame).to_bytes(4, "little")
        made[frame, MOVES : MOVES + 6] = list(b"\xb8" + tag + b"\xc3")
    return made.view(np.uint32)


def do(acts: list[Act], frames: Words, unit: VirtualUnit) -> Done:
    """Let the guest do a script, whose last act is STOP, on a unit, fresh.

    Raises `ValueError` for more acts or frames than there is room for.
    """
    if len(acts) > MOST_ACTS or len(frames) > MOST_FRAMES:
        raise ValueError(f"{len(acts)} acts, {len(frames)} frames: at most {MOST_ACTS} and {MOST_FRAMES}")
    machine = Machine(MEMORY, mmu="keys")
    machine.load(_image())
    processor = machine.processor
    processor.write_physical(TABLE, np.array(acts, np.uint32).tobytes())
    processor.write_physical(FIRST_FRAME << 12, frames.tobytes())
    monitor = Monitor(machine, KeysEngine(machine, unit))
    stop = monitor.run(len(acts) * MOST_PER_ACT)
    notes = np.frombuffer(machine.memory.read(NOTES, 16 * (len(acts) - 1)), np.uint32).reshape(-1, 4)
    after = np.frombuffer(machine.memory.read(FIRST_FRAME << 12, frames.nbytes), np.uint32).reshape(
        frames.shape
    )
    done = Done(stop.reason is StopReason.HALTED, notes, after, machine.ram_sha256(), processor.clock)
    processor.close()
    return done
