"""A graph on a computer without Graphviz: drawn in the page, with nothing from other hosts."""

import pytest

pytestmark = pytest.mark.browser

CELL = """
from importlib.util import find_spec
from labkit.widgets import graph as graphs
graphs.shutil.which = lambda name: None
graphs.find_spec = lambda name: None if name == "pygraphviz" else find_spec(name)
graphs.graph("digraph { monitor -> guest [label=enter] }")
"""


def test_dot_in_the_page(lab_page):
    pytest.importorskip("graphviz_anywidget")
    lab = lab_page([CELL])
    lab.run_all()
    for word in ("monitor", "guest", "enter"):
        lab.output(0).locator("svg text", has_text=word).wait_for()
    width = "node => node.getBBox().width"
    name = lab.output(0).locator("svg text", has_text="monitor").evaluate(width)
    box = lab.output(0).locator("svg g.node", has_text="monitor").evaluate(width)
    assert name <= box, "the font is wider than the layout took it to be"
