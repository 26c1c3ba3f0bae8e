"""Colours by meaning, read from tokens.css: one source for the pages' style and for the static pictures."""

import re
from functools import cache
from pathlib import Path

__all__ = ["MEANINGS", "STATIC", "css", "esm", "tokens"]

STATIC = Path(__file__).parent
MEANINGS = ("guest", "monitor", "hardware", "fault", "new", "pending")


def css(*names: str) -> str:
    """The text of style sheets beside this file, tokens first."""
    return "\n".join((STATIC / name).read_text("utf-8") for name in ("tokens.css", *names))


def esm(*names: str) -> str:
    """One module for the browser out of scripts beside this file, in this order: they share one scope."""
    return "".join((STATIC / name).read_text("utf-8") for name in names)


@cache
def tokens(*, dark: bool = False) -> dict[str, str]:
    """Each token's colour in the light or the dark theme: `{"guest": "#0068a3", ...}`."""
    selector = r'\[data-jp-theme-light="false"\] \.lk' if dark else r"(?m:^\.lk)"
    block = re.search(selector + r" \{([^}]*)\}", css())
    return dict(re.findall(r"--lk-([\w-]+): (#[0-9a-f]{6});", block[1] if block else ""))
