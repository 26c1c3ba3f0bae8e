"""Runs a guest of the protection unit on the processor: its operations, and the faults that it sees or does not.

    guest code at x86 ring 3, real level 3
       | INT 60h -> an operation (operations.py)      | the unit refuses an access -> `VirtualUnit.settle`
       v                                              v
    the monitor's virtual unit                      hidden: again          reflected: an interruption at level 0

x86's own rings take no part: all levels of the guest run in ring 3, so that x86's privileged instructions fault.
"""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.vm.keys.operations import PRIVILEGED, TRAP, Cause, Operation, entry_from, page_number
from labkit.vm.keys.shadow import KeyVirtualizer
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.keys.unit import VirtualState, VirtualUnit
from labkit.vm.machine import Machine
from labkit.vm.machine.access_rights import EXECUTE, READ, WRITE, Access
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.registers import CS, DS, ES, FS, GS, SS
from labkit.vm.machine.tlb import Fault

__all__ = ["KeysEngine"]

EAX, ECX, EDX, EBX, ESP = range(5)
PAGE_FAULT = 14
NO_KEY = 1  # what TAK answers where there is none; a key is above bit 7
WORD = 0xFFFFFFFF
BY_BIT = {READ: Access.READ, WRITE: Access.WRITE, EXECUTE: Access.EXECUTE}
CAUSE, ADDRESS, EIP, LEVEL, SAVED_ESP, SAVED_EAX, SAVED_EFLAGS = range(7)
MOST_STILL = 256
"""Faults without a retired instruction between them, after which the run ends: the unit or its size is at fault, or
the guest, whose handler faults at its first instruction."""
LEAST = 8
"""Key registers, and TLB entries. One instruction may touch six pages (itself, what it reads and writes may each lie
across two), with a key each: with fewer it never ends, because what is missing takes the place of what it needs."""
READABLE = SAVED_EAX + 1
DPL3, IOPL3 = 0x6000, 0x3000


@dataclass(frozen=True, slots=True)
class EngineState:
    """The virtual unit; the guest's handler, its stack, and what the last interruption saved; see `KeysEngine`."""

    unit: VirtualState
    handler: tuple[int, int, tuple[int, ...]]
    lower: bool
    still: tuple[int, int]


