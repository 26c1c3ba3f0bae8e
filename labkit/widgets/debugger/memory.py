"""The memory and stack panes: bytes with those marked that the last step read or wrote."""

from labkit.vm.machine.state import Registers
from labkit.vm.replay import Timeline
from labkit.widgets.debugger.model import Memory, MemoryRow, Stack, StackRow
from labkit.widgets.debugger.state import State
from labkit.widgets.debugger.words import hex32

__all__ = ["ROWS", "STACK_ROWS", "memory", "stack", "window"]

ROWS = 8
STACK_ROWS = 9
FAR = 0x4000
"""So far behind a symbol an address has nothing to do with it any more."""
MASK = 0xFFFFFFFF


def window(state: State, registers: Registers) -> int:
    """First address of the window: it stays while what was accessed is within it."""
    if state.memory is not None:
        return state.memory & ~15 & MASK
    at = next((a.linear for a in state.accesses if a.write), None)
    if at is None:
        at = state.accesses[0].linear if state.accesses else None
    if at is None:
        return state.window or (registers.ss.base + registers.esp) & ~15 & MASK
    if state.window <= at < state.window + 16 * ROWS:
        return state.window
    return (at - 16 * (ROWS // 2)) & ~15 & MASK


def memory(timeline: Timeline, state: State) -> Memory:
    """The window's rows. A byte of a page that is not present is shown as --."""
    marks: dict[int, str] = {}
    for access in sorted(state.accesses, key=lambda a: a.write):  # written wins
        for i in range(min(access.size, 64)):
            marks[access.linear + i & MASK] = "w" if access.write else "r"
    rows = tuple(_row(timeline, (state.window + 16 * i) & MASK, marks) for i in range(ROWS))
    chosen = state.memory is not None
    selected = state.memory if state.memory is not None else next(iter(marks), state.window)
    if isinstance(state.asked, int) and state.asked - state.window & MASK < 16 * ROWS:
        selected = state.asked
    return Memory("from the address given" if chosen else "follows what is accessed", rows, selected)


def _row(timeline: Timeline, address: int, marks: dict[int, str]) -> MemoryRow:
    data = timeline.read(address, 16)
    marked = "".join(marks.get(address + i, "·") for i in range(16))
    if data is None:
        return MemoryRow(address, hex32(address), ("--",) * 16, marked, "not mapped")
    text = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)
    return MemoryRow(address, hex32(address), tuple(f"{byte:02x}" for byte in data), marked, text)


def stack(timeline: Timeline, registers: Registers) -> Stack:
    """The words from ESP on, with EBP and what looks like a return address named."""
    wide = registers.ss.attributes & 1 << 22
    top = registers.ss.base + (registers.esp if wide else registers.esp & 0xFFFF)
    frame = registers.ss.base + registers.ebp
    rows = []
    for i in range(STACK_ROWS):
        linear = top + 4 * i & MASK
        data = timeline.read(linear, 4)
        if data is None:
            break
        value = int.from_bytes(data, "little")
        pointer = "esp" if i == 0 else "ebp" if linear == frame else ""
        rows.append(StackRow(pointer, hex32(linear), hex32(value), _meaning(timeline, value, pointer)))
    return Stack(tuple(rows), "" if rows else f"{hex32(top & MASK)} is not mapped")


def _meaning(timeline: Timeline, value: int, pointer: str) -> str:
    name = timeline.symbol(value) if value >= 0x1000 else None
    if name and _offset(name) < FAR:
        return name
    return "ebp of the caller" if pointer == "ebp" else ""


def _offset(symbol: str) -> int:
    digits = symbol.rpartition("+")[2] if "+" in symbol else "0h"
    return int(digits.rstrip("h"), 16)
