"""Where a replay first went another way: recorded and found side by side, and the guest's code around it."""

from dataclasses import dataclass

from labkit.vm.replay import Replayer
from labkit.vm.replay.disassembly import Line, disassemble
from labkit.vm.replay.entries import Anchor, Entry, Given, Read, Vector
from labkit.vm.replay.linear_memory import read
from labkit.vm.replay.symbols import Symbols
from labkit.widgets import svg
from labkit.widgets.notation import decimal, hexadecimal, hexh
from labkit.widgets.picture import Picture

__all__ = ["divergence_view"]

WIDTH, ROW = 640, 20
NAMES = {Anchor: "the host's time", Vector: "an interrupt", Read: "a device read", Given: "input"}
COLUMNS = (128, 320)
NONE = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """A quantity as recorded and as replayed."""

    name: str
    recorded: str
    replayed: str

    @property
    def differs(self) -> bool:
        """Are both known, and not the same?"""
        return self.recorded != self.replayed


def divergence_view(replayer: Replayer) -> Picture:
    """Draw the first divergence of a replay that has stopped at one; else that there was none.

    Draw it where the replay stopped: the code is read from its machine.
    """
    found = replayer.divergence
    total = len(replayer.recording.entries)
    if found is None:
        where = f"up to instruction {decimal(replayer.clock)} of {decimal(replayer.end)}"
        return _picture(f"no divergence {where}", [], [], "", None)
    entry = None if found.number is None else replayer.recording.entries[found.number]
    which = "" if found.number is None else f"entry {decimal(found.number + 1)} of {decimal(total)}, "
    title = f"first divergence: {which}at instruction {decimal(found.point.instructions)}"
    rows = _rows(entry, found.replayed)
    if found.replayed is None:
        rows.append(Row("the guest", found.expected, found.found))
    machine, eip = replayer.machine, found.point.eip
    code = disassemble(lambda linear, size: read(machine, linear, size), eip, 3, 4)
    symbols = Symbols(machine.image.symbols if machine.image else ())
    place = found.replayed.port if isinstance(found.replayed, Read) else None
    note = "" if place is None else f"the guest reads port {hexh(place)} here"
    return _picture(title, rows, code, symbols.name(eip) or "", eip, note)


def _fields(entry: Entry | None) -> dict[str, str]:
    """An entry's quantities, in the order in which they are shown."""
    if entry is None:
        return {}
    told = {"kind": NAMES[type(entry)]}
    if not isinstance(entry, Read):
        told["instruction"] = decimal(entry.clock)
    if isinstance(entry, Anchor | Vector):
        told |= {"branches": decimal(entry.branches), "eip": hexadecimal(entry.eip)}
    if isinstance(entry, Anchor):
        told["registers"] = f"CRC {hexadecimal(entry.registers)}"
    elif isinstance(entry, Vector):
        told["vector"] = hexh(entry.vector)
    elif isinstance(entry, Read):
        told |= {"port": hexh(entry.port), "bytes": str(entry.size), "value": hexh(entry.value)}
    return told


def _rows(recorded: Entry | None, replayed: Entry | None) -> list[Row]:
    left, right = _fields(recorded), _fields(replayed)
    if not right:
        return []
    return [Row(name, left.get(name, NONE), right.get(name, NONE)) for name in dict.fromkeys((*left, *right))]


def _picture(
    title: str, rows: list[Row], code: list[Line], symbol: str, eip: int | None, note: str = ""
) -> Picture:  # fmt: skip
    lines = [title]
    if rows:
        lines.append(f"  {'':<12} {'recorded':<28} replayed")
    lines += [f"  {r.name:<12} {r.recorded:<28} {r.replayed}{'  ≠' if r.differs else ''}" for r in rows]
    if code:
        lines.append(f"the code there{f', {symbol}' if symbol else ''}{f': {note}' if note else ''}")
    lines += [f"  {'>' if line.address == eip else ' '} {line}" for line in code]
    text = "\n".join(lines)
    parts = [svg.text(8, 16, title, "fault" if rows else "ink", bold=True)]
    y = 44
    if rows:
        parts.append(svg.text(COLUMNS[0], y, "recorded", "dim", small=True))
        parts.append(svg.text(COLUMNS[1], y, "replayed", "dim", small=True))
        parts.append(svg.line(f"M8 {y + 6}H{WIDTH - 8}"))
    for row in rows:
        y += ROW
        if row.differs:
            parts.append(svg.rect(4, y - 12, WIDTH - 8, ROW, wash="fault"))
        parts.append(svg.text(8, y + 2, row.name))
        parts.append(svg.text(COLUMNS[0], y + 2, row.recorded, mono=True, bold=row.differs))
        ink = "fault" if row.differs else "ink"
        parts.append(svg.text(COLUMNS[1], y + 2, row.replayed, ink, mono=True, bold=row.differs))
        if row.differs:
            parts.append(svg.text(WIDTH - 12, y + 2, "≠ differs", "fault", bold=True, anchor="end"))
        parts.append(svg.line(f"M8 {y + 8}H{WIDTH - 8}", "hair"))
    if code:
        y += 36
        parts.append(svg.text(8, y, "The code there", bold=True))
        parts.append(svg.text(COLUMNS[0], y, " · ".join(filter(None, (symbol, note))), "dim", small=True))
    for line in code:
        y += ROW
        if line.address == eip:
            parts.append(svg.rect(4, y - 14, WIDTH - 8, ROW, wash="guest"))
            parts.append(svg.text(8, y, "here", small=True))
        parts.append(svg.text(44, y, hexadecimal(line.address), "dim", mono=True))
        parts.append(svg.text(COLUMNS[0], y, line.bytes.hex(" ")[:26], "dim", mono=True))
        parts.append(svg.text(COLUMNS[1], y, f"{line.mnemonic:<6} {line.operands}", mono=True))
    return Picture(title, text, svg.document(WIDTH, y + 16, title, text, parts))
