"""BokehJS from the installed package, once per page: a widget shows Bokeh figures without asking any host.

The figure is sent as JSON. Its script (1.3 MB) is sent only when a page asks, which the first figure on a
page does; it is never part of a widget's state, so a saved notebook does not hold it.
"""

import json
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.widgets.picture import WIDGET_MIME, Picture, in_kernel
from labkit.widgets.theme import css, esm, tokens

__all__ = ["BokehFigure", "figure_bundle", "script"]


@cache
def script() -> bytes:
    """The text of BokehJS, from the wheel of the installed Bokeh."""
    import bokeh  # noqa: PLC0415 (a second to import: only for who draws a figure)

    return (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_bytes()


class BokehFigure(anywidget.AnyWidget):
    """A Bokeh model in JupyterLab; `svg` stands in until it is drawn, and where it cannot be.

    Colours that are those of tokens.css in the light theme follow the page's theme.
    """

    _esm = esm("static/copy.js", "static/bokeh.js")
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


def figure_bundle(
    figure: Callable[[], Any], picture: Picture, include: Collection[str] | None, exclude: Collection[str] | None
) -> dict[str, Any]:
    """What IPython displays: the picture's static faces, and in a notebook the live figure, which is made then."""
    bundle: dict[str, Any] = {"text/plain": picture.text, "image/svg+xml": picture.svg}
    if in_kernel():
        live = BokehFigure.of(figure(), label=picture.title, svg=picture.svg, text=picture.text)
        bundle[WIDGET_MIME] = live.get_view_spec()
    return {
        kind: data for kind, data in bundle.items()
        if (not include or kind in include) and not (exclude and kind in exclude)
    }  # fmt: skip
