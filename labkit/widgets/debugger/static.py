"""The debugger as a static picture in HTML: where no kernel and no script is (GitHub, an untrusted notebook).

Such places take styles away, so the meaning is in the elements: preformatted, bold, inserted, emphasised.
"""

from collections.abc import Iterator
from html import escape

from labkit.widgets.debugger.model import RegisterRow, View

__all__ = ["as_html"]


def as_html(view: View) -> str:
    """All panes as one figure; the cursor's place on the history is a meter."""
    panes = "".join(
        f"<h4>{name}</h4><pre>{chr(10).join(lines)}</pre>"
        for name, lines in (
            (f"Code · {escape(view.code.where)}", _code(view)), ("Registers", _registers(view)),
            ("Memory", _memory(view)), ("Stack", _stack(view)), ("Events", _events(view)),
            (f"Console · {escape(view.console.name)}", map(escape, view.console.lines)),
        )
    )  # fmt: skip
    told = "".join(f"<p><em>{escape(said)}</em></p>" for said in (view.message, view.other) if said)
    return (
        f'<div class="labkit-debugger"><p><b>{escape(view.title)}</b> · {escape(view.subtitle)}</p>'
        f"<p>{escape(view.status)}</p>{told}"
        f"<p>{_history(view)}</p><p>{escape(_stops(view))}</p>{panes}"
        "<p><em>A picture of the debugger: run the cell, and it moves.</em></p></div>"
    )


def _history(view: View) -> str:
    scrubber = view.scrubber
    here = next((phase.name for phase in scrubber.phases if phase.here), "")
    lanes = ", ".join(f"{lane.count} {lane.name}" for lane in scrubber.lanes)
    return (
        f'<meter value="{scrubber.at}">{scrubber.at:.1%}</meter> point {view.point} of {scrubber.start} to '
        f"{scrubber.end}{f', in {escape(here)}' if here else ''}; {lanes or 'no events'}"
    )


def _stops(view: View) -> str:
    rows = [f"{row.words}{f' ({row.where})' if row.where else ''}" for row in view.stops.rows]
    return f"runs stop {'; '.join(filter(None, [*rows, view.stops.more]))}" if rows else "runs stop nowhere yet"


def _code(view: View) -> Iterator[str]:
    if view.code.problem:
        yield escape(view.code.problem)
    for row in view.code.rows:
        sign = "●" if row.breakpoint else " "
        text = f"{row.address}  {row.bytes:<21} {row.mnemonic:<5} {row.operands:<28} {row.note or row.label}"
        line = f"{sign} {row.mark:<5} {escape(text.rstrip())}"
        yield f"<b>{line}</b>" if row.mark in {"next", "again"} else line


def _registers(view: View) -> Iterator[str]:
    rows = list(view.registers.general)
    for i, general in enumerate(rows):
        system = view.registers.system[i] if i < len(view.registers.system) else None
        told, width = _register(general)
        yield told + " " * (36 - width) + (_register(system)[0] if system else "")
    flags = " ".join(f"<ins>{sign}{name}</ins>" if sign else name for name, sign in view.registers.flags)
    yield f"flags: {flags or 'none set'} · {escape(view.registers.flags_note)}"


def _register(row: RegisterRow) -> tuple[str, int]:
    """The row, and how many characters of it are to be seen."""
    tail = f" was {row.was}" if row.was else f" {row.note}" if row.note else ""
    plain = f"{row.name:<5} {'±' if row.was else ' '} {row.value}{tail}"
    if not row.was:
        return escape(plain), len(plain)
    return f"{row.name:<5} <ins>± {row.value}</ins>{tail}", len(plain)


def _memory(view: View) -> Iterator[str]:
    for row in view.memory.rows:
        cells = " ".join(_byte(cell, mark) for cell, mark in zip(row.bytes, row.marks, strict=True))
        yield f"{row.address}  {cells}  {escape(row.text)}"
    if view.answer:
        found = view.answer
        place = f" at {found.point} by {found.where}" if found.clock is not None else ""
        yield escape(found.text + place)


def _byte(cell: str, mark: str) -> str:
    return f"<ins>{cell}</ins>" if mark == "w" else f"<em>{cell}</em>" if mark == "r" else cell


def _stack(view: View) -> Iterator[str]:
    if view.stack.problem:
        yield escape(view.stack.problem)
    for row in view.stack.rows:
        yield escape(f"{row.pointer:<3} {row.address}  {row.value}  {row.note}")


def _events(view: View) -> Iterator[str]:
    for row in view.events.rows:
        line = escape(f"{row.mark:<5} {row.point:>13}  {row.kind:<18} {row.what}")
        yield f"<b>{line}</b>" if row.mark == "here" else line
