"""Draws the view of shadow keys: makes a screenshot of it in a real JupyterLab, with the browser tests' own means.

    python docs/keys.py docs/keys.png          (or: dark.png dark)

A program at level 3 writes where it may only read; the write is followed to the gate that stops it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from tests.browser import conftest
from tests.browser.test_keys import CELL

__all__ = ["draw", "main"]

WIDTH = 860
BESIDE = 176  # what JupyterLab has to the left of an output, without its file browser


def draw(output: Path, theme: str) -> None:
    """Open the view, make the access, point at the bit that permits too much; the picture goes to a file."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        home = Path(scratch)
        root = home / "notebooks"
        root.mkdir()
        server = conftest.start_server(home, root, [sys.executable, "-m", "labkit", "lab", str(root), "--no-browser"])
        server.set_theme(theme)
        (root / "keys.ipynb").write_text(conftest.json.dumps(conftest.notebook([CELL])), "utf-8")
        executable = next(filter(None, map(shutil.which, conftest.BROWSERS)))
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": WIDTH + BESIDE, "height": 1400}, device_scale_factor=1)
            lab = conftest.LabPage(page, server, "keys.ipynb")
            lab.open()
            lab.command("application:toggle-left-area")
            lab.run_all()
            page.locator(".lkk .tl tbody tr.on").wait_for()
            page.locator(".lkk").focus()
            for key in ("Enter", "ArrowUp", "Enter", "ArrowDown", "Enter"):
                page.keyboard.press(key)
                page.wait_for_timeout(500)
            page.locator(".lkk .tl tr.on .bit[data-mark='+']").focus()
            page.wait_for_timeout(500)
            page.locator(".lkk").screenshot(path=output)
        finally:
            browser.close()
            conftest.stop_server(server)


def main(output: str, theme: str = "light") -> int:
    """Draw into a file, in one of the themes light and dark."""
    draw(Path(output), theme)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
