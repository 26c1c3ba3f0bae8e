"""The event log of a recording on a line: what came from outside, where; zoom, select, read the entry."""

import os
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.vm.replay import Recording
from labkit.vm.replay.entries import Entry
from labkit.widgets import svg
from labkit.widgets.notation import decimal
from labkit.widgets.picture import Picture
from labkit.widgets.replay.command import CommandError, parse
from labkit.widgets.replay.entries import LANES, Placed, details, placed
from labkit.widgets.theme import css, esm

__all__ = ["LogModel", "RecordingLog"]

COLUMNS = 800
"""Marks that a lane has room for."""
WIDTH, LEFT, RIGHT, LANE = 640, 176, 632, 24
SMALLEST = 16
"""Instructions that the closest zoom shows."""


class LogModel:
    """A log, the stretch of it that is shown, and the entry that is selected; every face is drawn from this."""

    def __init__(self, recording: Recording, name: str = "") -> None:
        self.recording, self.name = recording, name
        self.end = max(recording.clock, 1)
        self.entries = placed(recording.entries, self.end)
        self._lanes = [[one for one in self.entries if one.lane == k] for k in range(len(LANES))]
        self._places = [[one.at for one in lane] for lane in self._lanes]
        self.window = (0, self.end)
        self.selected: int | None = None
        self.lane = -1
        """The lane that `move` stays in; -1: any."""

    # --- commands

    def zoom(self, start: int, end: int) -> None:
        """Show this stretch of instructions."""
        start, end = max(0, min(start, self.end)), max(0, min(end, self.end))
        if end - start < SMALLEST:
            middle = (start + end) // 2
            start = max(0, min(middle - SMALLEST // 2, self.end - SMALLEST))
            end = min(self.end, start + SMALLEST)
        self.window = (start, end)

    def scale(self, factor: float) -> None:
        """Show more (above 1) or less around the selected entry, or the middle."""
        start, end = self.window
        focus = (start + end) // 2
        if self.selected is not None and start <= self.entries[self.selected].at <= end:
            focus = self.entries[self.selected].at
        share = (focus - start) / max(1, end - start)
        width = max(SMALLEST, min(self.end, round((end - start) * factor)))
        start = max(0, min(round(focus - share * width), self.end - width))
        self.zoom(start, start + width)

    def shift(self, share: float) -> None:
        """Move what is shown by a share of its width."""
        start, end = self.window
        width = end - start
        start = max(0, min(round(start + share * width), self.end - width))
        self.window = (start, start + width)

    def select(self, number: int) -> None:
        """Select an entry by its number, from 0, and show it. Raises CommandError."""
        if not 0 <= number < len(self.entries):
            raise CommandError(f"there is no entry {number + 1}: the log has {len(self.entries)}")
        self.selected = number
        start, end = self.window
        at = self.entries[number].at
        if not start <= at <= end:
            width = end - start
            start = max(0, min(at - width // 2, self.end - width))
            self.zoom(start, start + width)

    def pick(self, lane: int, share: float) -> None:
        """Select the entry of a lane that is nearest to a place on the line."""
        if not 0 <= lane < len(LANES) or not self._lanes[lane]:
            raise CommandError("this lane has no entries")
        start, end = self.window
        clock = round(start + share * (end - start))
        places = self._places[lane]
        at = bisect_left(places, clock)
        near = [k for k in (at - 1, at) if 0 <= k < len(places)]
        self.select(self._lanes[lane][min(near, key=lambda k: abs(places[k] - clock))].number)

    def move(self, direction: int) -> None:
        """To the next entry, or the one before: of the chosen lane, or of any. Raises CommandError."""
        lane = self.entries if self.lane < 0 else self._lanes[self.lane]
        numbers = [one.number for one in lane]
        if not numbers:
            raise CommandError("there is no such entry in this log")
        if self.selected is None:
            self.select(numbers[0] if direction > 0 else numbers[-1])
            return
        at = bisect_right(numbers, self.selected) if direction > 0 else bisect_left(numbers, self.selected) - 1
        if not 0 <= at < len(numbers):
            raise CommandError("that was the last one" if direction > 0 else "that was the first one")
        self.select(numbers[at])

    # --- what is shown

    def marks(self, lane: int) -> list[tuple[int, int]]:
        """Column (of COLUMNS) and number of entries of each mark in the window."""
        start, end = self.window
        places = self._places[lane]
        found: dict[int, int] = {}
        for at in places[bisect_left(places, start) : bisect_right(places, end)]:
            column = (at - start) * (COLUMNS - 1) // max(1, end - start)
            found[column] = found.get(column, 0) + 1
        return sorted(found.items())

    def inside(self, lane: int) -> int:
        """Entries of a lane in the window."""
        places, (start, end) = self._places[lane], self.window
        return bisect_right(places, end) - bisect_left(places, start)

    @property
    def chosen(self) -> Placed | None:
        """The selected entry."""
        return None if self.selected is None else self.entries[self.selected]

    @property
    def title(self) -> str:
        """What is shown, and how large it is."""
        per = 1000 * self.recording.log_bytes / self.end
        size = f"{decimal(self.recording.log_bytes)} bytes" if self.recording.log_bytes else "not written"
        return (
            f"{decimal(len(self.entries))} entries, {size} for {decimal(self.end)} instructions: "
            f"{per:.2f} byte per 1000"
        )

    def told(self) -> list[tuple[str, str]]:
        """Name and value of what is known of the selected entry."""
        return details(self.chosen, len(self.entries)) if self.chosen else []

    def view(self) -> dict[str, Any]:
        """Plain data for the front-end."""
        start, end = self.window
        chosen = self.chosen
        inside = chosen is not None and start <= chosen.at <= end
        return {
            "name": self.name, "title": self.title, "start": start, "end": end, "whole": self.end, "lane": self.lane,
            "columns": COLUMNS, "damage": self.recording.damage,
            "lanes": [
                {"name": lane.name, "ink": lane.ink, "given": lane.given, "inside": decimal(self.inside(k)),
                 "total": decimal(len(self._lanes[k])), "marks": self.marks(k)}
                for k, lane in enumerate(LANES)
            ],
            "selected": None if chosen is None else {
                "at": (chosen.at - start) / max(1, end - start) if inside else None, "lane": chosen.lane,
                "told": self.told(),
            },
        }  # fmt: skip

    def picture(self) -> Picture:
        """Text and static picture."""
        title = f"event log of {self.name}" if self.name else "event log"
        text = "\n".join(self._lines(title))
        rows = len(self.told())
        height = 60 + LANE * len(LANES) + 36 + 18 * rows
        return Picture(title, text, svg.document(WIDTH, height, title, text, self._draw(title)))

    def _lines(self, title: str) -> list[str]:
        start, end = self.window
        lines = [f"{title}: {self.title}"]
        if self.recording.damage:
            lines.append(f"  {self.recording.damage}")
        if self.window != (0, self.end):
            lines.append(f"  from {decimal(start)} to {decimal(end)}")
        for k, lane in enumerate(LANES):
            use = "given to the replay" if lane.given else "compared"
            lines.append(f"  {lane.name:<14}{decimal(self.inside(k)):>9}  {use}")
        return lines + [f"  {name:<14}{value}" for name, value in self.told()]

    def _draw(self, title: str) -> list[str]:
        start, end = self.window
        scale, bottom = (RIGHT - LEFT) / COLUMNS, 48 + LANE * len(LANES)
        parts = [svg.text(8, 16, title, bold=True), svg.text(8, 34, self.title, "dim", small=True)]
        for k, lane in enumerate(LANES):
            y = 44 + LANE * k
            parts.append(svg.text(8, y + 16, lane.name, lane.ink, bold=True))
            parts.append(svg.text(LEFT - 12, y + 16, decimal(self.inside(k)), "dim", mono=True, anchor="end"))
            columns = sorted({round(LEFT + column * scale, 1) for column, _count in self.marks(k)})
            parts.append(svg.line("".join(f"M{x} {y + 4}V{y + 20}" for x in columns), lane.ink, width=1.25))
            parts.append(svg.line(f"M{LEFT} {y + LANE}H{RIGHT}", "hair"))
        parts.append(svg.line(f"M{LEFT} {bottom}H{RIGHT}"))
        parts.append(svg.text(LEFT, bottom + 18, decimal(start), mono=True))
        parts.append(svg.text(RIGHT, bottom + 18, decimal(end), mono=True, anchor="end"))
        parts.append(svg.text((LEFT + RIGHT) / 2, bottom + 18, "instructions", "dim", anchor="middle", small=True))
        chosen = self.chosen
        if chosen is not None and start <= chosen.at <= end:
            x = LEFT + (chosen.at - start) / max(1, end - start) * (RIGHT - LEFT)
            y = 44 + LANE * chosen.lane
            parts.append(svg.rect(x - 4, y + 2, 8, LANE - 4, edge="ink"))
        for row, (name, value) in enumerate(self.told()):
            parts.append(svg.text(8, bottom + 42 + 18 * row, name, "dim"))
            parts.append(svg.text(96, bottom + 42 + 18 * row, value, mono=name in {"in the log", "there"}))
        return parts


class RecordingLog(anywidget.AnyWidget):
    """The event log of a recording: `RecordingLog("run.rec")`, or of a `Recording` in hand.

    What a hand can do, code can: `log.select(7)`, `log.zoom(start, end)`. `print(log)` is its text.
    """

    _esm = esm("static/elements.js", "static/recording_log.js")
    _css = css("static/replay.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, recording: Recording | str | os.PathLike[str]) -> None:
        name = "" if isinstance(recording, Recording) else Path(recording).name
        read = recording if isinstance(recording, Recording) else Recording.read(recording)
        self.model = LogModel(read, name)
        self._seq, self._message = 0, ""
        super().__init__()
        self.on_msg(self._on_message)
        self.refresh()

    @property
    def selected(self) -> Entry | None:
        """The selected entry of the log."""
        chosen = self.model.chosen
        return None if chosen is None else chosen.entry

    def select(self, number: int) -> None:
        """Select an entry by its number, from 0. Raises `ValueError` where the log has none."""
        self.model.select(number)
        self.refresh()

    def zoom(self, start: int, end: int) -> None:
        """Show a stretch of instructions."""
        self.model.zoom(start, end)
        self.refresh()

    def refresh(self) -> None:
        """Send what is shown now."""
        self.view = {**self.model.view(), "seq": self._seq, "message": self._message}

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        self._message = ""
        try:
            self._obey(content)
        except CommandError as error:
            self._message = str(error)
        self.refresh()

    def _obey(self, content: Any) -> None:
        command, model = parse(content), self.model
        self._seq = max(self._seq, command.seq)
        start, end = model.window
        width = end - start
        deeds = {
            "next": lambda: model.move(+1), "previous": lambda: model.move(-1), "in": lambda: model.scale(0.5),
            "out": lambda: model.scale(2), "left": lambda: model.shift(-0.25), "right": lambda: model.shift(0.25),
            "whole": lambda: model.zoom(0, model.end), "pick": lambda: model.pick(command.lane, command.low),
            "range": lambda: model.zoom(round(start + command.low * width), round(start + command.high * width)),
            "lane": lambda: self._choose(command.lane), "copy": lambda: self._copy(command.name),
        }  # fmt: skip
        if command.do not in deeds:
            raise CommandError(f"there is no command {command.do!r}")
        deeds[command.do]()

    def _choose(self, lane: int) -> None:
        self.model.lane = lane if lane < len(LANES) else -1

    def _copy(self, name: str) -> None:
        picture = self.model.picture()
        self.send({"copy": picture.svg if name == "SVG" else picture.text, "name": name})

    def __str__(self) -> str:
        return self.model.picture().text

    def __repr__(self) -> str:
        return f"<event log of {self.model.name or 'a recording'}: {len(self.model.entries)} entries>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle: Any = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        picture = self.model.picture()
        return {**data, "text/plain": picture.text, "image/svg+xml": picture.svg}, metadata
