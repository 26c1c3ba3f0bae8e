"""Graphs drawn by the Graphviz that can be found: the system's dot, pygraphviz, or WebAssembly in the page.

A bare `graphviz.Digraph` shows a traceback where there is no dot; this helper shows a graph everywhere. It is
set in Courier, whose widths all three agree on.
"""

import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib.util import find_spec
from typing import Any

from labkit.widgets.picture import WIDGET_MIME, Picture, in_kernel
from labkit.widgets.theme import tokens

__all__ = ["Graph", "graph", "render"]

SECONDS = 20
HEAD = re.compile(r'\A(?:\s|//[^\n]*\n)*(?:strict\s+)?(?:di)?graph\b\s*(?:"(?:[^"\\]|\\.)*"|[\w.]+)?\s*\{')
TAG = re.compile(r"<(text|path|polygon|ellipse|polyline)\b([^>]*?)(/?)>")


@dataclass(frozen=True)
class Graph:
    """A graph in the DOT language with its three faces; `svg` is None where nothing here can draw it."""

    title: str
    text: str = field(repr=False)
    source: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def svg(self) -> str | None:
        drawn = render(self.source)
        return None if drawn is None else _dressed(drawn, self.title, self.text)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        if self.svg is not None:
            return Picture(self.title, self.text, self.svg)._repr_mimebundle_(include, exclude)
        bundle: dict[str, Any] = {"text/plain": self.text}
        if in_kernel() and find_spec("graphviz_anywidget"):
            from graphviz_anywidget import GraphvizAnyWidget  # noqa: PLC0415 (1.2 MB: only where nothing else is)

            paper = self.source.replace("bgcolor=transparent", f'bgcolor="{tokens()["paper"]}"', 1)
            live = GraphvizAnyWidget(dot_source=paper, enable_zoom=False)  # it cannot follow the page's theme
            bundle[WIDGET_MIME] = live.get_view_spec()
        return {
            kind: data for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }  # fmt: skip


def graph(source: Any, *, title: str = "graph", text: str | None = None) -> Graph:
    """Show a `graphviz.Digraph`, or DOT text; `text` is its text face, by default the DOT text.

    Colour nodes with `theme.tokens()["guest"]` and its like: these follow the page's theme.

    Raises `ValueError` where the source is no graph.
    """
    words = str(getattr(source, "source", source))
    return Graph(title, text if text is not None else words.rstrip(), _with_defaults(words))


def _with_defaults(source: str) -> str:
    head = HEAD.match(source)
    if not head:
        raise ValueError("this is no graph in the DOT language: it begins with neither graph nor digraph")
    # \N, a node's name, is Graphviz's own default; pygraphviz 2.0.4 draws nothing without it
    ink, line = tokens()["ink"], tokens()["line"]
    font = f'fontname=Courier, fontsize=11, fontcolor="{ink}"'
    defaults = (
        f'\n\tgraph [bgcolor=transparent, {font}]\n\tnode [label="\\N", shape=box, height=0.3, color="{line}", {font}]'
        f'\n\tedge [arrowhead=vee, arrowsize=0.6, color="{line}", {font}]'
    )
    return source[: head.end()] + defaults + source[head.end() :]


def render(source: str) -> str | None:
    """DOT text as SVG, by the first Graphviz found; None where there is none.

    Raises `ValueError` with Graphviz's own words where the text cannot be drawn.
    """
    if shutil.which("dot"):
        return _by_program(source)
    if find_spec("pygraphviz"):
        return _by_library(source)
    return None


def _by_program(source: str) -> str:
    try:
        made = subprocess.run(
            ["dot", "-Tsvg"], input=source.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"dot did not draw this graph in {SECONDS} seconds; make it smaller") from None
    if made.returncode:
        said = made.stderr.decode("utf-8", "replace").splitlines() or ["it said nothing"]
        raise ValueError(f"dot cannot draw this graph: {said[0]}")
    return made.stdout.decode()


def _by_library(source: str) -> str:
    import pygraphviz  # noqa: PLC0415 (an extra)

    try:
        drawn: bytes = pygraphviz.AGraph(source).draw(format="svg", prog="dot")
    except (OSError, ValueError, pygraphviz.DotError) as error:
        raise ValueError(f"pygraphviz cannot draw this graph: {error}") from None
    return drawn.decode()


def _dressed(drawn: str, title: str, text: str) -> str:
    """Graphviz's SVG as one of our pictures: no prolog, a paper, classes that the theme recolours."""
    body = drawn[drawn.index("<svg") :]
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<title>.*?</title>\s*", "", body, flags=re.DOTALL)  # tips with the names of nodes
    names = {value: name for name, value in tokens().items()} | {"black": "ink"}

    def recoloured(match: re.Match[str]) -> str:
        tag, attributes, end = match.groups()
        classes = []
        for attribute, kind in (("fill", "t" if tag == "text" else "f"), ("stroke", "e")):
            if (found := re.search(rf'\b{attribute}="([^"]+)"', attributes)) and found[1] in names:
                classes.append(f"lk-{kind}-{names[found[1]]}")
        named = f' class="{" ".join(classes)}"' if classes else ""
        return f"<{tag}{named}{attributes}{end}>"

    body = TAG.sub(recoloured, body)
    head = f'<svg role="img" class="lk-svg"{body[4 : body.index(">")]}>'
    paper = f'<rect width="100%" height="100%" class="lk-paper" fill="{tokens()["paper"]}"/>'
    said = f"<title>{escape(title, quote=False)}</title><desc>{escape(text, quote=False)}</desc>"
    return head + said + paper + body[body.index(">") + 1 :].rstrip()
