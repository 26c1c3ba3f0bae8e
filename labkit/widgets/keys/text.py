"""The view of shadow keys as text: the same facts, for print, screen readers and tests."""

from collections.abc import Iterator

from labkit.widgets.keys.model import Bit, Register, Row, View

__all__ = ["as_text"]


def as_text(view: View) -> str:
    """All that is to be seen, with the rules of the selected entry and its key register."""
    return "\n".join(_lines(view))


def _fields(bits: tuple[Bit, ...]) -> str:
    """Fields of one letter stand together."""
    text = ""
    for bit in bits:
        wide = len(bit.text) > 1 or bit.name == "level"
        text += (" " if wide and text and not text.endswith(" ") else "") + bit.text + (" " if wide else "")
    return text.strip()


def _row(row: Row, wide: int) -> str:
    where = f"{'>' if row.selected else ' '} {row.address} {row.name:<{wide}}".rstrip(" " if not wide else "")
    extra = "".join(bit.text for bit in row.shadow if bit.mark == "+")
    marks = f"{' +' + extra if extra else ''}{' ≠' if row.changed else ''}"
    return f"{where}  {_fields(row.virtual):<21}  ->  {_fields(row.shadow) or 'not filled yet'}{marks}"


def _register(register: Register) -> str:
    key, *bits = register.bits
    where = f"{'>' if register.selected else ' '} {register.number:2} {key.text}"
    return f"{where} {''.join(b.text for b in bits)}  {register.what}{' ≠' if register.changed else ''}"


def _why(what: str, bits: tuple[Bit, ...]) -> Iterator[str]:
    for bit in bits:
        yield f"    {what} {bit.name} {bit.text}{' ' + bit.mark if bit.mark else ''}: {bit.rule}"


def _lines(view: View) -> Iterator[str]:
    yield f"keys stand in for rights · {view.status}"
    checked = "checked" if view.keys_on else "NOT checked"
    yield f"guest level {view.level} · {view.access} · keys {checked} by the hardware"
    yield "virtual entry  ->  shadow entry (+ permits too much, ≠ changed)"
    wide = max(len(row.name) for row in view.rows)
    yield from (_row(row, wide) for row in view.rows)
    if view.more:
        yield f"  ({view.more})"
    yield "guest's key registers: " + (", ".join(bit.text for bit in view.guest_keys) or "none")
    yield f"hardware's key registers; {view.changes}"
    used = [register for register in view.registers if len(register.bits) > 1]
    yield from (_register(register) for register in used)
    if free := len(view.registers) - len(used):
        yield f"     {free} free"
    yield "the check: " + ", ".join(
        f"{gate.name}{' (' + gate.detail + ')' if gate.detail else ''} {gate.state}" for gate in view.gates
    )
    yield f"  {view.outcome}"
    yield "counted: " + ", ".join(
        f"{counter.value} {counter.name}{f' (+{counter.step})' if counter.step else ''}" for counter in view.counters
    )
    yield "why, for the selected entry:"
    for row in view.rows:
        if row.selected:
            yield from _why("virtual", row.virtual)
            yield from _why("shadow", row.shadow)
    for register in view.registers:
        if register.selected:
            yield from _why(f"register {register.number}", register.bits)
    if view.message:
        yield view.message
