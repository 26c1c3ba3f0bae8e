"""The protection modes as a graph with the present one lit, and an episode to step through."""

from collections.abc import Collection, Sequence
from typing import Any

from labkit.vm.segments.modes import LEVELS, NEXT, Mode, Protection, Safeguard
from labkit.widgets.graph import Graph, graph
from labkit.widgets.picture import WIDGET_MIME, in_kernel
from labkit.widgets.theme import tokens

__all__ = ["Journey", "modes_graph"]

SHORT = {
    Mode.MONITOR: "monitor", Mode.TRANSLATED: "translated", Mode.DIRECT_TRUNCATED: "direct, cut",
    Mode.DIRECT_DETRUNCATED: "direct, whole",
}  # fmt: skip
WHO = {
    Mode.MONITOR: "all open", Mode.TRANSLATED: "segments protect", Mode.DIRECT_TRUNCATED: "both protect",
    Mode.DIRECT_DETRUNCATED: "paging protects",
}  # fmt: skip
WHY = {
    (Mode.MONITOR, Mode.TRANSLATED): "cut, gs kept", (Mode.MONITOR, Mode.DIRECT_TRUNCATED): "cut",
    (Mode.MONITOR, Mode.DIRECT_DETRUNCATED): "whole tables", (Mode.TRANSLATED, Mode.MONITOR): "fault, callout",
    (Mode.DIRECT_TRUNCATED, Mode.MONITOR): "fault, end", (Mode.DIRECT_DETRUNCATED, Mode.MONITOR): "cut again, reload",
    (Mode.DIRECT_TRUNCATED, Mode.DIRECT_DETRUNCATED): "a cut is hit",
}  # fmt: skip


def modes_graph(now: Mode = Mode.MONITOR, before: Mode | None = None, *, left_out: Sequence[Safeguard] = ()) -> Graph:
    """Draw the four modes, the present one lit, and the change from the mode before it."""
    ink, line = tokens()["guest"], tokens()["line"]
    rows = ["digraph modes {", "  rankdir=LR; nodesep=0.5; ranksep=1.1;"]
    for mode in Mode:
        lit = f', penwidth=3, color="{ink}", fontcolor="{ink}"' if mode is now else f', color="{line}"'
        here = "* " if mode is now else ""
        label = f"{here}{SHORT[mode]}\\nlevel {LEVELS[mode]}, {WHO[mode]}"
        rows.append(f'  "{mode.name}" [label="{label}"{lit}];')
    for start, ends in NEXT.items():
        for end in sorted(ends):
            taken = f', penwidth=2, color="{ink}", fontcolor="{ink}"' if (start, end) == (before, now) else ""
            rows.append(f'  "{start.name}" -> "{end.name}" [label=" {WHY[start, end]} "{taken}];')
    rows.append("}")
    title = f"now: {now}, level {LEVELS[now]}, {WHO[now]}"
    lines = [title]
    for mode in Mode:
        ways = ", ".join(f"{SHORT[end]} ({WHY[mode, end]})" for end in sorted(NEXT[mode]))
        lines.append(f"{'*' if mode is now else ' '} {SHORT[mode]:14} level {LEVELS[mode]}  {WHO[mode]:17} -> {ways}")
    leaks = _leaks(now, left_out)
    return graph("\n".join(rows), title=title, text="\n".join([*lines, *leaks]))


def _leaks(now: Mode, left_out: Sequence[Safeguard]) -> list[str]:
    if not left_out or now is Mode.MONITOR:
        return []
    state = Protection().without(*left_out)
    if now is Mode.TRANSLATED:
        state = state.to(Mode.DIRECT_DETRUNCATED).to(Mode.MONITOR)
    return [f"  leak {leak}" for leak in state.to(now).leaks()]


class Journey:
    """The modes of an episode, in order; a slider steps through them."""

    def __init__(self, modes: Sequence[Mode]) -> None:
        if not modes:
            raise ValueError("an episode has at least one mode")
        self.modes = tuple(modes)

    def step(self, number: int) -> Graph:
        """The graph after so many changes."""
        return modes_graph(self.modes[number], self.modes[number - 1] if number else None)

    def __str__(self) -> str:
        return " -> ".join(SHORT[mode] for mode in self.modes)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        last = self.step(len(self.modes) - 1)
        bundle: dict[str, Any] = {"text/plain": str(self)}
        if last.svg is not None:
            bundle["image/svg+xml"] = last.svg
        if in_kernel():
            bundle[WIDGET_MIME] = self._widget().get_view_spec()
        return {
            kind: data for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }  # fmt: skip

    def _widget(self) -> Any:
        import ipywidgets  # noqa: PLC0415  (only for who shows it)
        from IPython.display import display  # noqa: PLC0415

        show: Any = display
        last = len(self.modes) - 1
        wide = ipywidgets.Layout(width="100%", max_width="480px")
        step = ipywidgets.IntSlider(0, 0, last, description="step", layout=wide)
        said, output = ipywidgets.Label(), ipywidgets.Output()

        def follow(_change: object = None) -> None:
            said.value = f"{step.value} of {last}: {self.modes[step.value]}"
            with output:
                output.clear_output(wait=True)
                show(self.step(step.value))

        step.observe(follow, "value")
        follow()
        return ipywidgets.VBox([step, said, output])
