"""Graphs: drawn by what is there, never a traceback where nothing is, in the theme's colours."""

import shutil
from importlib.util import find_spec
from xml.etree import ElementTree as ET

import graphviz
import pytest

from labkit.widgets import graph as graphs
from labkit.widgets.graph import graph
from labkit.widgets.picture import WIDGET_MIME
from labkit.widgets.theme import tokens


def states() -> graphviz.Digraph:
    drawn = graphviz.Digraph("protection states")
    drawn.node("monitor", color=tokens()["monitor"], fontcolor=tokens()["monitor"])
    drawn.node("a", label="</text><b>&")
    drawn.edge("monitor", "a", label="enter")
    return drawn


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch):
    """A computer with no Graphviz at all."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(graphs, "find_spec", lambda name: None if name == "pygraphviz" else find_spec(name))


def test_without_graphviz_it_is_text_and_no_traceback(nothing):
    drawn = graph(states())
    assert drawn.svg is None
    assert set(drawn._repr_mimebundle_()) == {"text/plain"}
    assert "monitor -> a" in str(drawn)


def test_without_graphviz_the_page_draws_it(nothing, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("graphviz_anywidget")
    monkeypatch.setattr(graphs, "in_kernel", lambda: True)
    assert WIDGET_MIME in graph(states())._repr_mimebundle_()


def test_courier_is_the_font_of_all(nothing):
    source = graph("digraph { a -> b }").source
    assert source.count("fontname=Courier") == 3


@pytest.mark.parametrize("source", ["", "a -> b", "<svg>", "digraph"])
def test_what_is_no_graph_is_said(source: str):
    with pytest.raises(ValueError, match="no graph in the DOT language"):
        graph(source)


@pytest.mark.parametrize("source", ["digraph{}", 'strict graph "a { b" {}', "// by hand\ndigraph x.y {\n}"])
def test_heads_of_graphs(source: str):
    assert "fontname=Courier" in graph(source).source


@pytest.mark.skipif(not (shutil.which("dot") or find_spec("pygraphviz")), reason="no Graphviz here")
def test_a_drawing_has_the_words_and_follows_the_theme():
    drawn = graph(states(), title="states")
    root = ET.fromstring(drawn.svg or "")
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(words) == sorted(["monitor", "</text><b>&", "enter"])
    assert 'class="lk-t-monitor"' in (drawn.svg or "")
    assert "lk-e-line" in (drawn.svg or "")
    with pytest.raises(ValueError, match="cannot draw"):
        assert graph("digraph { a -> }").svg
