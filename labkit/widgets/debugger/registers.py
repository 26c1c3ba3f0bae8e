"""The register pane: changed values by sign and words, system registers with what they mean."""

from labkit.vm.machine.state import GENERAL, Registers
from labkit.widgets.debugger.model import RegisterRow
from labkit.widgets.debugger.model import Registers as Pane
from labkit.widgets.debugger.state import State
from labkit.widgets.debugger.words import hex32, in_words

__all__ = ["registers"]

STATUS = {
    "CF": "carry", "ZF": "zero", "SF": "negative", "OF": "overflow", "PF": "even parity", "DF": "downwards",
}  # fmt: skip
FLAGS = ("CF", "PF", "AF", "ZF", "SF", "OF", "DF", "TF", "NT", "VM", "AC")
CR0 = {31: "PG", 16: "WP", 3: "TS", 0: "PE"}
CR4 = {7: "PGE", 5: "PAE", 4: "PSE"}


def registers(now: Registers, state: State, clock: int) -> Pane:
    """The pane at `clock`, changes counted from the last stop."""
    before = state.before
    names = (*GENERAL, "eip", "eflags")
    general = tuple(
        _row(name.replace("eflags", "flags"), getattr(now, name), _of(before, name)) for name in names
    )
    return Pane(_since(state, clock), general, _system(now, before), _flags(now, before), _flags_note(now))


def _since(state: State, clock: int) -> str:
    moved = clock - state.before_clock
    if state.before is None or not moved:
        return ""
    return f"changed since the last stop, {in_words(abs(moved), 'step')} {'ago' if moved > 0 else 'ahead'}"


def _of(registers: Registers | None, name: str) -> int | None:
    return None if registers is None else int(getattr(registers, name))


def _row(name: str, value: int, was: int | None, note: str = "") -> RegisterRow:
    return RegisterRow(name, hex32(value), hex32(was) if was is not None and was != value else "", note)


def _system(now: Registers, before: Registers | None) -> tuple[RegisterRow, ...]:
    rows = []
    for name in ("cs", "ss", "ds", "es", "fs", "gs"):
        segment = getattr(now, name)
        was = getattr(before, name).selector if before else segment.selector
        note = f"ring {now.cpl}" if name == "cs" else f"base {hex32(segment.base)}" if segment.base else ""
        old = f"{was:04x}" if was != segment.selector else ""
        rows.append(RegisterRow(name, f"{segment.selector:04x}", old, note))
    for name, bits in (("cr0", CR0), ("cr2", {}), ("cr3", {}), ("cr4", CR4)):
        value = getattr(now, name)
        note = " ".join(word for bit, word in bits.items() if value >> bit & 1)
        rows.append(_row(name, value, _of(before, name), note))
    return tuple(rows)


def _flags(now: Registers, before: Registers | None) -> tuple[tuple[str, str], ...]:
    here, there = now.flags, before.flags if before else now.flags
    names = [name for name in FLAGS if name in here or name in there]
    return tuple((n, "" if n in here and n in there else "+" if n in here else "-") for n in names)


def _flags_note(now: Registers) -> str:
    words = [word for name, word in STATUS.items() if name in now.flags]
    return ", ".join([*words, "interrupts on" if "IF" in now.flags else "interrupts off"])
