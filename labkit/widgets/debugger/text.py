"""The debugger's text twin: what print() shows, a test compares and a screen reader reads."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from labkit.widgets.debugger.model import RegisterRow, View

__all__ = ["as_text"]

BAR = 60


def as_text(view: View) -> str:
    """All panes, one after the other."""
    lines = [f"{view.title} · {view.subtitle}", view.status]
    if view.message:
        lines.append(f"{'not done: ' if view.message_kind == 'error' else ''}{view.message}")
    if view.other:
        lines.append(f"two histories: {view.other}")
    for pane in (_scrubber, _stops, _code, _registers, _memory, _stack, _events, _console):
        lines += ["", *pane(view)]
    return "\n".join(line.rstrip() for line in lines)


def _scrubber(view: View) -> Iterator[str]:
    scrubber = view.scrubber
    at = min(int(scrubber.at * BAR), BAR - 1)
    yield f"history {scrubber.start} |{'-' * at}●{'-' * (BAR - 1 - at)}| {scrubber.end}"
    for lane in scrubber.lanes:
        yield f"  {lane.name:<11} {lane.count}"
    for phase in scrubber.phases:
        yield f"  {'here ' if phase.here else '     '}{phase.name}, from {phase.clock}"


def _stops(view: View) -> Iterator[str]:
    yield "runs stop" if view.stops.rows else "runs stop nowhere yet"
    for row in view.stops.rows:
        yield f"  {row.words}  {row.where}"
    if view.stops.more:
        yield f"  {view.stops.more}"


def _code(view: View) -> Iterator[str]:
    yield f"code at {view.code.where}"
    if view.code.problem:
        yield f"  {view.code.problem}"
    for row in view.code.rows:
        sign = "●" if row.breakpoint else " "
        note = row.note or row.label
        told = f"{sign} {row.mark:<5} {row.address}  {row.bytes:<21} {row.mnemonic:<5} {row.operands:<28}"
        yield f"{told} {note}".rstrip()


def _registers(view: View) -> Iterator[str]:
    pane = view.registers
    yield "registers" + (f", ± {pane.since}" if pane.since else "")
    for general, system in zip_longest(pane.general, pane.system):
        yield f"  {_register(general):<38}{_register(system)}"
    flags = " ".join(sign + name for name, sign in pane.flags) or "none set"
    yield f"  flags: {flags} · {pane.flags_note}"


def _register(row: RegisterRow | None) -> str:
    if row is None:
        return ""
    sign, tail = ("±", f" was {row.was}") if row.was else (" ", f" {row.note}")
    return f"{row.name:<5} {sign} {row.value}{tail}".rstrip()


def _memory(view: View) -> Iterator[str]:
    yield f"memory, {view.memory.where}; [read] and <written> by the last step"
    for row in view.memory.rows:
        yield f"  {row.address} {_bytes(row.bytes, row.marks)} {row.text}"
    if view.answer:
        found = view.answer
        yield f"  {found.text}" + (f" at {found.point} by {found.where}" if found.clock is not None else "")


def _bytes(cells: Sequence[str], marks: str) -> str:
    signs = {"r": "[]", "w": "<>"}
    told = (cell.join(signs.get(mark, "  ")) for cell, mark in zip(cells, marks, strict=True))
    return "".join(told)


def _stack(view: View) -> Iterator[str]:
    yield "stack"
    if view.stack.problem:
        yield f"  {view.stack.problem}"
    for row in view.stack.rows:
        yield f"  {row.pointer:<3} {row.address}  {row.value}  {row.note}"


def _events(view: View) -> Iterator[str]:
    kind = f", only {view.events.filter}" if view.events.filter else ""
    yield f"events, {view.events.total} in this history{kind}"
    for row in view.events.rows:
        yield f"  {row.mark:<5} {row.point:>13}  {row.kind:<18} {row.what}"


def _console(view: View) -> Iterator[str]:
    yield f"console, {view.console.name}"
    for line in view.console.lines:
        yield f"  {line}"