class KeysEngine:
    """An `Engine` for a machine with mmu "keys"; `unit` is the way to virtualize, fresh: by default shadow keys.

    The machine gets an empty protection unit of the size that this way has, whatever it had before; `load` brings
    back a state.

    Raises `ValueError` for a machine with another mmu, or for fewer than `LEAST` registers or entries in the hardware;
    `TypeError` for a unit that stands for x86's own keys (today.py): the machine's is Itanium's.
    """

    name = "keys"

    def __init__(self, machine: Machine, unit: VirtualUnit | None = None) -> None:
        processor, unit = machine.processor, unit or KeyVirtualizer()
        fresh = unit.hardware
        if isinstance(unit, PkuVirtualizer):
            raise TypeError(f"{type(unit).__name__} is for x86's keys, not Itanium's: give a KeyVirtualizer")
        registers, entries = len(fresh.registers), fresh.tlb.size
        for count, what in ((registers, "key registers"), (entries, "TLB entries")):
            if count < LEAST:
                raise ValueError(f"{count} {what}: one instruction may need six, give {LEAST} or more")
        self.physical = machine.install_unit(registers, entries)
        unit.attach(self.physical)
        self.unit = unit
        self.on_fault: Callable[[int, Access, Fault, Fault], None] | None = None
        """Called with address, access, what the hardware said and what the guest sees (`NONE`: hidden)."""
        self.vector = 0
        self.handler_stack = 0
        self.saved = [0] * 7
        """What the last interruption has saved, by the numbers of READ, then EFLAGS."""
        self._processor, self._checkpoints = processor, machine.checkpoints
        self._calls = {
            Operation.INSERT: self._insert, Operation.PURGE: self._purge, Operation.WRITE_KEY: self._write_key,
            Operation.READ_KEY: self._read_key, Operation.MODE: self._mode, Operation.VECTOR: self._vector,
            Operation.RETURN: self._return, Operation.READ: self._read, Operation.WRITE: self._write,
            Operation.PROBE: self._probe, Operation.PROMOTE: self._promote, Operation.DEMOTE: self._demote,
            Operation.CALL: self._call, Operation.KEY_OF: self._key_of,
        }  # fmt: skip
        self._lower = True
        self._still = (-1, 0)  # clock, faults there

    def save(self) -> EngineState:
        """What belongs to a checkpoint of the machine, whose budget is told how much it is."""
        self._checkpoints.aside = self.unit.state_bytes
        handler = self.vector, self.handler_stack, tuple(self.saved)
        return EngineState(self.unit.save(), handler, self._lower, self._still)

    def load(self, state: EngineState) -> None:
        """Exact inverse of `save`, by an engine of the same kind and size."""
        self.unit.load(state.unit)
        self.vector, self.handler_stack, saved = state.handler
        self.saved, self._lower, self._still = list(saved), state.lower, state.still

    def _enter_ring_3(self) -> None:
        """The guest's segments as a program has them, with ports."""
        registers = self._processor.registers
        for index in (CS, SS, DS, ES, FS, GS):
            registers.segments[index].selector |= 3
            registers.segments[index].flags |= DPL3
        registers.eflags |= IOPL3
        registers.derive(3)

    def run(self, deadline: int, pause: int) -> Exit:
        """Go on until a deadline or an exit that is not the protection unit's."""
        if self._lower:
            self._enter_ring_3()
            self._lower = False
        while True:
            self.physical.settle()
            cr2 = self._processor.registers.cr2
            found = self._processor.run(deadline, pause)
            self._processor.registers.cr2 = cr2  # x86's register: no guest of this unit sees it change
            if found.kind is not ExitKind.EXCEPTION:
                return found
            if found.software and found.vector == TRAP:
                if self._operate():
                    return Exit(ExitKind.HALT)
            elif found.vector == PAGE_FAULT and not found.software:
                if not self._fault(found):
                    return found
            elif not self._interrupt(Cause.EXCEPTION + found.vector):
                return found
            if self._stuck():
                return Exit(ExitKind.STUCK, note=f"{MOST_STILL} faults and not one instruction, the last: {found}")
            if self._processor.clock >= deadline:
                return Exit(ExitKind.DEADLINE)

    def _stuck(self) -> bool:
        """Has nothing retired for too long? Counts the exits at one clock."""
        clock, (at, count) = self._processor.clock, self._still
        self._still = (clock, count + 1 if clock == at else 0)
        return self._still[1] > MOST_STILL

    # --- faults and interruptions

    def _fault(self, found: Exit) -> bool:
        page, access = found.address >> 12, BY_BIT[(found.error or 0) >> 8]
        unit = self.unit
        verdict = self.physical.check(page, access)
        seen = unit.settle(page, access, verdict)
        if self.on_fault is not None:
            self.on_fault(found.address, access, Fault((found.error or 0) & 0xFF), seen)
        if seen is Fault.NONE:
            return True
        return self._interrupt(seen | access.bit << 8, found.address)

    def _interrupt(self, cause: int, address: int = 0) -> bool:
        """To the guest's handler, at level 0; False where it has none."""
        if not self.vector:
            return False
        registers, general = self._processor.registers, self._processor.registers.general
        self.saved = [
            cause, address, registers.eip, self.unit.level, general[ESP] & WORD, general[EAX] & WORD,
            registers.eflags & WORD,
        ]  # fmt: skip
        self.unit.set_level(0)
        registers.eip, general[ESP] = self.vector, self.handler_stack
        return True

    # --- operations

    def _operate(self) -> bool:
        """Carry out the operation in EAX; whether it was STOP."""
        general, level = self._processor.registers.general, self.unit.level
        number = general[EAX] & WORD
        if number not in set(Operation):
            self._interrupt(Cause.OPERAND)
            return False
        operation = Operation(number)
        if operation in PRIVILEGED and level:
            self._interrupt(Cause.PRIVILEGED)
            return False
        if operation is Operation.STOP:
            return True
        try:
            self._calls[operation](general[EBX] & WORD, general[ECX] & WORD, general[EDX] & WORD)
        except (ValueError, IndexError):
            self._interrupt(Cause.OPERAND)
        return False

    def _answer(self, value: int) -> None:
        self._processor.registers.general[EAX] = value & WORD

    def _insert(self, page: int, frame: int, word: int) -> None:
        self.unit.insert(entry_from(page, frame, word))

    def _purge(self, page: int, _c: int, _d: int) -> None:
        self.unit.purge(page_number(page))

    def _write_key(self, number: int, word: int, _d: int) -> None:
        self.unit.set_register(number, KeyRegister.from_word(word))

    def _read_key(self, number: int, _c: int, _d: int) -> None:
        self._answer(self.unit.keys[number].word)

    def _key_of(self, page: int, _c: int, _d: int) -> None:
        key = self.unit.key_of(page)
        self._answer(NO_KEY if key is None else key << 8)

    def _mode(self, bits: int, _c: int, _d: int) -> None:
        self.physical.translate = bool(bits & 1)
        self.unit.set_keys_on(bool(bits & 2))

    def _vector(self, address: int, stack: int, _d: int) -> None:
        self.vector, self.handler_stack = address, stack

    def _return(self, _b: int, _c: int, _d: int) -> None:
        registers, saved = self._processor.registers, self.saved
        registers.eip, registers.general[ESP], registers.general[EAX] = (
            saved[EIP],
            saved[SAVED_ESP],
            saved[SAVED_EAX],
        )
        if saved[SAVED_EFLAGS]:
            registers.eflags = saved[SAVED_EFLAGS]
        self.unit.set_level(saved[LEVEL] & 3)

    def _read(self, index: int, _c: int, _d: int) -> None:
        if index >= READABLE:
            raise IndexError(index)
        self._answer(self.saved[index])

    def _write(self, index: int, value: int, _d: int) -> None:
        if index >= READABLE:
            raise IndexError(index)
        self.saved[index] = value

    def _probe(self, page: int, access: int, level: int) -> None:
        if access not in BY_BIT:
            raise ValueError(access)
        answer = self.unit.probe(page, BY_BIT[access], level & 3)
        if isinstance(answer, Fault):
            self._interrupt(answer | access << 8, (page << 12) & WORD)
        else:
            self._answer(int(answer))

    def _promote(self, _b: int, _c: int, _d: int) -> None:
        trap = self._processor.registers.eip - 2
        self.unit.promote(trap >> 12)
        self._answer(self.unit.level)

    def _demote(self, level: int, _c: int, _d: int) -> None:
        self.unit.demote(level)

    def _call(self, _b: int, _c: int, _d: int) -> None:
        self._interrupt(Cause.CALL)
