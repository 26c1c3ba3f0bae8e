"""The live view of shadow keys: one JSON trait out, custom messages in."""

from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from labkit.vm.keys import VirtualUnit
from labkit.vm.machine.access_rights import Access
from labkit.widgets.keys.session import KeysSession
from labkit.widgets.keys.text import as_text
from labkit.widgets.keys.view import as_json, look
from labkit.widgets.shadow_keys import draw
from labkit.widgets.theme import css, esm

__all__ = ["KeysView"]


class KeysView(anywidget.AnyWidget):
    """Virtual and shadow entries of a unit side by side; each bit says which rule set it.

    The unit that is given is left alone: the view works on one of its own in the same state, so that of a
    machine can be looked at, `KeysView(rings.unit)`. `names` names pages by number. What can be done by hand can
    be done from code: `view.session.level(0)`, then `view.refresh()`.
    """

    _esm = esm("static/elements.js", "keys/static/keys.js")
    _css = css("keys/static/keys.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self, unit: VirtualUnit, names: Mapping[int, str] | None = None, page: int | None = None,
        access: Access = Access.WRITE,
    ) -> None:  # fmt: skip
        self.session = KeysSession(unit, names, page, access)
        super().__init__()
        self.on_msg(self._on_message)
        self.refresh()

    def refresh(self) -> None:
        """Show the session as it stands now."""
        self.view = as_json(look(self.session))

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and content.get("do") == "copy":
            name = "SVG" if content.get("to") == "SVG" else "text"
            self.send({"copy": self._svg() if name == "SVG" else str(self), "name": name})
            return
        self.session.do(content)
        self.refresh()

    def _svg(self) -> str:
        now = self.session.now
        return draw(self.session.unit, now.page, now.access, now.verdict, now.seen).svg

    def __str__(self) -> str:
        return as_text(look(self.session))

    def __repr__(self) -> str:
        now = self.session.now
        return f"<shadow keys of {len(self.session.pages)} pages, {now.what}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle: Any = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": str(self), "image/svg+xml": self._svg()}, metadata
