"""Draws a terminal: runs shell commands and writes what they print as an SVG picture.

    python docs/terminal.py docs/linux.svg 'labkit run linux --until-text "/ # "'

Carriage returns are dropped; of a long output only the last lines are kept.
"""

import io
import re
import subprocess
import sys
from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

__all__ = ["draw", "main"]

COLUMNS = 100
LINES = 30
UNSEEN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")

# In place of Rich's frame: the reader's monospace font instead of one from a server.
FRAME = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect width="{width}" height="{height}" rx="8" fill="#1b1f24" stroke="#57606a"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(commands: list[str], title: str) -> str:
    """The SVG of a terminal in which the commands were typed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in commands:
        ran = subprocess.run(  # noqa: S602 (the commands are the caller's own)
            command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        )
        lines = UNSEEN.sub("", ran.stdout.decode("utf-8", "replace")).splitlines()
        console.print(Text("$ ", "bold green") + Text(command, "bold"))
        if len(lines) > LINES:
            console.print(Text(f"[{len(lines) - LINES} lines]", "dim"))
        for line in lines[-LINES:]:
            console.print(Text(line, no_wrap=True, overflow="ellipsis"))
    return console.export_svg(code_format=FRAME.replace("TITLE", escape(title)), unique_id="labkit")


def main(arguments: list[str]) -> int:
    """Write the picture of the commands to the file."""
    picture, *commands = arguments
    Path(picture).write_text(draw(commands, "; ".join(commands)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
