"""A descriptor's bit fields as a picture; with a second descriptor below it, what differs is marked."""

from labkit.vm.machine.descriptors import BitField, GateDescriptor, SegmentDescriptor, decode, fields_of
from labkit.widgets import svg
from labkit.widgets.notation import binary, hexadecimal, hexh
from labkit.widgets.picture import Picture

__all__ = ["descriptor"]

WIDTH, LEFT, BIT, ROW = 560, 8, 17, 22


def descriptor(
    low: int, high: int, other: tuple[int, int] | None = None, *, name: str = "descriptor",
    owners: tuple[str, str] = ("guest", "monitor"),
) -> Picture:  # fmt: skip
    """Draw the two words of a descriptor, `low` the one at the lower address; `other` is compared with it.

    Raises `ValueError` where a word has more than 32 bits.
    """
    pairs = [(low, high), *([other] if other else [])]
    if any(not 0 <= word < 1 << 32 for pair in pairs for word in pair):
        raise ValueError("a descriptor is two words of 32 bits")
    split = fields_of(low, high)
    same_shape = other is None or fields_of(*other) == split
    differ = {field for field in split if other and field.of(low, high) != field.of(*other)}
    text = _text(pairs, owners, name, differ if same_shape else set())
    parts = [svg.text(LEFT, 14, name, bold=True)]
    parts += [part for word in (1, 0) for part in _word(word, pairs, owners, split, differ)]
    below = 28 + 2 * _height(len(pairs))
    parts += _facts(pairs, owners, below)
    return Picture(name, text, svg.document(WIDTH, below + 40 * len(pairs) + 4, name, text, parts))


def _text(pairs: list[tuple[int, int]], owners: tuple[str, str], name: str, differ: set[BitField]) -> str:
    lines = [name]
    for (low, high), owner in zip(pairs, owners, strict=False):
        who = f"{owner}: " if len(pairs) > 1 else ""
        lines.append(f"  {who}{hexadecimal(high)}  {hexadecimal(low)}  {_words(decode(low, high))}")
    lines += [
        f"  ≠ {field.name}: {hexh(field.of(*pairs[0]))}, {hexh(field.of(*pairs[1]))}"
        for field in fields_of(*pairs[0]) if field in differ
    ]  # fmt: skip
    return "\n".join(lines)


def _words(decoded: SegmentDescriptor | GateDescriptor) -> str:
    here = "" if decoded.present else ", not present"
    if isinstance(decoded, GateDescriptor):
        target = hexadecimal(decoded.selector, 4)
        if decoded.type != 5:
            target += f" : {hexadecimal(decoded.offset)}"
        return f"{decoded.kind} to {target}, DPL {decoded.dpl}{here}"
    return (
        f"{decoded.kind}, base {hexadecimal(decoded.base)}, limit {hexadecimal(decoded.last)}, "
        f"DPL {decoded.dpl}{here}"
    )


def _height(rows: int) -> int:
    return 40 + ROW * rows + 14


def _word(
    word: int, pairs: list[tuple[int, int]], owners: tuple[str, str], split: tuple[BitField, ...],
    differ: set[BitField],
) -> list[str]:  # fmt: skip
    top = 64 + (0 if word else _height(len(pairs)))
    bottom = top + ROW * len(pairs)
    parts: list[str] = []
    for field in (field for field in split if field.word == word):
        left, right = LEFT + (31 - field.high) * BIT, LEFT + (32 - field.low) * BIT
        middle = (left + right) / 2
        parts.append(svg.text(left + 2, top - 20, str(field.high), "dim", small=True))
        if field.high - field.low > 1:
            parts.append(svg.text(right - 2, top - 20, str(field.low), "dim", small=True, anchor="end"))
        parts.append(svg.text(middle, top - 6, field.name, "dim", small=True, anchor="middle"))
        if field in differ:
            parts.append(svg.rect(left, top, right - left, bottom - top, wash="new"))
            parts.append(svg.text(middle, bottom + 13, "≠", "new", bold=True, anchor="middle"))
        if field.high < 31:
            parts.append(svg.line(f"M{left} {top}V{bottom}"))
        for row, (pair, owner) in enumerate(zip(pairs, owners, strict=False)):
            ink = owner if len(pairs) > 1 else "ink"
            digits = binary(field.of(*pair), field.high - field.low + 1)
            parts += [
                svg.text(left + (i + 0.5) * BIT, top + ROW * row + 15, digit, ink, mono=True, anchor="middle")
                for i, digit in enumerate(digits)
            ]
    if len(pairs) > 1:
        parts.append(svg.line(f"M{LEFT} {top + ROW}H{LEFT + 32 * BIT}", "hair"))
    parts.append(svg.rect(LEFT, top, 32 * BIT, bottom - top, edge="line"))
    return parts


def _facts(pairs: list[tuple[int, int]], owners: tuple[str, str], y: int) -> list[str]:
    parts: list[str] = []
    for (low, high), owner in zip(pairs, owners, strict=False):
        x = LEFT
        if len(pairs) > 1:
            parts.append(svg.text(x, y + 12, owner, owner, bold=True))
            x += 72
        parts.append(svg.text(x, y + 12, hexadecimal(high), mono=True, bold=True))
        parts.append(svg.text(x + 80, y + 12, hexadecimal(low), mono=True, bold=True))
        parts.append(svg.text(x, y + 28, _words(decode(low, high))))
        y += 40
    return parts
