"""Stepping over a call and out of one, forward and back: where it returns to, and how one knows it by its stack.

    cursor    call f        target: the instruction behind it, with the stack pointer where it was
              add ...   <-- target; a deeper call of the same code stands lower on the stack, and is passed by

    stack     ... | return address | ...    out: words that point behind a call; which of them is the caller's
                                            shows in the run, by the stack pointer it has there

A word left by a call that has returned looks the same: where a function has not written over it, the way out may end
at that one. That the stack pointer is where it was is a rule of compilers, not of the processor.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.vm.replay import Breakpoint, Timeline
from labkit.widgets.debugger.code import linear_eip

__all__ = ["Call", "call_done", "call_next", "calls_around"]

LONGEST_CALL = 7
"""Bytes of the longest call without a prefix (through a table, with a displacement)."""
ARGUMENTS = 256
"""Bytes that a return may take off the stack besides its address."""
WORDS, CALLERS = 512, 16
"""Words of the stack that are looked at for return addresses, and how many of these are taken."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: where a run over it ends, and the stack pointers that it may have there."""

    target: Breakpoint
    lowest: int
    highest: int
    returns_to: int | None = None
    """Going back: the address that the call to be found pushes; None going forward."""

    def holds(self, timeline: Timeline) -> bool:
        """Whether the machine stands at the target, and in the same call."""
        here = timeline.registers
        if not self.target.first <= linear_eip(here) <= self.target.last:
            return False
        if not self.lowest <= here.esp <= self.highest:
            return False
        if self.returns_to is None:
            return True
        (line,) = timeline.disassemble(before=0, after=1)
        return line.mnemonic == "call" and line.address + len(line.bytes) == self.returns_to


def call_next(timeline: Timeline) -> tuple[Call, ...]:
    """The call that is executed next; none if the next instruction is none."""
    lines = timeline.disassemble(before=0, after=1)
    if not lines or lines[0].mnemonic != "call":
        return ()
    behind, esp = lines[0].address + len(lines[0].bytes), timeline.registers.esp
    return (Call(Breakpoint.at(behind & 0xFFFFFFFF), esp, esp + ARGUMENTS),)


def call_done(timeline: Timeline) -> tuple[Call, ...]:
    """The call that has just returned; none if the last instruction was no return."""
    here = timeline.cursor
    if here <= timeline.start:
        return ()
    timeline.back(1)
    lines = timeline.disassemble(before=0, after=1)
    timeline.step(1)
    if not lines or lines[0].mnemonic != "ret":
        return ()
    # What RET n has taken off besides its address was pushed before the call.
    taken = int.from_bytes(lines[0].bytes[-2:], "little") if lines[0].operands else 0
    behind, esp = linear_eip(timeline.registers), timeline.registers.esp - taken
    first = max(behind - LONGEST_CALL, 0)
    return (Call(Breakpoint.range(first, max(behind - 2, first)), esp, esp, behind),)


def calls_around(timeline: Timeline, direction: int) -> tuple[Call, ...]:
    """The calls that the machine may be in: where they end (+1), or begin (-1); none where the stack shows none."""
    found = []
    for place, behind in _return_addresses(timeline):
        if direction > 0:
            found.append(Call(Breakpoint.at(behind), place + 4, place + 4 + ARGUMENTS))
        else:
            found.append(Call(Breakpoint.range(behind - LONGEST_CALL, behind - 2), place + 4, place + 4, behind))
        if len(found) == CALLERS:
            break
    return tuple(found)


def _return_addresses(timeline: Timeline) -> Iterator[tuple[int, int]]:
    """Words of the stack that point behind a call, and where they lie."""
    esp = timeline.registers.esp
    for place in range(esp, min(esp + 4 * WORDS, 1 << 32), 4):
        word = timeline.read(place, 4)
        if word is None:
            return
        behind = int.from_bytes(word, "little")
        if behind > LONGEST_CALL and _ends_in_call(timeline.read(behind - LONGEST_CALL, LONGEST_CALL) or b""):
            yield place, behind


def _ends_in_call(code: bytes) -> bool:
    """CALL to an offset (e8, four bytes), or through a register or a table (ff with 2 in the middle of modrm)."""
    if code[-5:-4] == b"\xe8":
        return True
    return any(code[-n] == 0xFF and code[1 - n] >> 3 & 7 == 2 for n in range(2, len(code) + 1))
