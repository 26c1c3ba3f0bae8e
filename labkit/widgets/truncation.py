"""A guest's segment beside its shadow: along the linear addresses, field by field, and with sliders to move it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.shadow_descriptors import shadow_of
from labkit.vm.machine.truncation import FULL, Cut, allowed, portions, truncate
from labkit.widgets import svg
from labkit.widgets.descriptor import descriptor
from labkit.widgets.notation import hexadecimal, size
from labkit.widgets.picture import WIDGET_MIME, Drawing, Picture, in_kernel

__all__ = ["SegmentExplorer", "Span", "segment_map", "shadow_rules", "spans"]

WIDTH, TOP, BAR, LEFT = 560, 44, 340, 96
SCALE_TOP = 96
"""Height of the monitor's 4 MB: the bar is not to scale."""


@dataclass(frozen=True, slots=True)
class Span:
    """Linear addresses `first` to `last` of a segment; `portion` is 1 below the monitor, 2 in it, 3 wrapped."""

    first: int
    last: int
    portion: int


def spans(segment: SegmentDescriptor) -> list[Span]:
    """The parts of the linear space that a segment reaches, in order from its first offset."""
    offsets = allowed(segment)
    at, found = (segment.base + offsets.start) % FULL.size, []
    for number, length in enumerate(portions(segment), 1):
        if length:
            found.append(Span(at, at + length - 1, number))
            at = (at + length) % FULL.size
    return found


def _shadow(segment: SegmentDescriptor) -> SegmentDescriptor:
    return shadow_of(segment)


def _y(linear: int) -> float:
    """Height of a linear address in the picture; the monitor's part is drawn much larger than it is."""
    if linear >= FULL.monitor:
        part = (linear - FULL.monitor) / (FULL.size - FULL.monitor)
        return TOP + SCALE_TOP * (1 - part)
    return TOP + SCALE_TOP + (BAR - SCALE_TOP) * (1 - linear / FULL.monitor)


WORDS = {1: "1 below the monitor", 2: "2 in the monitor's range", 3: "3 wrapped past 4 GB"}


def segment_map(segment: SegmentDescriptor, *, name: str = "segment") -> Picture:
    """Draw where a guest's segment lies in the linear space and what is left of it.

    Raises `ValueError` for a system segment.
    """
    made = truncate(segment)
    title = f"{name}: {made.cut}"
    whole, left = spans(segment), spans(made.shadow)
    text = "\n".join([title, *_lines("guest", whole), *_lines("shadow", left), f"  {_lost(made.lost)}"])
    parts = list(_draw(title, whole, left, segment))
    return Picture(title, text, svg.document(WIDTH, TOP + BAR + 60, title, text, parts))


def _lost(lost: int) -> str:
    return f"{size(lost)} fault and are emulated" if lost else "nothing is emulated"


def _lines(owner: str, found: list[Span]) -> Iterable[str]:
    if not found:
        yield f"  {owner:6}  no address"
    for span in found:
        yield (
            f"  {owner:6}  {hexadecimal(span.first)} to {hexadecimal(span.last)}  {size(span.last - span.first + 1)}"
            f"  {WORDS[span.portion]}"
        )


def _draw(title: str, whole: list[Span], left: list[Span], segment: SegmentDescriptor) -> Iterable[str]:
    line = _y(FULL.monitor)
    yield svg.text(8, 16, title, bold=True)
    bar = 112
    yield svg.rect(LEFT, TOP, bar, SCALE_TOP, wash="monitor")
    yield svg.rect(LEFT, line, bar, BAR - SCALE_TOP, wash="guest")
    yield svg.line(f"M{LEFT} {TOP}H{LEFT + bar}V{TOP + BAR}H{LEFT}z")
    yield svg.text(LEFT + bar / 2, TOP + SCALE_TOP / 2, "monitor", "monitor", bold=True, anchor="middle")
    yield svg.text(LEFT + bar / 2, TOP + SCALE_TOP / 2 + 16, "4 MB", "dim", small=True, anchor="middle")
    yield svg.text(LEFT + bar / 2, line + 70, "guest", "guest", bold=True, anchor="middle")
    yield svg.text(LEFT + bar / 2, line + 86, "not to scale", "dim", small=True, anchor="middle")
    for linear in (FULL.size - 1, FULL.monitor, 0):
        yield svg.text(LEFT - 8, _y(linear) + 4, hexadecimal(linear), mono=True, anchor="end")
    yield svg.line(f"M{LEFT} {line}H540", "monitor", width=1.5)
    columns = ((LEFT + bar + 40, "guest", "guest", whole), (LEFT + bar + 96, "shadow", "monitor", left))
    for x, words, ink, found in columns:
        yield svg.text(x, TOP - 10, words, ink, bold=True, anchor="middle")
        if not found:
            yield svg.text(x, line + 40, "none", "fault", bold=True, anchor="middle")
        for span in found:
            top, bottom = _y(span.last), max(_y(span.first), _y(span.last) + 3)
            cut = words == "guest" and span.portion > 1
            colour = "fault" if cut else ink
            yield svg.line(f"M{x} {bottom:.1f}V{top:.1f}", colour, width=2.5, dashed=cut)
            yield svg.line(f"M{x - 6} {top:.1f}h12M{x - 6} {bottom:.1f}h12", colour)
    x = LEFT + bar + 128
    lowest = 0.0
    for span in sorted(whole, key=lambda one: -one.last):
        y = max(min((_y(span.first) + _y(span.last)) / 2 + 4, TOP + BAR - 16), lowest + 34)
        lowest = y
        yield svg.text(x, y - 8, WORDS[span.portion], "fault" if span.portion > 1 else "guest", bold=True)
        yield svg.text(x, y + 8, f"{hexadecimal(span.first)} to {hexadecimal(span.last)}", mono=True)
    base = _y(segment.base)
    yield svg.line(f"M{LEFT + bar} {base:.1f}h8", "guest", width=2)
    yield svg.text(LEFT, TOP + BAR + 30, f"base {hexadecimal(segment.base)}", "guest", mono=True)
    yield svg.text(LEFT + 152, TOP + BAR + 30, _lost(truncate(segment).lost), "dim")
    yield svg.text(LEFT, TOP + BAR + 50, "dashed: cut off, an access there faults and is emulated", "dim", small=True)


