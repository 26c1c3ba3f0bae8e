"""Text, static picture and live widget say the same; so they do after clicks at random on every control."""

import html
import json
import os
import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.widgets.debugger.model import View
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.static import as_html
from labkit.widgets.debugger.text import as_text
from labkit.widgets.debugger.view import as_json
from tests.widgets.debugger.conftest import run_out

CLICKS = int(os.environ.get("LABKIT_CLICKS", "300"))  # 10 000 take some minutes


def facts(view):
    """What every face has to say."""
    yield from (view.title, view.subtitle, view.status, view.code.where)
    for row in view.code.rows:
        yield from (row.address, row.mnemonic, row.operands)
    for row in (*view.registers.general, *view.registers.system):
        yield from (row.value, row.was)
    for row in view.memory.rows:
        yield row.address
    for row in view.stack.rows:
        yield from (row.address, row.value, row.note)
    for row in view.events.rows:
        yield from (row.point, row.kind, row.what)
    yield from view.console.lines
    yield from (view.message, view.other, view.stops.more)
    for row in view.stops.rows:
        yield from (row.words, row.where)
    if view.answer:
        yield view.answer.text


def plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def leaves(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def agree(view) -> None:
    text, picture = as_text(view), plain(as_html(view))
    live = set(leaves(json.loads(json.dumps(as_json(view)))))
    for fact in filter(None, facts(view)):
        assert fact.rstrip() in text, fact
        assert fact.rstrip() in picture, fact
        assert fact in live, fact


def test_the_three_faces_agree(timeline):
    session = Session(timeline)
    for command in ("step", "event", "back", "breakpoint", "watch", "next_stop", "over", "screen", "edit", "switch"):
        session.do({"do": command, **({"text": "90"} if command == "edit" else {})})
        run_out(session)
        agree(session.view())
    session.do({"do": "dance"})
    agree(session.view())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**34)), max_size=6))
@settings(max_examples=25, deadline=None)
def test_views_are_bounded_wherever_one_goes(shared_timeline, moves):
    session = Session(shared_timeline)
    for move, number in moves:
        session.do([
            {"do": "seek", "to": number % (shared_timeline.end + 1)}, {"do": "memory", "text": f"{number:x}"},
            {"do": "step"}, {"do": "back"},
        ][move])  # fmt: skip
        view = session.view()
        assert len(json.dumps(as_json(view))) < 20_000
        assert len(view.memory.rows) == 8
        agree(view)


# --- clicks at random


def click(rng: random.Random, session: Session, view: View) -> dict[str, object]:
    """A click on any control, with what a hand could give it."""
    timeline = session.timeline
    what = rng.choice(sorted(session._commands))
    end, rows = timeline.end, view.code.rows
    more: dict[str, dict[str, Any]] = {
        "seek": {"to": rng.randint(-10, end + 10)},
        "speed": {"to": rng.randint(1, 5)},
        "go": {"text": rng.choice(["50%", "", "0", "9" * 30, "interrupt", "c0100000h", "user mode", "%", "idle_loop"])},
        "breakpoint": rng.choice([{}, *({"to": row.linear} for row in rows)]),
        "memory": {"text": rng.choice(["", "esp", "eip", "0", "ffffffff", "c0100000", "?", "idle_loop"])},
        "writer": {"to": rng.choice([timeline.registers.esp, 0, 0xFFFFFFFF])},
        "register_writer": {"name": rng.choice(["eax", "flags", "esp", "cs"])},
        "type": {"text": rng.choice(["\n", "help\n"])},
        "edit": {"name": rng.choice(["eax", "ebx", "flags", "eip", ""]), "text": rng.choice(["00", "1", "z"])},
        "stop": {"text": rng.choice(["edi", "write esp", "write 9 at esp", "idle_loop", "interrupt", "write 0", "?"])},
        "unstop": {"text": rng.choice([*(row.key for row in view.stops.rows), "no such"])},
        "watch": rng.choice([{}, {"name": "eax"}, {"name": "cs"}, {"to": timeline.registers.esp}]),
        "stop_event": rng.choice([{}, {"name": "page fault"}, {"name": "no such"}]),
        "filter": {"name": rng.choice(["", "interrupt", "port out", "no such"])},
    }  # fmt: skip
    return {"do": what, **more.get(what, {})}


def test_clicks_at_random_leave_a_live_session(own_timeline):
    rng, session, origin = random.Random(20), Session(own_timeline), own_timeline
    view = session.view()
    for n in range(CLICKS):
        command = click(rng, session, view)
        session.do(command)
        for _ in range(rng.randint(0, 3)):
            if session.state.running:
                session.runner.tick()
        view = session.view()
        assert "Error" not in view.message, (n, command, view.message)
        if session.timeline is not origin and rng.random() < 0.3:
            session.do({"do": "pause"})
            session = Session(origin)  # forks use memory: back to the first history now and then
            view = session.view()
    session.do({"do": "pause"})
    agree(session.view())
