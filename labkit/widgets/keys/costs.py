"""What each way to virtualize costs, as lines: over the rate of level changes, or over the number of keys.

Both axes are logarithmic; what was never counted is drawn at the foot, and says 0.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, log10
from typing import Any

from labkit.vm.keys.costs import Cost
from labkit.widgets import svg
from labkit.widgets.bokehjs import figure_bundle
from labkit.widgets.picture import Picture
from labkit.widgets.theme import tokens

__all__ = ["CostLines", "costs_by_keys", "costs_by_rate"]

INKS = {
    "shadow keys": ("new", "circle"), "purge": ("fault", "square"), "entry per level": ("monitor", "triangle"),
    "none": ("hardware", "diamond"),
}  # fmt: skip
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 620, 300, 80, 430, 36, 248
FOOT = 1.0
"""The y at which nothing at all is drawn."""
Axis = Callable[[Cost], float]


@dataclass(frozen=True, slots=True)
class CostLines:
    """The drawing; `print()` it, or let a notebook show it."""

    picture: Picture
    costs: tuple[Cost, ...] = field(repr=False)
    axis: Axis = field(repr=False)
    label: str

    def __str__(self) -> str:
        return self.picture.text

    def figure(self) -> Any:
        """The Bokeh figure, for who wants to add to it."""
        return _figure(self)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return figure_bundle(self.figure, self.picture, include, exclude)


def costs_by_rate(costs: Sequence[Cost]) -> CostLines:
    """Faults that the monitor hides, per million instructions, over the rate of level changes."""
    return _lines(costs, lambda cost: cost.changes, "level changes per million")


def costs_by_keys(costs: Sequence[Cost]) -> CostLines:
    """The same over the number of keys in the guest's data; sixteen hardware registers for shadow keys."""
    return _lines(costs, lambda cost: cost.keys, "keys of the guest's data")


def _lines(costs: Sequence[Cost], axis: Axis, label: str) -> CostLines:
    if not costs:
        raise ValueError("no costs: measure some first, with rate_costs or key_costs")
    title = f"hidden faults per million instructions, by {label}"
    text = _text(title, costs, axis)
    drawn = svg.document(WIDTH, HEIGHT, title, text, _draw(title, costs, axis, label))
    return CostLines(Picture(title, text, drawn), tuple(costs), axis, label)


def _ways(costs: Sequence[Cost]) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {}
    for cost in costs:
        found.setdefault(cost.way, []).append(cost)
    return found


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _text(title: str, costs: Sequence[Cost], axis: Axis) -> str:
    rows = [(way, cost) for way, found in _ways(costs).items() for cost in sorted(found, key=axis)]
    head = f"  {'way':15} {'at':>7} {'faults':>8} {'refills':>8} {'key misses':>11} {'keys written':>13}"
    lines = [head] + [
        f"  {way:15} {_number(axis(cost)):>7} {_number(cost.faults):>8} {_number(cost.refills):>8} "
        f"{_number(cost.key_misses):>11} {cost.key_writes:>13.1f}"
        for way, cost in rows
    ]
    return "\n".join([title, *lines, "  keys written: hardware key registers, at each change of level"])


def _span(values: Iterable[float]) -> tuple[float, float]:
    """The logarithms of the least and the greatest, a little apart where they are one."""
    logs = sorted(log10(max(value, FOOT)) for value in values)
    return logs[0], max(logs[-1], logs[0] + 0.3)


