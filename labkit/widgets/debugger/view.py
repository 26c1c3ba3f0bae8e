"""Timeline at its cursor + small state -> one frozen view: what all three faces of the debugger show.

Nothing here computes for the machine: it asks the timeline and puts the answers into words. All is bounded.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from labkit.vm.replay import Timeline
from labkit.vm.replay.timeline import FORKED
from labkit.widgets.debugger.code import code, listing
from labkit.widgets.debugger.events import Marks, events
from labkit.widgets.debugger.memory import memory, stack, window
from labkit.widgets.debugger.model import Code, Console, View
from labkit.widgets.debugger.registers import registers
from labkit.widgets.debugger.state import State
from labkit.widgets.debugger.stops import stops
from labkit.widgets.notation import decimal, size

__all__ = ["LINES", "as_json", "look", "settle"]

ENGINES = {"hw": "hardware engine", "bt": "binary translation", "keys": "virtualized keys"}
LINES = 8
COLUMNS = 100
TAIL = 4096
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]|\x07")
PRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]")


def settle(timeline: Timeline, state: State) -> State:
    """The state with listing and memory window moved to where the cursor is, no more than needed."""
    here = timeline.registers
    return replace(state, listing=listing(timeline, state, here), window=window(state, here))


def look(timeline: Timeline, state: State, marks: Marks) -> View:
    """The view of a settled state; `marks` is a cache of the timeline's event places."""
    here, clock = timeline.registers, timeline.cursor
    shown = code(timeline, state, here)
    return View(
        title=timeline.name.partition(FORKED)[0], subtitle=_subtitle(timeline),
        status=_status(timeline, state, here.cpl, shown), clock=clock, point=decimal(clock),
        running=state.running, speed=state.speed, code=shown, registers=registers(here, state, clock),
        memory=memory(timeline, state), stack=stack(timeline, here), events=events(timeline, state, marks),
        console=_console(timeline, state), scrubber=marks.scrubber(timeline, state.places),
        stops=stops(timeline), other=state.other, answer=state.answer,
        message=state.message, message_kind=state.message_kind,
    )  # fmt: skip


def as_json(view: View) -> dict[str, Any]:
    """The view as plain data for the front-end."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    return plain


def _subtitle(timeline: Timeline) -> str:
    engine = ENGINES.get(timeline.engine.name, timeline.engine.name)
    parts = [engine, "virtual clock", size(timeline.machine.memory.size)]
    if FORKED in timeline.name:
        parts.append(f"forked at {decimal(timeline.start)}")
    return " · ".join(parts)


def _status(timeline: Timeline, state: State, ring: int, shown: Code) -> str:
    what = next((row.mnemonic for row in shown.rows if row.mark in {"next", "again"}), "")
    running = ", ".join(filter(None, (f"running {state.aim}".strip(), state.progress)))
    doing = running if state.running else f"paused before {what}" if what else "paused"
    at_end = ", end of the history" if timeline.cursor == timeline.end and not state.running else ""
    unit = getattr(timeline.engine, "unit", None)  # of a protection unit: the guest's level is not the ring
    level = f"guest level {unit.level}, real ring {ring}" if unit is not None else f"ring {ring}"
    return f"{doing} · point {decimal(timeline.cursor)}{at_end} · {level}"


def _console(timeline: Timeline, state: State) -> Console:
    at_end = timeline.cursor == timeline.end
    hint = "goes on from here" if at_end else "forks the timeline here"
    if state.screen:
        lines = [line.rstrip() for line in timeline.screen()]
        if not any(lines):
            return Console("VGA screen, blank", (), hint)
        return Console("VGA screen", tuple(PRINTABLE.sub("·", line) for line in lines[:25]), hint)
    return Console("serial, ttyS0", console_lines(timeline.console_at(timeline.cursor)), hint)


def console_lines(printed: bytes) -> tuple[str, ...]:
    """The last lines that a terminal would show, without control sequences."""
    text = ESCAPES.sub(b"", printed[-TAIL:]).decode("utf-8", "replace").replace("\r\n", "\n")
    lines = text.split("\n")[-LINES:]
    return tuple(_overwritten(line)[:COLUMNS] for line in lines)


def _overwritten(line: str) -> str:
    """A line after its carriage returns and backspaces."""
    line = line.rsplit("\r", 1)[-1] if not line.endswith("\r") else line[:-1].rsplit("\r", 1)[-1]
    while "\b" in line:
        at = line.index("\b")
        line = line[: max(at - 1, 0)] + line[at + 1 :]
    return PRINTABLE.sub("·", line.replace("\t", "    "))
