"""What the guest `acts` must note for each act of a script, by the architecture's rules: a `Reference` and a memory.

An instruction that reads and writes is two accesses, one across two pages has one to each: in that order, and nothing
is written unless all of them pass. Nothing is run here, and nothing is asked of a unit: it says what guest
code must find on whatever unit it runs.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from labkit.vm.keys.acts import (
    EXECUTES,
    FIRST_FRAME,
    KINDS,
    PROMOTES,
    READS,
    UPDATES,
    WRITES,
    Act,
    Words,
    address_of,
)
from labkit.vm.keys.operations import PRIVILEGED, Cause, Operation
from labkit.vm.keys.reference import Reference
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

__all__ = ["Foretold", "Note"]

Note = tuple[int, int, int, int]
"""0 and EAX, or an interruption's cause, address, EIP and level."""
LABELS = {READS: "reads", WRITES: "writes", UPDATES: "updates"}
BITS = {1: Access.READ, 2: Access.WRITE, 4: Access.EXECUTE}
WORD = 0xFFFFFFFF
PAGES = 1 << 20


@dataclass
class Foretold:
    """The architecture's view of a script so far: `reference` is the unit, `memory` the frames, `notes` what came."""

    reference: Reference
    memory: Words
    notes: list[Note] = field(default_factory=list)

    def act(self, act: Act) -> Note:
        """Do one more; what the guest must note."""
        note = self._access(act) if act.what in KINDS else self._operation(act)
        self.notes.append(note)
        return note

    def _access(self, act: Act) -> Note:
        reference, first = self.reference, act.b >> 12
        pages = range(first, ((act.b + 3) >> 12) + 1)
        for access, page in product(KINDS[act.what], pages):
            fault = reference.access(page, access)
            if fault is not Fault.NONE:
                at = act.b if act.what == EXECUTES else address_of(LABELS[act.what])
                return fault | access.bit << 8, act.b if page == first else page << 12, at, reference.level
        if act.what == EXECUTES:
            if act.b & 0xFFF == PROMOTES:
                return 0, reference.promote(first), 0, 0
            return 0, self._word(act.b + 1), 0, 0  # MOV's operand
        if act.what == READS:
            return 0, self._word(act.b), 0, 0
        value = act.c if act.what == WRITES else (self._word(act.b) + act.c) & WORD
        for index, place in enumerate(self._places(act.b)):
            self.memory.view(np.uint8)[place] = value >> 8 * index & 0xFF
        return 0, value if act.what == UPDATES else act.what, 0, 0

    def _places(self, address: int) -> list[tuple[int, int]]:
        """Frame and offset of each of a word's bytes."""
        found = []
        for at in range(address, address + 4):
            page = at >> 12
            frame = self.reference.translations[page].frame if self.reference.translate else page
            found.append((frame - FIRST_FRAME, at & 0xFFF))
        return found

    def _word(self, address: int) -> int:
        memory = self.memory.view(np.uint8)
        return int.from_bytes(bytes(memory[place] for place in self._places(address)), "little")

    def _operation(self, act: Act) -> Note:
        reference, level = self.reference, self.reference.level
        at = address_of("operated")
        if act.what not in set(Operation):
            return Cause.OPERAND, 0, at, level
        operation = Operation(act.what)
        if operation in PRIVILEGED and level:
            return Cause.PRIVILEGED, 0, at, level
        if operation is Operation.CALL:
            reference.set_level(act.c)
            return Cause.CALL, 0, at, level
        if self._refuses(operation, act):
            return Cause.OPERAND, 0, at, level
        answer = self._answer(operation, act)
        if isinstance(answer, Fault):
            return answer | act.c << 8, act.b << 12 & WORD, at, level
        return 0, answer, 0, 0

    def _refuses(self, operation: Operation, act: Act) -> bool:
        """Are the operands none of this operation's?"""
        if operation in (Operation.INSERT, Operation.PURGE):
            return act.b >= PAGES or (operation is Operation.INSERT and act.c >= PAGES)
        if operation in (Operation.WRITE_KEY, Operation.READ_KEY):
            return act.b >= len(self.reference.registers)
        if operation is Operation.PROBE:
            return act.c not in BITS
        return operation is Operation.DEMOTE and not self.reference.level <= act.b <= 3

    def _answer(self, operation: Operation, act: Act) -> int | Fault:
        """What is in EAX afterwards: the operation's number, where it has no answer; or PROBE's fault."""
        reference = self.reference
        if operation is Operation.INSERT:
            present, dirty, accessed = (bool(act.d & bit) for bit in (0x20, 0x40, 0x80))
            reference.insert(
                Entry(act.b, act.c, act.d & 7, (act.d & 0x18) // 8, act.d // 256, present, dirty, accessed)
            )
        elif operation is Operation.PURGE:
            reference.purge(act.b)
        elif operation is Operation.MODE:
            reference.set_translate(act.b % 2 == 1)
            reference.set_keys_on(act.b // 2 % 2 == 1)
        elif operation in (Operation.WRITE_KEY, Operation.READ_KEY):
            if operation is Operation.READ_KEY:
                return reference.registers[act.b].word
            reference.set_register(act.b, KeyRegister.from_word(act.c))
        elif operation is Operation.KEY_OF:
            return reference.key_of(act.b)
        elif operation is Operation.PROBE:
            found = reference.probe(act.b, BITS[act.c], act.d & 3)
            return found if isinstance(found, Fault) else int(found)
        elif operation is Operation.PROMOTE:
            return reference.promote(address_of("operated") >> 12)
        elif operation is Operation.DEMOTE:
            reference.demote(act.b)
        return operation
