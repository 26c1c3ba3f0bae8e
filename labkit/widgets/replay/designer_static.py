"""The expansion designer as a static picture in HTML: where no kernel and no script is."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

__all__ = ["as_html"]


def as_html(view: Mapping[str, Any]) -> str:
    """All that is chosen, the estimate, the command and the same in Python."""
    rows = "".join(
        f"<tr><th>{escape(group['name'])}</th><td>{escape(_row(group['fields']))}</td></tr>"
        for group in view["groups"]
    )
    estimate = view["estimate"]
    cost = (
        f"<p>about <b>{estimate['rows']}</b> rows, <b>{escape(estimate['size'])}</b>, <b>{estimate['seconds']}</b>; "
        f"{escape(estimate['note'])}</p>"
        if estimate else "<p>no estimate yet: it needs samples of the run</p>"
    )  # fmt: skip
    told = f"<p>{escape(view['told'])}</p>" if view["told"] else ""
    said = f"<pre>{escape(view['said'])}</pre>" if view["said"] else ""
    code = "".join(f"<pre>{escape(view[name])}</pre>" for name in ("command", "python") if view[name])
    return (
        f'<div class="labkit-designer"><p><b>Expansion of {escape(view["name"])}</b></p><table>{rows}</table>{cost}'
        f"{code}{told}{said}<p><em>A picture of the designer: run the cell, and it works.</em></p></div>"
    )


def _row(fields: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(filter(None, map(_chosen, fields))) or "all"


def _chosen(field: Mapping[str, Any]) -> str:
    if field["several"]:
        return ", ".join(field["on"])
    value = str(field["value"])
    if not value or value == "all":
        return ""
    return f"{field['label']} {value}".strip()
