"""The view of shadow keys in a real JupyterLab: keys, clicks, rules, themes, names, contrast, narrow pages."""

import pytest

pytestmark = pytest.mark.browser

CELL = """
from labkit.vm.keys import KeyVirtualizer
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry
from labkit.widgets.keys import KeysView
unit = KeyVirtualizer()
names = {}
for number, key in enumerate((0xB1, 1, 2)):
    unit.set_register(number, KeyRegister(key))
for page, name, rights, level, key in (
    (0xA0000, "program text", 1, 3, 0xB1), (0xA0004, "program data", 2, 3, 0xB1), (0xE0000, "kernel text", 5, 0, 1),
    (0xE0008, "shared page", 4, 3, 0xB1), (0xE0010, "kernel heap", 3, 0, 1), (0xE0020, "gate page", 7, 0, 2),
):
    unit.insert(Entry(page, page, rights, level, key))
    names[page] = name
unit.set_level(3)
KeysView(unit, names, page=0xE0008)
"""


def opened(lab_page, theme="light", width=1280):
    lab = lab_page([CELL], theme=theme, width=width, height=1400)
    lab.run_all()
    lab.page.locator(".lkk .tl tbody tr.on").wait_for()
    lab.page.locator(".lkk").focus()
    return lab


def says(lab, words: str) -> None:
    lab.page.locator(".lkk .status").get_by_text(words).wait_for()


def press(lab, *keys: str) -> None:
    for key in keys:
        lab.page.keyboard.press(key)


def test_an_access_by_key_step_by_step_and_back_and_a_change_of_level(lab_page):
    lab, root = opened(lab_page), ".lkk"
    cells = lab.cell_count()
    row = lab.page.locator(f"{root} .tl tbody tr.on")
    assert "not filled yet" in row.inner_text()
    press(lab, "ArrowRight")
    says(lab, "step 1 of 1: write at level 3: miss, hidden")
    assert "not filled yet" not in row.inner_text()
    press(lab, "ArrowRight")
    says(lab, "key miss, hidden; the monitor loads a key register")
    press(lab, "ArrowRight")
    says(lab, "the guest sees access rights")
    assert lab.page.locator(f"{root} .gl li.fault").inner_text().split("\n")[0] == "key allows"
    press(lab, "ArrowLeft", "ArrowLeft", "ArrowLeft")
    says(lab, "step 0 of 3")
    assert "not filled yet" in row.inner_text()
    press(lab, "Enter")
    says(lab, "step 3 of 3")
    for key in "abdxyzcm":  # what JupyterLab would take for commands
        press(lab, key)
    assert lab.cell_count() == cells
    assert lab.page.evaluate("document.activeElement.closest('.lkk') !== null")

    # a change of level: key registers only
    press(lab, "ArrowUp", "Enter")
    says(lab, "step 6 of 6")
    entries = lab.page.locator(".lkk .tl tbody")
    before = entries.inner_text().replace("+", "")
    press(lab, "0")
    says(lab, "step 7 of 7: the guest's level went 3 → 0")
    lab.page.get_by_text("0 TLB entries", exact=False).wait_for()
    assert entries.inner_text().replace("+", "").replace("≠", "") == before.replace("≠", "")
    changed = lab.page.locator(".lkk .k16 li.chg")
    assert changed.count() == 2
    assert "≠" in changed.first.inner_text()  # by sign, not by colour alone
    counters = dict(one.split("\n") for one in lab.page.locator(".lkk .cnt div").all_inner_texts())
    assert counters["TLB purges"] == counters["TLB entries rewritten"] == "0"
    assert counters["key registers written"].endswith(f"+{changed.count()}")


def test_each_bit_tells_its_rule_and_the_path_moves_only_where_motion_is_wanted(lab_page):
    lab = opened(lab_page)
    press(lab, "Enter")
    says(lab, "step 3 of 3")
    why = lab.page.locator(".lkk .why")
    bits = lab.page.locator(".lkk .tl tr.on .bit")
    write = lab.page.get_by_role("button", name="shared page, shadow write w, permits too much", exact=True)
    write.hover()
    assert "levels 0, 1 and 2 may write by 4 R/RW" in why.inner_text()
    lab.page.locator(".lkk h3").hover()
    assert "point at a bit" in why.inner_text()
    bits.first.focus()
    assert "the guest set access rights 4" in why.inner_text()
    press(lab, "Tab")
    assert "page level 3" in why.inner_text()
    lab.page.get_by_role("button", name="register 0 write -", exact=True).click()
    assert "the class denies it to level 3" in why.inner_text()
    press(lab, "Escape")
    assert "point at a bit" in why.inner_text()
    lab.page.locator(".lkk .tl tbody tr").first.locator("td").nth(1).click()
    lab.page.wait_for_function("document.querySelector('.lkk .tl tr.on').innerText.includes('program text')")

    lab.page.locator(".lkk").focus()
    press(lab, "Home")
    says(lab, "step 0 of 3")
    moving = "document.querySelector('.lkk .dot').getAnimations({subtree: true})"
    count = """() => {
      window.moved = 0;
      const old = Element.prototype.animate;
      Element.prototype.animate = function (...given) {
        window.moved += 1;
        window.took = given[1].duration;
        return old.apply(this, given);
      };
    }"""
    lab.page.evaluate(count)
    press(lab, "Enter")
    says(lab, "step 3 of 3")
    assert lab.page.evaluate("window.moved") == 1
    assert 0 < lab.page.evaluate("window.took") <= 300
    press(lab, "ArrowLeft")
    says(lab, "step 2 of 3")
    lab.page.emulate_media(reduced_motion="reduce")
    moved = lab.page.evaluate("window.moved")
    press(lab, "ArrowRight")
    says(lab, "step 3 of 3")
    assert lab.page.evaluate("window.moved") == moved
    assert not lab.page.evaluate(f"{moving}.length")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 640)])
def test_names_contrast_focus_and_width(lab_page, contrast, theme, width):
    lab = opened(lab_page, theme, width)
    lab.command("application:toggle-left-area")
    press(lab, "Enter", "?")
    says(lab, "step 3 of 3")
    press(lab, "0")
    says(lab, "step 4 of 4")
    report = lab.page.evaluate(contrast, ".lkk")
    assert report["seen"] > 100
    assert not report["low"]
    nameless = lab.page.evaluate(
        "() => [...document.querySelectorAll('.lkk button')].filter((node) => node.getClientRects().length)"
        ".filter((node) => !(node.ariaLabel || node.textContent).trim()).map((node) => node.outerHTML)"
    )
    assert not nameless
    unseen = lab.page.evaluate(
        "() => [...document.querySelectorAll('.lkk, .lkk button')].filter((node) => {"
        " if (!node.getClientRects().length || node.disabled) return false; node.focus({focusVisible: true});"
        " return document.activeElement === node && getComputedStyle(node).outlineStyle === 'none'; })"
        ".map((node) => node.outerHTML.slice(0, 120))"
    )
    assert not unseen
    root = lab.page.locator(".lkk")
    assert root.get_attribute("role") == "application"
    for role, name in (("radiogroup", "guest level"), ("radiogroup", "access"), ("radio", "write"),
                       ("table", "virtual and shadow entries"), ("list", "hardware key registers")):  # fmt: skip
        assert root.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    over = lab.page.evaluate("() => { const n = document.querySelector('.lkk'); return n.scrollWidth - n.clientWidth }")
    assert over <= 1