def _draw(title: str, costs: Sequence[Cost], axis: Axis, label: str) -> Iterable[str]:
    (x0, x1), y1 = _span(map(axis, costs)), ceil(_span(cost.faults for cost in costs)[1])
    ways = _ways(costs)

    def across(value: float) -> float:
        return LEFT + (log10(max(value, FOOT)) - x0) / (x1 - x0) * (RIGHT - LEFT)

    def up(power: float) -> float:
        return BOTTOM - power / y1 * (BOTTOM - TOP)

    yield svg.text(8, 16, title, bold=True)
    for power in range(y1 + 1):
        yield svg.line(f"M{LEFT} {up(power):.1f}H{RIGHT}", "hair")
        mark = "0" if power == 0 else _number(10**power)
        yield svg.text(LEFT - 8, up(power) + 4, mark, "dim", mono=True, anchor="end", small=True)
    for value in _ticks(costs, axis):
        yield svg.line(f"M{across(value):.1f} {BOTTOM}v5")
        yield svg.text(across(value), BOTTOM + 18, _number(value), "dim", mono=True, anchor="middle", small=True)
    yield svg.line(f"M{LEFT} {BOTTOM}H{RIGHT}")
    yield svg.text((LEFT + RIGHT) / 2, BOTTOM + 38, label, "dim", anchor="middle", small=True)
    ends = []
    for place, (way, found) in enumerate(ways.items()):
        ink, _marker = INKS[way]
        lift = 4 * (len(ways) - 1 - place)  # of those that are none: one above the other, or the last hides the rest
        points = [
            (across(axis(cost)), up(log10(max(cost.faults, FOOT))) - (lift if cost.faults < FOOT else 0))
            for cost in sorted(found, key=axis)
        ]
        yield svg.line("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), ink, width=1.75, dashed=way == "none")
        for x, y in points:
            yield svg.rect(x - 2.5, y - 2.5, 5, 5, fill=ink)
        ends.append((points[-1][1], f"{way} {_number(max(found, key=axis).faults)}", ink))
    y = TOP - 15.0
    ends.sort()
    for i, (end, words, ink) in enumerate(ends):
        lowest = BOTTOM - 15 * (len(ends) - 1 - i)  # room for those below
        y = max(y + 15, min(end, lowest))
        yield svg.text(RIGHT + 10, y + 4, words, ink, bold=True)


def _ticks(costs: Sequence[Cost], axis: Axis) -> list[float]:
    """Values at which something was measured; each rate once, however the ways differ by a little."""
    shown: list[float] = []
    for value in sorted(axis(cost) for cost in costs):
        if not shown or value > 1.4 * shown[-1]:
            shown.append(value)
    return shown


def _figure(drawn: CostLines) -> Any:
    import bokeh.models  # noqa: PLC0415 (a second to import: only for who draws)
    import bokeh.plotting  # noqa: PLC0415

    models: Any = bokeh.models  # its types know only the exact form of each property
    new_figure: Any = bokeh.plotting.figure
    colour = tokens()
    plot = new_figure(
        x_axis_type="log", y_axis_type="log", height=340, min_width=300, sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,box_zoom,reset", active_scroll=None, toolbar_location="above",
        title=drawn.picture.title, background_fill_color=None, border_fill_color=None, outline_line_color=None,
    )  # fmt: skip
    for place, (way, found) in enumerate(_ways(drawn.costs).items()):
        ink, marker = INKS[way]
        points = sorted(found, key=drawn.axis)
        size = 14 - 3 * place  # what coincides can be told apart
        source = models.ColumnDataSource({
            "x": [drawn.axis(cost) for cost in points], "y": [max(cost.faults, FOOT) for cost in points],
            "way": [way] * len(points), "faults": [_number(cost.faults) for cost in points],
            "misses": [_number(cost.key_misses) for cost in points],
            "writes": [f"{cost.key_writes:.1f}" for cost in points],
        })  # fmt: skip
        dash = "dashed" if way == "none" else "solid"
        plot.line("x", "y", source=source, color=colour[ink], line_width=2, line_dash=dash, legend_label=way)
        plot.scatter("x", "y", source=source, color=colour[ink], marker=marker, size=size, legend_label=way)
    words = [("", "@way"), ("hidden faults", "@faults"), ("of them key misses", "@misses"),
             ("key registers written per change", "@writes")]  # fmt: skip
    plot.add_tools(models.HoverTool(tooltips=words))
    plot.toolbar.logo = None  # a link to another host
    plot.title.text_color = colour["ink"]
    plot.xaxis.axis_label, plot.yaxis.axis_label = drawn.label, "hidden per million"
    plot.grid.grid_line_color = colour["hair"]
    plot.add_layout(plot.legend[0], "below")  # over the lines it would hide some of them
    plot.legend.orientation, plot.legend.background_fill_color = "horizontal", None
    plot.legend.location, plot.legend.spacing = "center", 20
    plot.legend.label_text_color, plot.legend.border_line_color = colour["ink"], None
    measured = _ticks(drawn.costs, drawn.axis)
    plot.xaxis.ticker = models.FixedTicker(ticks=measured)
    plot.xaxis.major_label_overrides = {value: _number(value) for value in measured}
    plot.yaxis.major_label_overrides = {FOOT: "0"}  # a logarithmic axis has none
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.major_label_text_color = axis.axis_label_text_color = colour["dim"]
        axis.axis_line_color = axis.major_tick_line_color = colour["line"]
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
    return plot
