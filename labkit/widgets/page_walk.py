"""The page walk as a picture: the linear address in its fields, each level's entry, the physical address.

Each field of the address selects in the box that stands below it; each entry leads to the next box.
"""

from dataclasses import dataclass
from itertools import pairwise

from labkit.vm.machine.paging import Level, Walk
from labkit.widgets import svg
from labkit.widgets.notation import binary, hexadecimal, hexh, size
from labkit.widgets.picture import Picture

__all__ = ["Field", "fields", "page_walk"]

WIDTH, HEIGHT = 560, 292
LEFT, BIT = 8, 17  # where the bits start, and the width of one
FLAG_WORDS = {
    "P": "present", "W": "writable", "U": "user", "A": "accessed", "D": "dirty", "PS": "large page",
    "G": "global", "NX": "no execute",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the linear address: bits `high` to `low`."""

    name: str
    high: int
    low: int
    value: int

    @property
    def bits(self) -> int:
        return self.high - self.low + 1


def fields(walk: Walk) -> tuple[Field, ...]:
    """The linear address as the walk's mode splits it; where the walk ended early, as for a small page."""
    if not walk.levels:
        return (Field("physical", 31, 0, walk.linear),)
    pae = walk.levels[0].name == "pointer"
    large = walk.page_size > 4096
    if pae:
        cuts = (("pointer", 31), ("directory", 29), *(() if large else (("table", 20),)))
        low = 21 if large else 12
    else:
        cuts = (("directory", 31), *(() if large else (("table", 21),)))
        low = 22 if large else 12
    ends = [*cuts, ("offset", low - 1), ("", -1)]
    return tuple(
        Field(name, high, after + 1, walk.linear >> after + 1 & (1 << high - after) - 1)
        for (name, high), (_, after) in pairwise(ends)
    )


def page_walk(walk: Walk) -> Picture:
    """Draw a walk (`timeline.walk(address)`); no machine state is read or changed."""
    split = fields(walk)
    text = _text(walk, split)
    title = f"page walk of {hexadecimal(walk.linear)}"
    parts = [*_bits(split), *_columns(walk, split), *_ending(walk)]
    return Picture(title, text, svg.document(WIDTH, HEIGHT if walk.levels else 132, title, text, parts))


def _text(walk: Walk, split: tuple[Field, ...]) -> str:
    linear = f"linear {hexadecimal(walk.linear)}"
    lines = [f"{linear}: " + ", ".join(f"{f.name} {hexh(f.value)}" for f in split) if walk.levels else linear]
    for level in walk.levels:
        flags = " ".join(level.flags) or "no flag set"
        lines.append(
            f"  {level.name} [{hexh(level.index)}] at {hexadecimal(level.physical)}: "
            f"{hexadecimal(level.entry, _digits(walk))}  {flags}"
        )
    return "\n".join([*lines, _outcome(walk)])


def _outcome(walk: Walk) -> str:
    if walk.physical is None:
        return f"page fault: the {walk.levels[-1].name} entry is not present"
    if not walk.levels:
        return f"physical {hexadecimal(walk.physical)}: paging is off, both are the same"
    return f"physical {hexadecimal(walk.physical)}, in a page of {size(walk.page_size)}"


def _digits(walk: Walk) -> int:
    return 16 if walk.levels and walk.levels[0].name == "pointer" else 8


def _span(field: Field) -> tuple[float, float]:
    """Left and right end of a field in the row of bits."""
    return LEFT + (31 - field.high) * BIT, LEFT + (32 - field.low) * BIT


def _bits(split: tuple[Field, ...]) -> list[str]:
    parts = [svg.rect(LEFT, 24, 32 * BIT, 24, edge="line")]
    for field in split:
        left, right = _span(field)
        middle = (left + right) / 2
        parts.append(svg.text(left + 2, 18, str(field.high), "dim", small=True))
        if field.bits > 1:
            parts.append(svg.text(right - 2, 18, str(field.low), "dim", small=True, anchor="end"))
        if field.high < 31:
            parts.append(svg.line(f"M{left} 24V48"))
        parts += [
            svg.text(left + (i + 0.5) * BIT, 40, digit, mono=True, anchor="middle")
            for i, digit in enumerate(binary(field.value, field.bits))
        ]
        narrow = field.bits < 4
        value = hexh(field.value) if field.bits < 32 else hexadecimal(field.value)
        if narrow:
            parts.append(svg.text(left, 66, field.name, "dim"))
            parts.append(svg.text(left, 82, value, "guest", mono=True, bold=True))
        else:
            parts.append(svg.text(middle, 66, field.name, "dim", anchor="middle"))
            parts.append(svg.text(middle, 82, value, "guest", mono=True, bold=True, anchor="middle"))
    return parts


TOP, ENTRY, BOTTOM = 128, 164, 204
BOX = 104


def _columns(walk: Walk, split: tuple[Field, ...]) -> list[str]:
    if not walk.levels:
        return []
    parts: list[str] = []
    places = [_place(field, i, len(split)) for i, field in enumerate(split)]
    for i, (field, left) in enumerate(zip(split, places, strict=True)):
        level = walk.levels[i] if i < len(walk.levels) else None
        if level:
            parts += _table(walk, level, left)
        elif field.name == "offset" and walk.physical is not None:
            parts += _page(walk.physical, walk.page_size, field, left)
        else:
            parts.append(svg.rect(left, TOP, BOX, BOTTOM - TOP, edge="hair"))
            parts.append(svg.text(left + BOX / 2, ENTRY + 4, "not reached", "dim", anchor="middle"))
            continue
        low, high = _span(field)
        x = left + BOX - 8  # right of what is written above and in the box
        start = f"M{x} 88" if low < x < high else f"M{(low + high) / 2} 88V98H{x}"
        parts.append(svg.arrow(f"{start}V{ENTRY - 12}", (x, ENTRY - 12), "down", "guest"))
        if i:  # from the entry before, to the base of this box
            points = f"M{places[i - 1] + BOX} {ENTRY}H{left - 12}V{TOP + 6}H{left - 1}"
            parts.append(svg.arrow(points, (left - 1, TOP + 6), "right", "guest"))
    return parts


def _place(field: Field, i: int, columns: int) -> float:
    """Left end of the box of a field: below it, or, where four have to stand in line, a quarter each."""
    if columns == 4 or field.name == "pointer":
        return LEFT + i * (32 * BIT - BOX) / 3
    low, high = _span(field)
    return max((low + high - BOX) / 2, LEFT + i * (32 * BIT - BOX) / 3 if field.high == 29 else 0)


def _table(walk: Walk, level: Level, left: float) -> list[str]:
    wide = _digits(walk) == 16
    missing = "P" not in level.flags
    ink = "fault" if missing else "ink"
    base = level.physical - level.index * (8 if wide else 4)
    name = "cr3" if level is walk.levels[0] else ""
    entry = hexadecimal(level.entry, 16 if wide else 8)
    rows = [entry[:9], entry[10:]] if wide else [entry]
    height = 16 * len(rows) + 6
    parts = [
        svg.rect(left, TOP, BOX, BOTTOM - TOP, edge="line"),
        svg.text(left + 2, TOP - 6, f"{name} {hexadecimal(base)}".strip(), "dim", mono=True, small=True),
        svg.rect(left, ENTRY - 11, BOX, height, edge=ink, wash="fault" if missing else "guest"),
    ]
    parts += [
        svg.text(left + BOX / 2, ENTRY + 4 + 16 * i, row, ink, mono=True, bold=True, anchor="middle")
        for i, row in enumerate(rows)
    ]
    at = f"+ {hexh(level.index * (8 if wide else 4))}"
    parts.append(svg.text(left + 4, ENTRY - 16, at, "dim", mono=True, small=True))
    if missing:
        parts.append(svg.text(left, BOTTOM + 16, "✗ not present", "fault", bold=True))
    else:
        parts.append(svg.text(left, BOTTOM + 16, " ".join(level.flags), mono=True))
    return parts


def _page(physical: int, page_size: int, field: Field, left: float) -> list[str]:
    return [
        svg.rect(left, TOP, BOX, BOTTOM - TOP, edge="line"),
        svg.text(left + 2, TOP - 6, hexadecimal(physical - field.value), "dim", mono=True, small=True),
        svg.rect(left, ENTRY - 11, BOX, 22, edge="new", wash="new"),
        svg.text(left + 19, ENTRY + 4, hexadecimal(physical), "new", mono=True, bold=True),
        svg.text(left + 4, ENTRY - 16, f"+ {hexh(field.value)}", "dim", mono=True, small=True),
        svg.text(left, BOTTOM + 16, f"page, {size(page_size)}"),
    ]  # fmt: skip


def _ending(walk: Walk) -> list[str]:
    """The outcome in words, and what the flags' letters mean."""
    y = HEIGHT - 36 if walk.levels else 116
    ink = "fault" if walk.physical is None else "new"
    parts = [svg.text(LEFT, y, _outcome(walk), ink, bold=True)]
    seen = {flag for level in walk.levels for flag in level.flags}
    words = " · ".join(f"{flag} {word}" for flag, word in FLAG_WORDS.items() if flag in seen)
    return [*parts, svg.text(LEFT, HEIGHT - 12, words, "dim", small=True)] if words else parts
