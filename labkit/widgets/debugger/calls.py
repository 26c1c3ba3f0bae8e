"""Stepping over a call, forward and back: where it returns to, and how one knows the same call by its stack.

    cursor    call f        target: the instruction behind it, with the stack pointer where it was
              add ...   <-- target; a deeper call of the same code stands lower on the stack, and is passed by

That the stack pointer is where it was is a rule of compilers, not of the processor.
"""

from dataclasses import dataclass

from labkit.vm.replay import Breakpoint, Timeline

__all__ = ["Call", "call_done", "call_next"]

LONGEST_CALL = 7
"""Bytes of the longest call without a prefix (through a table, with a displacement)."""
ARGUMENTS = 256
"""Bytes that a return may take off the stack besides its address."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: where a run over it ends, and the stack pointers that it may have there."""

    target: Breakpoint
    lowest: int
    highest: int
    returns_to: int | None = None
    """Going back: the address that the call to be found pushes; None going forward."""

    def holds(self, timeline: Timeline) -> bool:
        """Whether the machine, at the target, stands in the same call."""
        if not self.lowest <= timeline.registers.esp <= self.highest:
            return False
        if self.returns_to is None:
            return True
        (line,) = timeline.disassemble(before=0, after=1)
        return line.mnemonic == "call" and line.address + len(line.bytes) == self.returns_to


def call_next(timeline: Timeline) -> Call | None:
    """The call that is executed next; None if the next instruction is none."""
    lines = timeline.disassemble(before=0, after=1)
    if not lines or lines[0].mnemonic != "call":
        return None
    behind, esp = lines[0].address + len(lines[0].bytes), timeline.registers.esp
    return Call(Breakpoint.at(behind & 0xFFFFFFFF), esp, esp + ARGUMENTS)


def call_done(timeline: Timeline) -> Call | None:
    """The call that has just returned; None if the last instruction was no return."""
    here = timeline.cursor
    if here <= timeline.start:
        return None
    timeline.back(1)
    lines = timeline.disassemble(before=0, after=1)
    timeline.step(1)
    if not lines or lines[0].mnemonic != "ret":
        return None
    (line,) = timeline.disassemble(before=0, after=1)
    esp = timeline.registers.esp
    first = max(line.address - LONGEST_CALL, 0)
    return Call(Breakpoint.range(first, max(line.address - 2, first)), max(esp - ARGUMENTS, 0), esp, line.address)
