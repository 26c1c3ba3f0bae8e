"""Events over retired instructions, one lane per kind: text, a static picture, a Bokeh figure to zoom."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.vm.monitor.events import Event, EventKind
from labkit.widgets import svg
from labkit.widgets.bokehjs import figure_bundle
from labkit.widgets.notation import decimal
from labkit.widgets.picture import Picture
from labkit.widgets.theme import tokens

__all__ = ["LANES", "EventTimeline", "event_timeline"]

LANES = (
    ("interrupts", "guest", (EventKind.INTERRUPT,)),
    ("faults", "fault", (EventKind.EXCEPTION, EventKind.PAGE_FAULT)),
    ("system calls", "new", (EventKind.SYSTEM_CALL,)),
    ("devices", "hardware", (EventKind.PORT_IN, EventKind.PORT_OUT, EventKind.DEVICE_READ,
                             EventKind.DEVICE_WRITE, EventKind.ROM_WRITE)),
    ("halts", "dim", (EventKind.HALT,)),
    ("input and edits", "monitor", (EventKind.INPUT, EventKind.EDIT, EventKind.STOP, EventKind.FALLBACK)),
)  # fmt: skip
WIDTH, LEFT, RIGHT, LANE = 560, 168, 552, 24
MOST = 4000
"""Marks that the figure draws one by one; above, each stands for all in one of that many slices of time."""
LISTED = 12


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: its events in order of time."""

    name: str
    ink: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class EventTimeline:
    """The drawing of a run's events; `print()` it, or let a notebook show it."""

    picture: Picture
    lanes: tuple[Lane, ...] = field(repr=False)
    span: tuple[int, int]
    cursor: int | None = None

    def __str__(self) -> str:
        return self.picture.text

    def figure(self) -> Any:
        """The Bokeh figure, for who wants to add to it."""
        return _figure(self)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return figure_bundle(self.figure, self.picture, include, exclude)


def event_timeline(
    events: Iterable[Event], *, start: int | None = None, end: int | None = None, cursor: int | None = None,
    title: str = "events",
) -> EventTimeline:  # fmt: skip
    """Draw events between two clocks (retired instructions), by default from the first to the last of them.

    Raises `ValueError` where the end lies before the start.
    """
    every = sorted(events, key=_clock)
    first = start if start is not None else _clock(every[0]) if every else 0
    last = end if end is not None else _clock(every[-1]) if every else first
    if last < first:
        raise ValueError(f"the end, {last}, lies before the start, {first}")
    shown = [event for event in every if first <= _clock(event) <= last]
    lanes = tuple(
        lane for name, ink, kinds in LANES
        if (lane := Lane(name, ink, tuple(event for event in shown if event.kind in kinds))).events
    )  # fmt: skip
    text = _text(title, lanes, shown, (first, last), cursor)
    height = 44 + LANE * max(1, len(lanes)) + 32
    drawn = svg.document(WIDTH, height, title, text, _draw(title, lanes, (first, last), cursor))
    return EventTimeline(Picture(title, text, drawn), lanes, (first, last), cursor)


def _clock(event: Event) -> int:
    return event.point.instructions


def _text(
    title: str, lanes: tuple[Lane, ...], shown: list[Event], span: tuple[int, int], cursor: int | None
) -> str:
    lines = [f"{title}, {decimal(len(shown))} from {decimal(span[0])} to {decimal(span[1])} instructions"]
    if cursor is not None:
        lines.append(f"  here {decimal(cursor)}")
    lines += [f"  {lane.name} {decimal(len(lane.events))}" for lane in lanes]
    lines += [str(event) for event in shown[:LISTED]]
    if len(shown) > LISTED:
        lines.append(f"  and {decimal(len(shown) - LISTED)} more")
    return "\n".join(lines)


