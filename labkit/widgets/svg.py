"""SVG by hand: few shapes, each coloured by its meaning.

A shape carries its light colour as an attribute and its meaning as a class. Where no style sheet reaches it
(a saved notebook, a file) the attributes make a light picture on paper; in JupyterLab, picture.css recolours
the classes with the theme. So one and the same text is the static and the live picture.
"""

from collections.abc import Iterable
from html import escape

from labkit.widgets.theme import tokens

__all__ = ["MONO_WIDTH", "SANS_WIDTH", "arrow", "document", "group", "line", "rect", "text"]

MONO_WIDTH = 7.25
"""Width of a digit of the 12 px fixed font."""
SANS_WIDTH = 6.6
"""Mean width of a letter of the 12 px text font; generous, because fonts differ."""
SANS = "system-ui, -apple-system, 'Segoe UI', helvetica, arial, sans-serif"
MONO = "menlo, consolas, 'DejaVu Sans Mono', monospace"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def text(
    x: float, y: float, content: str, ink: str = "ink", *, mono: bool = False, bold: bool = False,
    anchor: str = "start", small: bool = False,
) -> str:  # fmt: skip
    """A line of text; `ink` is a token's name. The content is escaped, whatever it is."""
    attributes = [f'x="{_number(x)}" y="{_number(y)}" class="lk-t-{ink}" fill="{tokens()[ink]}"']
    if mono:
        attributes.append(f'font-family="{MONO}"')
    if bold:
        attributes.append('font-weight="600"')
    if small:
        attributes.append('font-size="11"')
    if anchor != "start":
        attributes.append(f'text-anchor="{anchor}"')
    printable = "".join(c if c.isprintable() else "�" for c in content)
    return f'<text {" ".join(attributes)} xml:space="preserve">{escape(printable, quote=False)}</text>'


def rect(
    x: float, y: float, width: float, height: float, *, edge: str = "", fill: str = "", wash: str = "",
) -> str:  # fmt: skip
    """A rectangle with an edge in a token's colour, filled with one, or washed with a little of it."""
    classes, style = [], ['fill="none"']
    if fill or wash:
        classes.append(f"lk-f-{fill or wash}")
        style = [f'fill="{tokens()[fill or wash]}"', *(['fill-opacity=".14"'] if wash else [])]
    if edge:
        classes.append(f"lk-e-{edge}")
        style.append(f'stroke="{tokens()[edge]}"')
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    return f'<rect {place} class="{" ".join(classes)}" {" ".join(style)}/>'


def line(points: str, ink: str = "line", *, width: float = 1, dashed: bool = False) -> str:
    """A path along SVG path commands."""
    dash = ' stroke-dasharray="3 3"' if dashed else ""
    return (
        f'<path d="{points}" class="lk-e-{ink}" fill="none" stroke="{tokens()[ink]}" '
        f'stroke-width="{_number(width)}"{dash}/>'
    )


def arrow(points: str, tip: tuple[float, float], heading: str, ink: str = "line") -> str:
    """A path with an open arrow head at `tip`, which points "down", "right", "up" or "left"."""
    x, y = tip
    dx, dy = {"down": (0, 1), "up": (0, -1), "right": (1, 0), "left": (-1, 0)}[heading]
    wings = [(x - 6 * dx + side * dy, y - 6 * dy + side * dx) for side in (-3.5, 3.5)]
    head = "M{} {}L{} {}L{} {}".format(
        *map(_number, (wings[0][0], wings[0][1], x, y, wings[1][0], wings[1][1]))
    )
    return line(points + head, ink, width=1.25)


def group(parts: Iterable[str], label: str = "") -> str:
    """Shapes that belong together."""
    named = f' role="img" aria-label="{escape(label)}"' if label else ""
    return f"<g{named}>{''.join(parts)}</g>"


def document(width: int, height: int, title: str, description: str, parts: Iterable[str]) -> str:
    """A whole picture: its title and description are what a screen reader says."""
    paper = f'<rect width="{width}" height="{height}" class="lk-paper" fill="{tokens()["paper"]}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" class="lk-svg" font-family="{SANS}" font-size="12">'
        f"<title>{_plain(title)}</title><desc>{_plain(description)}</desc>{paper}{''.join(parts)}</svg>"
    )


def _plain(words: str) -> str:
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in words), quote=False)
