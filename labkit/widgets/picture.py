"""A picture with three faces: text, static SVG, and the SVG in JupyterLab's theme."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython import get_ipython

from labkit.widgets.theme import css, esm

__all__ = ["Drawing", "Picture", "in_kernel"]

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a drawing helper returns: `print(picture)` is its text, a notebook shows it.

    `text` and `svg` say the same facts; `svg` is a whole document that needs no style sheet.
    """

    title: str
    text: str = field(repr=False)
    svg: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def save(self, path: str | Path) -> None:
        """Write the picture as an SVG file."""
        Path(path).write_text(self.svg, "utf-8")

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": self.text, "image/svg+xml": self.svg}
        if in_kernel():
            live = Drawing(svg=self.svg, text=self.text)
            bundle[WIDGET_MIME] = live.get_view_spec()
        return {
            kind: data for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }  # fmt: skip


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel, that is, whether a widget can be shown."""
    return getattr(get_ipython(), "kernel", None) is not None


class Drawing(anywidget.AnyWidget):
    """A picture in the page's theme, with buttons that copy it as text and as SVG."""

    _esm = esm("static/copy.js", "static/picture.js")
    _css = css("static/picture.css")
    svg = traitlets.Unicode().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
