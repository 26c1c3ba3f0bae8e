"""The debugger widget: one JSON trait out, custom messages in, a run as a task in the kernel's event loop."""

import asyncio
import weakref
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets
from IPython import get_ipython

from labkit.vm.replay import Timeline
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.static import as_html
from labkit.widgets.debugger.text import as_text
from labkit.widgets.debugger.view import as_json
from labkit.widgets.theme import css, esm

__all__ = ["Debugger"]

FRAME = 0.066
"""Seconds between two pictures of a run."""
_LIVE: "weakref.WeakSet[Debugger]" = weakref.WeakSet()


class Debugger(anywidget.AnyWidget):
    """A debugger on a timeline: `Debugger(timeline)` shows it at its cursor.

    `places` names points of the history (name -> retired instructions). Two debuggers on one timeline stay in
    step, until one forks it: the other says so, and can go over.
    What can be done by hand can be done from code: `session.do({"do": "step"})`, then `refresh()`.
    """

    _esm = esm(
        "static/elements.js",
        *(f"debugger/static/{name}.js" for name in (
            "words", "rows", "controls", "scrubber", "panes", "editing", "keyboard", "debugger",
        )),
    )  # fmt: skip
    _css = css("debugger/static/debugger.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, timeline: Timeline, places: Mapping[str, int] | None = None) -> None:
        self.session = Session(timeline, places)
        self.session.on_busy = self._busy
        self._task: asyncio.Task[None] | None = None
        self._shown: tuple[int, int, int] = (0, 0, 0)
        super().__init__()
        self.on_msg(self._on_message)
        _LIVE.add(self)
        _watch_cells()
        self.refresh()

    @property
    def timeline(self) -> Timeline:
        """The timeline that is shown: after an edit, or typing in the past, a fork of the one that was given."""
        return self.session.timeline

    # --- views out

    def refresh(self) -> None:
        """Show the timeline as it stands now."""
        try:
            shown = self.session.view()
        except Exception as error:  # noqa: BLE001 (the last view stays, with a message)
            text = " ".join(str(error).split()) or type(error).__name__
            self.view = {**self.view, "seq": self.session.seq, "message": text, "message_kind": "error"}
            return
        timeline = self.session.timeline
        self._shown = (id(timeline), timeline.cursor, timeline.end)
        self.view = {**as_json(shown), "seq": self.session.seq}

    def _busy(self, words: str) -> None:
        """Say at once what takes long; the view follows when the command has ended."""
        self.view = {**self.view, "message": words, "message_kind": "note"}

    def follow(self, leader: "Debugger | None" = None) -> None:
        """Show what somebody else has made of the timeline."""
        try:
            self.session.follow(leader.session if leader else None)
        finally:
            self.refresh()

    @property
    def stale(self) -> bool:
        """Whether the timeline has moved since it was drawn."""
        timeline = self.session.timeline
        return self._shown != (id(timeline), timeline.cursor, timeline.end)

    # --- commands in

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and content.get("do") == "copy":
            name = "HTML" if content.get("name") == "HTML" else "text"
            self.send({"copy": as_html(self.session.view()) if name == "HTML" else str(self), "name": name})
            self.session.do({"do": "look", "seq": content.get("seq", 0)})
        else:
            before = self.session.timeline
            self.session.do(content)
            self._offer(before)
        self.refresh()
        if self.session.state.running:
            self._begin_running()
        refresh_stale(self)

    def _offer(self, before: Timeline) -> None:
        """Where a command has forked: tell the other views of the history that was left."""
        fork = self.session.timeline
        if fork is before or fork is self.session.histories.first:
            return
        for one in list(_LIVE):
            if one is self or one.session.timeline is not before or one.session.histories.other is fork:
                continue
            if before is one.session.histories.first:  # who looks at a fork keeps the way back to the first history
                one.session.offer(fork)
                one.refresh()

    def _begin_running(self) -> None:
        if self._task is not None and not self._task.done():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no event loop: whoever drives the session calls its runner
        self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        """Slices of the run, with the loop free for other messages between two of them."""
        loop = asyncio.get_running_loop()
        drawn = loop.time()
        while self.session.state.running:
            self.session.runner.tick()
            now = loop.time()
            if now - drawn >= FRAME or self.session.runner.pause > FRAME:
                drawn = now
                self.refresh()
                refresh_stale(self)
            await asyncio.sleep(max(self.session.runner.pause, 0.001))
        self.refresh()
        refresh_stale(self)

    # --- the other faces

    def __str__(self) -> str:
        return as_text(self.session.view())

    def __repr__(self) -> str:
        timeline = self.session.timeline
        return f"<debugger on {timeline.name} at {timeline.cursor} of {timeline.start} to {timeline.end}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle: Any = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        data = {**data, "text/plain": str(self), "text/html": as_html(self.session.view())}
        return data, metadata


def refresh_stale(but: Debugger | None = None) -> None:
    """Redraw every debugger whose timeline was moved by somebody else."""
    for one in list(_LIVE):
        if one is not but and not one.session.state.running and one.stale:
            one.follow(but)


def _watch_cells() -> None:
    """After each cell, debuggers follow what the cell did to their timelines."""
    shell = get_ipython()
    if shell is not None and not getattr(shell, "labkit_watched", False):
        shell.labkit_watched = True
        shell.events.register("post_run_cell", lambda *_: refresh_stale())
