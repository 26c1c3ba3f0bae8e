"""The listing: instructions around the next one, with done and next marked in words."""

import re

from labkit.vm.machine.state import Registers
from labkit.vm.replay import Breakpoint, Timeline
from labkit.vm.replay.disassembly import Line
from labkit.widgets.debugger.model import Code, CodeRow
from labkit.widgets.debugger.state import State
from labkit.widgets.debugger.words import hex32, operands

__all__ = ["BEFORE", "ROWS", "code", "linear_eip", "listing", "stops_at"]

ROWS = 14
BEFORE = 6
MARGIN = 2
ADDRESS = re.compile(r"0x[0-9a-f]+")
EXITS = {
    "in": "port in", "out": "port out", "insb": "port in", "outsb": "port out", "cpuid": "cpuid",
    "hlt": "halt", "int": "system call", "int1": "debug", "int3": "breakpoint", "sysenter": "system call",
    "iretd": "returns", "iret": "returns", "sysexit": "returns", "lgdt": "gdt load", "lidt": "idt load",
    "invlpg": "page flush", "rdmsr": "msr", "wrmsr": "msr",
}  # fmt: skip


def linear_eip(registers: Registers) -> int:
    """CS base + EIP."""
    return (registers.cs.base + registers.eip) & 0xFFFFFFFF


def listing(timeline: Timeline, state: State, registers: Registers) -> tuple[int, ...]:
    """Addresses of the rows to show: the former ones while the next instruction is well within them."""
    eip = linear_eip(registers)
    inner = state.listing[MARGIN : len(state.listing) - MARGIN]
    if eip in inner:
        lines = timeline.disassemble(state.listing[0], 0, ROWS)
        kept = tuple(line.address for line in lines[:ROWS])
        if eip in kept[:-MARGIN]:
            return kept
    lines = timeline.disassemble(eip, BEFORE, ROWS - BEFORE)
    return tuple(line.address for line in lines[:ROWS])


def stops_at(timeline: Timeline, address: int) -> bool:
    """Whether a breakpoint covers the instruction at an address."""
    return any(
        isinstance(one, Breakpoint) and one.kind is None and one.first <= address <= one.last
        for one in timeline.breakpoints
    )


def code(timeline: Timeline, state: State, registers: Registers) -> Code:
    """The listing at the cursor."""
    eip = linear_eip(registers)
    where = timeline.symbol(eip) or hex32(eip)
    lines = timeline.disassemble(state.listing[0], 0, ROWS) if state.listing else []
    if not any(line.address == eip for line in lines):
        return Code(where, (), f"{hex32(eip)} is not mapped: the next instruction cannot be fetched")
    return Code(where, tuple(_row(timeline, line, state, registers) for line in lines[:ROWS]))


def _row(timeline: Timeline, line: Line, state: State, registers: Registers) -> CodeRow:
    next_one, done = line.address == linear_eip(registers), line.address == state.done
    mark = "again" if next_one and done else "next" if next_one else "done" if done else ""
    note, kind = _note(timeline, line, state, next_one=next_one, done=done)
    label = line.symbol if line.symbol and "+" not in line.symbol else ""
    return CodeRow(
        line.address, hex32(line.address), line.bytes.hex(" "), line.mnemonic, operands(line.operands), mark,
        stops_at(timeline, line.address), note, kind, label,
    )  # fmt: skip


def _note(timeline: Timeline, line: Line, state: State, *, next_one: bool, done: bool) -> tuple[str, str]:
    """What the row says at its right end, and in whose colour."""
    if line.note:
        return str(line.note), "monitor"
    if done and not next_one and state.accesses:
        return _accessed(state), ""
    mnemonic = line.mnemonic.split()[-1]
    if mnemonic == "mov" and line.operands.startswith("cr"):
        return f"{line.operands[:3]} write", "monitor"
    if mnemonic in EXITS:
        return EXITS[mnemonic], "monitor"
    return _target(timeline, line), ""


def _target(timeline: Timeline, line: Line) -> str:
    """Whose beginning a call or jump goes to; nothing for a jump within a function."""
    if not (line.mnemonic.startswith(("call", "j")) and ADDRESS.fullmatch(line.operands)):
        return ""
    name = timeline.symbol(int(line.operands, 16)) or ""
    return "" if "+" in name else name


def _accessed(state: State) -> str:
    read = sum(access.size for access in state.accesses if not access.write)
    wrote = sum(access.size for access in state.accesses if access.write)
    return ", ".join(f"{verb} {size}" for verb, size in (("read", read), ("wrote", wrote)) if size)