def _why(segment: SegmentDescriptor) -> list[tuple[str, str, str, str]]:
    """Field, guest, shadow, and the rule."""
    made, shadow = truncate(segment), _shadow(segment)
    if made.cut is Cut.NONE:
        limit = "kept: the segment ends before the monitor"
    elif made.cut is Cut.SHORTENED:
        unit = "4 KB units, rounded down" if shadow.granular else "bytes"
        limit = f"ffc0 0000 - 1 - base, in {unit}"
    else:
        limit = "no offset is left: it expands down from the top"
    kind = "kept: what it allows does not change" if shadow.type == segment.type else "expands down: allows no offset"
    raised = "level 0 becomes 1, which leaves 0 to the monitor" if shadow.dpl != segment.dpl else "kept"
    return [
        ("base", hexadecimal(segment.base), hexadecimal(shadow.base), "kept: only the limit can be changed"),
        ("limit", hexadecimal(segment.last), hexadecimal(shadow.last), limit),
        ("DPL", str(segment.dpl), str(shadow.dpl), raised),
        ("type", segment.kind, shadow.kind, kind),
    ]


def shadow_rules(segment: SegmentDescriptor) -> Picture:
    """Draw a guest's descriptor and its shadow as fields, each with the rule that made it."""
    title = "guest and shadow, by field"
    rows = _why(segment)
    lines = [
        f"  {'=' if guest == shadow else '≠'} {name:6} {guest:24} {shadow:24} {why}"
        for name, guest, shadow, why in rows
    ]
    text = "\n".join([title, *lines])
    parts = [svg.text(8, 16, title, bold=True)]
    places = (8, 72, 312)
    heads = (("field", "dim"), ("guest", "guest"), ("shadow", "monitor"))
    for x, (words, ink) in zip(places, heads, strict=True):
        parts.append(svg.text(x, 42, words, ink, bold=ink != "dim"))
    for number, (name, guest, shadow, why) in enumerate(rows):
        y = 66 + 42 * number
        parts.append(svg.line(f"M8 {y - 16}H552", "hair"))
        parts.append(svg.text(places[0], y, name))
        parts.append(svg.text(places[1], y, guest, "guest", mono=name != "type"))
        changed = guest != shadow
        parts.append(svg.text(places[2], y, shadow, "monitor", mono=name != "type", bold=changed))
        if changed:
            parts.append(svg.text(places[2] - 8, y, "≠", "new", bold=True, anchor="end"))
        parts.append(svg.text(places[1], y + 17, why, "dim"))
    return Picture(title, text, svg.document(WIDTH, 60 + 42 * len(rows), title, text, parts))


class SegmentExplorer:
    """A data segment with sliders for base and limit: where it lies, what is left, and both descriptors bit by bit."""

    def __init__(self, segment: SegmentDescriptor) -> None:
        self.segment = segment

    @property
    def map(self) -> Picture:
        """Along the linear addresses."""
        return segment_map(self.segment)

    @property
    def bits(self) -> Picture:
        """Both descriptors."""
        return descriptor(*self.segment.encode(), _shadow(self.segment).encode(), name="guest and shadow, bit by bit")

    def __str__(self) -> str:
        return f"{self.map}\n{shadow_rules(self.segment)}"

    def move(self, *, pages: int, limit: int, down: bool) -> None:
        """Another base (its page) and limit (in pages, less one)."""
        kind = self.segment.type & ~4 | (4 if down else 0)
        self.segment = replace(self.segment, base=pages << 12, limit=limit, granular=True, type=kind)

    def widget(self) -> Any:
        """The sliders over the pictures; the pictures follow."""
        import ipywidgets  # noqa: PLC0415  (only for who shows it)

        drawings = [Drawing(svg=one.svg, text=one.text) for one in self._pictures()]
        wide = {"layout": ipywidgets.Layout(width="100%", max_width="560px"), "style": {"description_width": "9em"}}
        most = (1 << 20) - 1
        base = ipywidgets.IntSlider(
            self.segment.base >> 12, 0, most, description="base, page", readout_format="x", **wide
        )
        limit = ipywidgets.IntSlider(self.segment.limit, 0, most, description="limit, page", readout_format="x", **wide)
        down = ipywidgets.Checkbox(self.segment.expands_down, description="expands down", indent=False)
        said = ipywidgets.Label(self.map.text.splitlines()[-1].strip())

        def follow(_change: object) -> None:
            self.move(pages=base.value, limit=limit.value, down=down.value)
            for drawing, made in zip(drawings, self._pictures(), strict=True):
                drawing.svg, drawing.text = made.svg, made.text
            said.value = self.map.text.splitlines()[-1].strip()

        for control in (base, limit, down):
            control.observe(follow, "value")
        return ipywidgets.VBox([base, limit, down, said, *drawings])

    def _pictures(self) -> tuple[Picture, Picture, Picture]:
        return self.map, self.bits, shadow_rules(self.segment)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": str(self), "image/svg+xml": self.map.svg}
        if in_kernel():
            bundle[WIDGET_MIME] = self.widget().get_view_spec()
        return {
            kind: data for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }  # fmt: skip
