"""Pictures: the three faces say the same, hostile words stay words, nothing leaves its frame."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.paging import Level, Walk
from labkit.widgets import picture as pictures
from labkit.widgets.address_space import Pointer, Region, address_space
from labkit.widgets.descriptor import descriptor
from labkit.widgets.notation import decimal, hexadecimal, hexh, size
from labkit.widgets.page_walk import fields, page_walk
from labkit.widgets.picture import WIDGET_MIME, Picture

SVG = "{http://www.w3.org/2000/svg}"
LINEAR = 0xC0104A1F
DIRECTORY, TABLE = Level("directory", 0x300, 0x1798C00, 0x101F063), Level("table", 0x104, 0x101F410, 0x104063)
POINTER = Level("pointer", 3, 0x1798018, 0x101F001)
WALKS = {
    "4 KB": Walk(LINEAR, (DIRECTORY, TABLE), 0x104A1F, 4096),
    "4 MB": Walk(LINEAR, (Level("directory", 0x300, 0x1798C00, 0x1E3),), 0x104A1F, 1 << 22),
    "missing": Walk(0xBFE42FF8, (Level("directory", 0x2FF, 0x1798BFC, 0),), None, 0),
    "PAE": Walk(
        LINEAR,
        (
            POINTER,
            Level("directory", 0, 0x101F000, 0x1020063),
            Level("table", 0x104, 0x1020820, (1 << 63) | 0x104163),
        ),
        0x104A1F,
        4096,
    ),
    "PAE 2 MB": Walk(LINEAR, (POINTER, Level("directory", 0, 0x101F000, 0x1E3)), 0x104A1F, 1 << 21),
    "off": Walk(0x7C00, (), 0x7C00, 0),
}


def words(picture: Picture) -> str:
    """What a reader sees in the drawing, without the description for screen readers."""
    root = ET.fromstring(picture.svg)
    return " | ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))


def numbers(text: str) -> set[str]:
    """All that looks like an address or a value in hexadecimal."""
    return set(re.findall(r"\b[0-9a-f]{4}(?: [0-9a-f]{4})+\b|\b[0-9a-f]+h\b", text))


@pytest.mark.parametrize("name", WALKS)
def test_a_walks_values_are_in_the_drawing(name: str):
    walk = WALKS[name]
    drawn = page_walk(walk)
    seen = words(drawn)
    for level in walk.levels:
        value = hexadecimal(level.entry, 16 if "PAE" in name else 8)
        assert value in drawn.text
        assert all(half in seen for half in (value[:9], value[-9:]))
        for flag in level.flags:
            assert flag in drawn.text.split()
            assert flag in seen.split()
    assert drawn.text.splitlines()[-1] in seen, "the outcome"
    if walk.physical is not None:
        assert hexadecimal(walk.physical) in seen


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(sorted(WALKS)))
def test_the_fields_put_together_are_the_address(linear: int, name: str):
    walk = WALKS[name]
    split = fields(Walk(linear, walk.levels, walk.physical, walk.page_size))
    assert sum(field.value << field.low for field in split) == linear
    assert sum(field.bits for field in split) == 32
    seen = re.sub(r"[\s|]", "", words(page_walk(Walk(linear, walk.levels, walk.physical, walk.page_size))))
    if walk.levels:
        assert all(hexh(field.value) in seen for field in split)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_a_descriptors_bits_and_words_are_in_the_drawing(low: int, high: int, other: int):
    drawn = descriptor(low, high, (other, high), name="gdt")
    seen = words(drawn)
    missing = [
        line for line in numbers(drawn.text.partition("≠")[0]) if line not in seen
    ]
    assert not missing
    bits = "".join(re.findall(r"(?<!\S)[01](?!\S)", re.sub(r"\b(G|D|L|A|P|S)\b", "", seen)))
    assert f"{high:032b}"[:8] in bits
    assert ("≠" in drawn.text) == ("≠" in seen) == (low != other)


def spaces():
    return address_space(
        [
            Region(0xFFC00000, 1 << 32, "monitor", "monitor", "out of reach"),
            Region(0xC0000000, 0xC8000000, "kernel", "guest"),
        ],
        [Pointer(0xFFC01000, "write, bounced", "fault"), Pointer(0xC0104A1F, "eip")],
    )


def test_an_address_space_says_the_same_in_both():
    drawn = spaces()
    seen = words(drawn)
    for word in ("monitor", "kernel", "guest", "unused", "out of reach", "write, bounced", "128 MB"):
        assert word in drawn.text
        assert word in seen
    assert {"ffc0 0000", "c000 0000", "ffc0 1000", "c010 4a1f"} <= numbers(seen) & numbers(drawn.text)


@pytest.mark.parametrize(
    ("regions", "pointers", "said"),
    [
        ([Region(0, 10, "a"), Region(5, 20, "b")], [], "a and b overlap at 5h"),
        ([Region(5, 5, "a")], [], "no part"),
        ([Region(0, 1 << 33, "a")], [], "no part"),
        ([Region(0, 1, "a", "nobody")], [], "none of guest"),
        ([], [Pointer(1 << 32, "p")], "not below"),
    ],
)
def test_wrong_regions_are_named(regions, pointers, said: str):
    with pytest.raises(ValueError, match=said):
        address_space(regions, pointers)


@given(st.lists(st.integers(0, 1 << 32), unique=True, max_size=12), st.text(max_size=30))
def test_any_regions_make_a_whole_drawing(cuts: list[int], name: str):
    cuts.sort()
    drawn = address_space(
        [Region(a, b, name) for a, b in zip(cuts[::2], cuts[1::2], strict=False)],
        [Pointer(cut, name) for cut in cuts if cut < 1 << 32],
    )
    root = ET.fromstring(drawn.svg)
    height = float(root.get("height", 0))
    for node in root.iter(f"{SVG}rect"):
        assert float(node.get("y", 0)) + float(node.get("height", 0)) <= height


def test_hostile_words_stay_words():
    name = "</text><script>alert(1)</script>\x00&\"'"
    drawn = address_space([Region(0, 4096, name, note=name)], title=name)
    root = ET.fromstring(drawn.svg)
    harmless = {"svg", "title", "desc", "text", "rect", "path"}
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= harmless


def test_outside_a_kernel_the_faces_are_text_and_svg():
    bundle = spaces()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert bundle["text/plain"] == str(spaces())
    assert set(spaces()._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(spaces()._repr_mimebundle_(exclude={"text/plain"})) == {"image/svg+xml"}


def test_in_a_kernel_the_live_face_has_the_same_picture(monkeypatch: pytest.MonkeyPatch):
    import ipywidgets

    monkeypatch.setattr(pictures, "in_kernel", lambda: True)
    drawn = spaces()
    view = drawn._repr_mimebundle_()[WIDGET_MIME]
    live = ipywidgets.widgets.widget._instances[view["model_id"]]
    assert (live.svg, live.text) == (drawn.svg, drawn.text)


def test_the_same_picture_twice_is_the_same_file():
    assert spaces().svg == spaces().svg


def test_a_picture_can_be_saved(tmp_path):
    spaces().save(tmp_path / "a.svg")
    ET.parse(tmp_path / "a.svg")


def test_numbers_as_they_look():
    assert [hexadecimal(LINEAR), hexadecimal(0x60, 4), hexadecimal(1, 9)] == [
        "c010 4a1f", "0060", "0 0000 0001",
    ]  # fmt: skip
    assert [hexh(9), hexh(10), decimal(338214006)] == ["9", "ah", "338 214 006"]
    assert [size(n) for n in (1, 6, 4096, 4 << 20, 3_085_824_000)] == [
        "1 byte", "6 bytes", "4 KB", "4 MB", "2.9 GB",
    ]  # fmt: skip
