"""An address space as one tall bar, high addresses on top, its regions by owner.

The bar is not to scale: each region gets room for its words, and a little more for each doubling of its size.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labkit.widgets import svg
from labkit.widgets.notation import hexadecimal, size
from labkit.widgets.picture import Picture
from labkit.widgets.theme import MEANINGS

__all__ = ["Pointer", "Region", "address_space"]

WIDTH, LEFT, TOP = 560, 96, 24
NARROW, WIDE = 128, 208  # of the bar, as its longest name needs
BOLD = 8  # width of a letter of a name
LEAST = 40
"""The lowest a region is drawn: two lines of text."""


@dataclass(frozen=True, slots=True)
class Region:
    """Addresses `start` to `end` (one past the last); `owner` is one of theme.MEANINGS, or "" for unused."""

    start: int
    end: int
    name: str
    owner: str = "guest"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A named place in the address space: where a register points, where an access went."""

    address: int
    name: str
    owner: str = "guest"


def address_space(
    regions: Iterable[Region], pointers: Iterable[Pointer] = (), *, title: str = "linear addresses",
    total: int = 1 << 32,
) -> Picture:  # fmt: skip
    """Draw an address space of `total` bytes.

    Raises `ValueError` where regions overlap or leave the space, or an owner has no colour.
    """
    whole = _fill(_checked(regions, total), total)
    marks = sorted(pointers, key=lambda pointer: -pointer.address)
    for mark in marks:
        if not 0 <= mark.address < total or mark.owner not in MEANINGS:
            owners = ", ".join(MEANINGS)
            raise ValueError(f"{mark.name}: not below {total:x}h, or its owner is none of {owners}")
    heights = _heights(whole)
    text = _text(whole, marks, title)
    height = TOP + sum(heights) + 24
    return Picture(title, text, svg.document(WIDTH, height, title, text, _draw(whole, heights, marks, total)))


def _checked(regions: Iterable[Region], total: int) -> list[Region]:
    found = sorted(regions, key=lambda region: region.start)
    for region in found:
        if region.owner not in ("", *MEANINGS):
            raise ValueError(f"{region.name}: the owner {region.owner!r} is none of {', '.join(MEANINGS)}")
        if not 0 <= region.start < region.end <= total:
            span = f"{region.start:x}h to {region.end:x}h"
            raise ValueError(f"{region.name}: {span} is no part of {total:x}h bytes")
    for before, after in pairwise(found):
        if before.end > after.start:
            raise ValueError(f"{before.name} and {after.name} overlap at {after.start:x}h")
    return found


def _fill(regions: Sequence[Region], total: int) -> list[Region]:
    """All of the space from the top down, unused parts named so."""
    whole, at = [], 0
    for region in [*regions, Region(total, total, "")]:
        if region.start > at:
            whole.append(Region(at, region.start, "unused", ""))
        if region.end > region.start:
            whole.append(region)
        at = region.end
    return whole[::-1]


def _heights(whole: Sequence[Region]) -> list[int]:
    return [LEAST + round(3 * max(0.0, math.log2((region.end - region.start) / 4096))) for region in whole]


def _text(whole: Sequence[Region], marks: Sequence[Pointer], title: str) -> str:
    lines = [title]
    for region in whole:
        digits = 8 if region.end <= 1 << 32 else 12
        owner = f"{region.owner}  " if region.owner not in region.name else ""
        about = f"{region.name}  {owner}{size(region.end - region.start)}"
        span = f"{hexadecimal(region.start, digits)} to {hexadecimal(region.end - 1, digits)}"
        lines.append(f"  {span}  {about}" + (f"  {region.note}" if region.note else ""))
        lines += [
            f"    {hexadecimal(mark.address, digits)}  <- {mark.name}"
            for mark in marks if region.start <= mark.address < region.end
        ]  # fmt: skip
    return "\n".join(lines)


def _draw(
    whole: Sequence[Region], heights: Sequence[int], marks: Sequence[Pointer], total: int
) -> Iterable[str]:
    y, lowest = TOP, 0.0
    longest = max(len(region.name) for region in whole)
    bar = min(WIDE, max(NARROW, 28 + BOLD * longest))
    room = (bar - 20) // BOLD
    digits = 8 if total <= 1 << 32 else 12
    yield svg.text(LEFT - 8, TOP + 4, hexadecimal(total - 1, digits), mono=True, anchor="end")
    for region, height in zip(whole, heights, strict=True):
        ink = region.owner or "dim"
        if region.owner:
            yield svg.rect(LEFT, y, bar, height, wash=region.owner)
            yield svg.rect(LEFT, y, 4, height, fill=region.owner)
        yield svg.line(f"M{LEFT} {y + height}H{LEFT + bar}")
        yield svg.text(LEFT - 8, y + height + 4, hexadecimal(region.start, digits), mono=True, anchor="end")
        name = region.name if len(region.name) <= room else region.name[: room - 1] + "…"
        yield svg.text(LEFT + 14, y + height / 2 - 3, name, ink, bold=bool(region.owner))
        words = size(region.end - region.start)
        if region.owner and region.owner not in region.name:
            words = f"{region.owner}, {words}"
        yield svg.text(LEFT + 14, y + height / 2 + 12, words, "dim", small=True)
        end = LEFT + bar + 2
        for at, mark in _beside(region, marks, y, height):
            lowest = label = max(at, lowest + 18)
            if mark is None:
                yield svg.text(end + 40, label + 4, region.note, "dim")
                continue
            yield svg.arrow(f"M{end + 34} {label}L{end + 16} {at}H{end}", (end, at), "left", mark.owner)
            yield svg.text(end + 40, label + 4, hexadecimal(mark.address, digits), mark.owner, mono=True)
            after = end + 48 + (digits + digits // 4 - 1) * svg.MONO_WIDTH
            yield svg.text(after, label + 4, mark.name, mark.owner, bold=True)
        y += height
    yield svg.line(f"M{LEFT} {TOP}H{LEFT + bar}V{y}H{LEFT}z")
    yield svg.text(LEFT + bar, y + 18, "not to scale", "dim", small=True, anchor="end")


def _beside(
    region: Region, marks: Sequence[Pointer], top: float, height: float
) -> list[tuple[float, Pointer | None]]:
    """What stands beside a region, from the top: its pointers, and its note as None, with their heights."""
    rows: list[tuple[float, Pointer | None]] = []
    for mark in (mark for mark in marks if region.start <= mark.address < region.end):
        down = height * (region.end - mark.address) / (region.end - region.start)
        rows.append((top + min(height - 8, max(8, down)), mark))
    if region.note:
        rows.append((top + height / 2, None))
    return sorted(rows, key=lambda row: row[0])
