"""What each strategy costs, over how often the cut part of a segment is used: lines that cross."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from labkit.vm.segments.strategies import Strategy, crossings
from labkit.widgets import svg
from labkit.widgets.bokehjs import figure_bundle
from labkit.widgets.notation import decimal
from labkit.widgets.picture import Picture
from labkit.widgets.theme import tokens

__all__ = ["StrategyChart"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 64, 424, 40, 250
INKS = {
    Strategy.NEVER: "fault", Strategy.TWO_TABLES: "monitor", Strategy.LAZY: "guest", Strategy.COUNTING: "new",
}  # fmt: skip
DASHES = {Strategy.NEVER: "solid", Strategy.TWO_TABLES: "dashed", Strategy.LAZY: "solid", Strategy.COUNTING: "dotted"}


class StrategyChart:
    """Costs per episode by strategy: points (share of episodes in percent, cost), the same shares for all.

    Costs above `ceiling` are drawn at it. Raises `ValueError` where there is nothing to draw.
    """

    def __init__(self, costs: Mapping[Strategy, Sequence[tuple[int, float]]], *, ceiling: float) -> None:
        if not costs or any(len(points) < 2 for points in costs.values()):
            raise ValueError("give at least two points for each strategy")
        self.costs = {strategy: tuple(points) for strategy, points in costs.items()}
        self.ceiling = ceiling

    @property
    def crossings(self) -> list[tuple[Strategy, Strategy, float]]:
        """Where two lines cross: the cheaper below, the cheaper above, and the share, between two points."""
        return crossings(self.costs)

    def __str__(self) -> str:
        shares = [share for share, _ in next(iter(self.costs.values()))]
        rows = [f"{'cost of an episode, by share':28}" + "".join(f"{share:>7} %" for share in shares)]
        for strategy, points in self.costs.items():
            rows.append(f"  {strategy:26}" + "".join(f"{cost:9.0f}" for _, cost in points))
        rows += [f"  below {share:4.1f} % {one}, above {other}" for one, other, share in self.crossings]
        return "\n".join(rows)

    @property
    def picture(self) -> Picture:
        """The static face."""
        title = "cost of an episode, in native accesses"
        return Picture(title, str(self), svg.document(WIDTH, HEIGHT, title, str(self), self._draw(title)))

    def _draw(self, title: str) -> Iterable[str]:
        shares = [share for share, _ in next(iter(self.costs.values()))]
        first, last = shares[0], shares[-1]

        def place(share: float, cost: float) -> tuple[float, float]:
            x = LEFT + (RIGHT - LEFT) * (share - first) / (last - first)
            return x, BOTTOM - (BOTTOM - TOP) * min(cost, self.ceiling) / self.ceiling

        yield svg.text(8, 16, title, bold=True)
        for part in range(5):
            cost = self.ceiling * part / 4
            _, y = place(first, cost)
            yield svg.line(f"M{LEFT} {y:.1f}H{RIGHT}", "hair")
            yield svg.text(LEFT - 8, y + 4, decimal(round(cost)), "dim", mono=True, anchor="end")
        for share in shares[:: max(1, len(shares) // 5)]:
            x, _ = place(share, 0)
            yield svg.text(x, BOTTOM + 18, f"{share} %", "dim", small=True, anchor="middle")
        under = "episodes that use the cut part"
        yield svg.text((LEFT + RIGHT) / 2, BOTTOM + 36, under, "dim", anchor="middle", small=True)
        labels = []
        for strategy, points in self.costs.items():
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
            yield svg.line(f"M{path}", INKS[strategy], width=2, dashed=DASHES[strategy] != "solid")
            labels.append((place(*points[-1])[1], strategy))
        lowest = 0.0
        for y, strategy in sorted(labels):
            lowest = max(y + 4, lowest + 16)
            over = "  (beyond)" if self.costs[strategy][-1][1] > self.ceiling else ""
            yield svg.text(RIGHT + 8, lowest, f"{strategy}{over}", INKS[strategy], bold=True)
        yield svg.line(f"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}")

    def figure(self) -> Any:
        """The Bokeh figure of the live face."""
        import bokeh.models  # noqa: PLC0415  (a second to import: only for who draws)
        import bokeh.plotting  # noqa: PLC0415

        new_figure: Any = bokeh.plotting.figure
        models: Any = bokeh.models
        colour = tokens()
        plot = new_figure(
            height=320, min_width=300, sizing_mode="stretch_width", tools="xpan,xwheel_zoom,reset", active_scroll=None,
            y_range=(0, self.ceiling), title=self.picture.title, background_fill_color=None, border_fill_color=None,
            outline_line_color=None,
        )  # fmt: skip
        for strategy, points in self.costs.items():
            shares, costs = zip(*points, strict=True)
            plot.line(
                shares, costs, color=colour[INKS[strategy]], line_width=2, line_dash=DASHES[strategy],
                legend_label=str(strategy), name=str(strategy),
            )  # fmt: skip
            plot.scatter(shares, costs, color=colour[INKS[strategy]], size=6)
        plot.add_tools(models.HoverTool(tooltips=[("episodes", "$x{0} %"), ("cost", "$y{0}")]))
        plot.toolbar.logo = None
        plot.title.text_color = colour["ink"]
        plot.xaxis.axis_label, plot.yaxis.axis_label = "episodes that use the cut part, %", "native accesses"
        plot.grid.grid_line_color = colour["hair"]
        plot.legend.background_fill_color, plot.legend.border_line_color = None, colour["hair"]
        plot.legend.label_text_color, plot.legend.location = colour["ink"], "top_left"
        for axis in (*plot.xaxis, *plot.yaxis):
            axis.major_label_text_color = axis.axis_label_text_color = colour["dim"]
            axis.axis_line_color = axis.major_tick_line_color = colour["line"]
            axis.minor_tick_line_color = None
        return plot

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return figure_bundle(self.figure, self.picture, include, exclude)
