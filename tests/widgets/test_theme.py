"""The colours can be read on JupyterLab's own themes: contrast by WCAG 2.2, on the installed style sheets."""

import re
import sys
from pathlib import Path

import pytest

from labkit.widgets.theme import MEANINGS, STATIC, css, tokens

THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
NAMED = {"white": "#ffffff", "black": "#000000"}
TEXT, GRAPHIC = 4.5, 3.0


def host(theme: str) -> dict[str, tuple[float, float, float, float]]:
    """The theme's variables as red, green, blue (0 to 255) and opacity."""
    sheet = (THEMES / f"theme-{theme}-extension" / "index.css").read_text("utf-8")
    found = dict(re.findall(r"(--jp-[\w-]+):\s*([^;}]+)", sheet))
    return {name: colour for name, value in found.items() if (colour := parse(value, found))}


def parse(value: str, known: dict[str, str]) -> tuple[float, float, float, float] | None:
    value = NAMED.get(value.strip(), value.strip())
    if match := re.fullmatch(r"var\((--[\w-]+)(?:,\s*(.+))?\)", value):
        return parse(known.get(match[1]) or match[2] or "", known)
    if match := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", value.lower()):
        digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16), 1.0
    if match := re.fullmatch(r"rgba?\(([\d.]+),\s*([\d.]+),\s*([\d.]+)(?:,\s*([\d.]+))?\)", value):
        return (float(match[1]), float(match[2]), float(match[3]), float(match[4] or 1))
    return None


def luminance(colour) -> float:
    parts = [part / 255 for part in colour[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink, ground) -> float:
    ink = [ink[3] * i + (1 - ink[3]) * g for i, g in zip(ink[:3], ground[:3], strict=True)]
    high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself():
    white, black, grey = (255, 255, 255, 1.0), (0, 0, 0, 1.0), parse("#767676", {})
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(grey, white) == pytest.approx(4.54, abs=0.01)
    assert parse("var(--a,#fff)", {}) == white


@pytest.mark.parametrize("theme", ["light", "dark", "dark-high-contrast"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_every_ink_can_be_read(theme: str, layer: int):
    page = host(theme)
    ground = page[f"--jp-layout-color{layer}"]
    ours = {name: parse(value, {}) for name, value in tokens(dark=theme != "light").items()}
    poor = {
        name: round(found, 2)
        for name in (*MEANINGS, "dim", "ink")
        if (found := contrast(ours[name], ground)) < TEXT
    }
    if (found := contrast(page["--jp-ui-font-color1"], ground)) < TEXT:
        poor["--jp-ui-font-color1"] = round(found, 2)
    if (found := contrast(ours["line"], ground)) < GRAPHIC:
        poor["line"] = round(found, 2)
    if layer < 2 and (found := contrast(page["--jp-brand-color1"], ground)) < GRAPHIC:
        poor["focus"] = round(found, 2)
    assert not poor, f"{theme}, layout colour {layer}: {poor}"


@pytest.mark.parametrize("dark", [False, True])
def test_every_ink_can_be_read_on_its_own_wash(dark: bool):
    ours = {name: parse(value, {}) for name, value in tokens(dark=dark).items()}
    paper = ours["paper"]
    for name in MEANINGS:
        washed = tuple(0.14 * m + 0.86 * p for m, p in zip(ours[name] or (), paper or (), strict=True))[:3]
        for ink in (name, "ink", "dim"):
            assert contrast(ours[ink], (*washed, 1.0)) >= TEXT, f"{ink} on a wash of {name}"


def test_both_themes_have_the_same_tokens():
    assert set(tokens()) == set(tokens(dark=True)) >= {*MEANINGS, "dim", "line", "hair", "paper", "ink"}


def test_style_sheets_ask_no_host_and_use_only_tokens_that_exist():
    sheets = css(*(path.relative_to(STATIC).as_posix() for path in (STATIC / "static").glob("*.css")))
    assert "url(" not in sheets
    assert "@import" not in sheets
    defined = set(re.findall(r"(--lk-[\w-]+):", sheets))
    assert set(re.findall(r"var\((--lk-[\w-]+)", sheets)) <= defined


def test_text_is_never_in_jupyterlabs_faint_colours():
    sheets = css("static/picture.css")
    assert "--jp-ui-font-color2" not in sheets
    assert "--jp-ui-font-color3" not in sheets
