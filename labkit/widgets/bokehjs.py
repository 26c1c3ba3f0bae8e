"""BokehJS from the installed package, once per page: a widget shows Bokeh figures without asking any host.

The figure is sent as JSON. Its script (1.3 MB) is sent only when a page asks, which the first figure on a
page does; it is never part of a widget's state, so a saved notebook does not hold it.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.widgets.theme import css, esm, tokens

__all__ = ["BokehFigure", "script"]


@cache
def script() -> bytes:
    """The text of BokehJS, from the wheel of the installed Bokeh."""
    import bokeh  # noqa: PLC0415 (a second to import: only for who draws a figure)

    return (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_bytes()


class BokehFigure(anywidget.AnyWidget):
    """A Bokeh model in JupyterLab; `svg` stands in until it is drawn, and where it cannot be.

    Colours that are those of tokens.css in the light theme follow the page's theme.
    """

    _esm = esm("copy.js", "bokeh.js")
    _css = css("static/picture.css", "static/bokeh.css")
    item = traitlets.Unicode().tag(sync=True)
    version = traitlets.Unicode().tag(sync=True)
    colours = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    svg = traitlets.Unicode().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    @classmethod
    def of(cls, model: Any, *, label: str, svg: str, text: str) -> "BokehFigure":
        """Wrap a Bokeh model; `svg` and `text` are its static faces."""
        import bokeh  # noqa: PLC0415
        from bokeh.embed import json_item  # noqa: PLC0415

        figure = cls(
            item=json.dumps(json_item(model)), version=bokeh.__version__, label=label, svg=svg, text=text,
            colours={value: name for name, value in tokens().items()},
        )  # fmt: skip
        figure.on_msg(figure._answer)
        return figure

    def _answer(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """The page has no BokehJS yet."""
        if message == "bokehjs":
            self.send("bokehjs", buffers=[script()])