def _draw(title: str, lanes: tuple[Lane, ...], span: tuple[int, int], cursor: int | None) -> Iterable[str]:
    first, last = span
    scale = (RIGHT - LEFT) / max(1, last - first)
    bottom = 44 + LANE * max(1, len(lanes))
    yield svg.text(8, 16, title, bold=True)
    if not lanes:
        yield svg.text(LEFT, 60, "no events here", "dim")
    for row, lane in enumerate(lanes):
        y = 44 + LANE * row
        yield svg.text(8, y + 16, lane.name, lane.ink, bold=True)
        yield svg.text(LEFT - 12, y + 16, decimal(len(lane.events)), "dim", mono=True, anchor="end")
        columns = sorted({round(LEFT + (_clock(event) - first) * scale) for event in lane.events})
        yield svg.line("".join(f"M{x} {y + 4}V{y + 20}" for x in columns), lane.ink, width=1.25)
        yield svg.line(f"M{LEFT} {y + LANE}H{RIGHT}", "hair")
    yield svg.line(f"M{LEFT} {bottom}H{RIGHT}")
    yield svg.text(LEFT, bottom + 18, decimal(first), mono=True)
    yield svg.text(RIGHT, bottom + 18, decimal(last), mono=True, anchor="end")
    yield svg.text((LEFT + RIGHT) / 2, bottom + 18, "instructions", "dim", anchor="middle", small=True)
    if cursor is not None and first <= cursor <= last:
        x = LEFT + (cursor - first) * scale
        anchor = "start" if x < LEFT + 100 else "end" if x > RIGHT - 60 else "middle"
        yield svg.line(f"M{x:.1f} 34V{bottom}", "ink", width=1.5)
        yield svg.text(x, 28, f"here {decimal(cursor)}", bold=True, anchor=anchor)


def _slices(lane: Lane, span: tuple[int, int]) -> list[tuple[int, str]]:
    """Clock and words of each mark: every event, or one for all in a slice of time."""
    if len(lane.events) <= MOST:
        return [(_clock(event), event.what) for event in lane.events]
    wide = max(1, (span[1] - span[0]) // MOST + 1)
    found: dict[int, list[Event]] = {}
    for event in lane.events:
        found.setdefault((_clock(event) - span[0]) // wide, []).append(event)
    return [
        (_clock(inside[0]), inside[0].what + (f", and {len(inside) - 1} more" if len(inside) > 1 else ""))
        for inside in found.values()
    ]


def _figure(drawn: EventTimeline) -> Any:
    import bokeh.models  # noqa: PLC0415 (a second to import: only for who draws)
    import bokeh.plotting  # noqa: PLC0415

    models: Any = bokeh.models  # its types know only the exact form of each property
    new_figure: Any = bokeh.plotting.figure
    colour = tokens()
    rows = {lane: f"{lane.name} {decimal(len(lane.events))}" for lane in drawn.lanes}
    names = list(rows.values())[::-1] or ["no events here"]
    first, last = drawn.span
    margin = max(1, (last - first) // 100)
    plot = new_figure(
        y_range=names, x_range=(first - margin, last + margin), height=112 + 28 * len(names), min_width=300,
        sizing_mode="stretch_width", tools="xpan,xwheel_zoom,xbox_zoom,reset", active_scroll=None,
        toolbar_location="above", title=drawn.picture.title, background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )  # fmt: skip
    for lane in drawn.lanes:
        marks = _slices(lane, drawn.span)
        source = models.ColumnDataSource({
            "clock": [clock for clock, _ in marks], "lane": [rows[lane]] * len(marks),
            "what": [what for _, what in marks], "point": [decimal(clock) for clock, _ in marks],
        })  # fmt: skip
        plot.scatter(
            "clock", "lane", source=source, marker="dash", angle=1.5707963, size=16, line_width=1.5,
            color=colour[lane.ink], name=lane.name,
        )  # fmt: skip
    words = [("", "@lane"), ("at", "@point"), ("", "@what")]
    plot.add_tools(models.HoverTool(tooltips=words, attachment="below"))
    if drawn.cursor is not None:
        plot.add_layout(
            models.Span(location=drawn.cursor, dimension="height", line_color=colour["ink"], line_width=1.5)
        )
    plot.xaxis.formatter = models.NumeralTickFormatter(format="0,0", language="fr")  # thousands by a blank
    plot.toolbar.logo = None  # a link to another host
    plot.title.text_color = colour["ink"]
    plot.xaxis.axis_label = "instructions"
    plot.grid.grid_line_color = colour["hair"]
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.major_label_text_color = axis.axis_label_text_color = colour["dim"]
        axis.axis_line_color = axis.major_tick_line_color = colour["line"]
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
    plot.yaxis.major_label_text_color = colour["ink"]
    return plot
