"""The debugger in a real JupyterLab: keys, clicks, themes, names, contrast, and what breaks it elsewhere."""

import json
import re

import pytest

pytestmark = pytest.mark.browser

BOOT = """
from labkit.vm.replay import Timeline
from labkit.widgets.debugger import Debugger
timeline = Timeline.boot("teaching", memory=32 << 20)
stop = timeline.run(until_text="$ ")
timeline.seek(timeline.end // 2)
Debugger(timeline)
"""


def opened(lab_page, theme="light", width=1280, cells=(BOOT,)):
    lab = lab_page(list(cells), theme=theme, width=width, height=1400)
    lab.run_all()
    lab.page.locator(".lkd .code li.next").first.wait_for()
    return lab


def clock(lab) -> int:
    return int(lab.page.locator(".lkd .cur").first.get_attribute("aria-valuenow"))


def wait_for_clock(lab, value: int) -> None:
    lab.page.wait_for_function(
        "value => document.querySelector('.lkd .cur').getAttribute('aria-valuenow') === String(value)",
        arg=value, timeout=30_000,
    )  # fmt: skip


def test_fifty_steps_and_fifty_steps_back_by_key(lab_page):
    lab = opened(lab_page)
    here, cells = clock(lab), lab.cell_count()
    registers = lab.page.locator(".lkd .rg table").first
    shown = re.sub(r"[±\s]|was [0-9a-f ]{9}", "", registers.inner_text())
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press("ArrowRight")  # the first of all is slow: kernel and page do it for the first time
    wait_for_clock(lab, here + 1)
    lab.page.keyboard.press("ArrowLeft")
    wait_for_clock(lab, here)
    for _ in range(50):
        lab.page.keyboard.press("ArrowRight")
    wait_for_clock(lab, here + 50)
    for _ in range(50):
        lab.page.keyboard.press("ArrowLeft")
    wait_for_clock(lab, here)
    assert re.sub(r"[±\s]|was [0-9a-f ]{9}", "", registers.inner_text()) == shown
    for key in "abxdd?zyqjkhBW":  # what JupyterLab would take for commands
        lab.page.keyboard.press(key)
    assert lab.cell_count() == cells
    assert lab.page.evaluate("document.activeElement.closest('.lkd') !== null")


def test_a_breakpoint_by_click_stops_a_run(lab_page):
    lab = opened(lab_page)
    here = clock(lab)
    lab.page.locator(".lkd").focus()
    for step in range(1, 13):
        lab.page.keyboard.press("ArrowRight")
        wait_for_clock(lab, here + step)
    row = lab.page.locator(".lkd .code li.next")
    address = row.locator(".ad").inner_text()
    row.locator(".bp").click()
    lab.page.locator(".lkd .code .bp[aria-pressed=true]").wait_for()
    lab.page.keyboard.press("Home")
    wait_for_clock(lab, 0)
    lab.page.keyboard.press("]")
    lab.page.get_by_text("stopped before").wait_for()
    assert lab.page.locator(".lkd .code li.next .ad").inner_text() == address
    assert lab.page.locator(".lkd .code li.next .bp").get_attribute("aria-pressed") == "true"


def test_seeking_by_hand(lab_page):
    lab = opened(lab_page)
    box = lab.page.locator(".lkd .trk > svg").bounding_box()
    lab.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    end = int(lab.page.locator(".lkd .cur").get_attribute("aria-valuemax"))
    lab.page.wait_for_function(
        "([low, high]) => {"
        " const now = Number(document.querySelector('.lkd .cur').getAttribute('aria-valuenow'));"
        " return low < now && now < high; }",
        arg=[end * 0.24, end * 0.26],
    )  # fmt: skip
    lab.page.keyboard.press("g")
    lab.page.keyboard.type("999999999999")
    lab.page.keyboard.press("Enter")
    lab.page.get_by_text("is not in this history").wait_for()
    lab.page.keyboard.press("g")
    lab.page.keyboard.type("50%")
    lab.page.keyboard.press("Enter")
    wait_for_clock(lab, int(end * 0.5))


def test_fields_and_clicks_leave_the_keys_to_the_debugger(lab_page):
    lab = opened(lab_page)
    keyboard, here = lab.page.keyboard, clock(lab)
    lab.page.locator(".lkd").focus()
    for address in ("c0100000", "c0101000"):  # the second replaces the first
        keyboard.press("m")
        keyboard.type(address)
        keyboard.press("Enter")
        lab.page.get_by_text(f"{address[:4]} {address[4:]}", exact=True).first.wait_for()
    lab.page.locator(".lkd .code .bp").last.click()
    lab.page.locator(".lkd .code .bp[aria-pressed=true]").wait_for()
    keyboard.press("5")
    keyboard.press("Space")  # runs, and does not take the breakpoint away
    lab.page.wait_for_function(f"() => Number(document.querySelector('.lkd .cur').ariaValueNow) > {here}")
    keyboard.press("Space")
    keyboard.press("g")
    keyboard.type(str(here))
    keyboard.press("Enter")
    wait_for_clock(lab, here)
    lab.page.locator(".lkd .code .bp[aria-pressed=true]").wait_for()
    for accept, key in ((False, "Escape"), (True, "Enter")):  # neither writes an error to the console
        lab.page.locator(".lkd .rg .vl").first.focus()
        keyboard.press("e")
        keyboard.type("1234")
        keyboard.press(key)
        lab.page.locator(".lkd .rg input").wait_for(state="detached")
        assert lab.page.evaluate("document.activeElement.closest('.rg') !== null")
        assert lab.page.get_by_text("eax is 0000 1234").count() == 0 or accept
    lab.page.get_by_text("eax is 0000 1234").wait_for()


def test_a_refused_edit_stays_open_to_be_corrected(lab_page):
    lab = opened(lab_page)
    keyboard, here, field = lab.page.keyboard, clock(lab), lab.page.locator(".lkd .mem input")
    lab.page.locator(".lkd .mem i").first.dblclick()
    keyboard.type("zz")
    keyboard.press("Enter")
    lab.page.get_by_role("alert").get_by_text("bytes 'zz'").wait_for()
    assert field.input_value() == "zz"
    keyboard.press("Backspace")
    keyboard.press("Backspace")
    keyboard.type("90 90")  # a space that went astray would start a run
    keyboard.press("Enter")
    lab.page.get_by_text("90 90 from here on").wait_for()
    field.wait_for(state="detached")
    assert clock(lab) == here
    keyboard.press("?")
    lab.page.locator(".lkd .keys").wait_for()
    keyboard.press("Escape")
    lab.page.locator(".lkd .keys").wait_for(state="hidden")


def test_stops_are_written_shown_met_and_taken_away(lab_page):
    lab = opened(lab_page)
    keyboard, chips = lab.page.keyboard, lab.page.locator(".lkd .chips")
    lab.page.locator(".lkd").focus()
    keyboard.press("s")
    keyboard.type("edi")
    keyboard.press("Enter")
    chips.get_by_text("when edi changes").wait_for()
    keyboard.press("]")
    lab.page.get_by_text("stopped when edi changes").wait_for()
    assert lab.page.locator(".lkd .rg tr.ch th").get_by_text("edi", exact=True).count() == 1
    chips.get_by_role("button", name="do not stop when edi changes").click()
    chips.get_by_text("no stops yet").wait_for()
    lab.page.locator(".lkd .mem i").nth(20).click()
    lab.page.get_by_role("button", name="stop when written").click()
    chips.get_by_text("is written").wait_for()
    lab.page.locator(".lkd select").select_option("port out")
    keyboard.press("Shift+B")
    chips.get_by_text("at port out").wait_for()
    assert lab.page.get_by_role("button", name="stop at it").get_attribute("aria-pressed") == "true"
    keyboard.press("s")
    keyboard.type("nowhere at all")
    keyboard.press("Enter")
    lab.page.get_by_text("stop at 'nowhere at all'?").wait_for()


def test_a_fork_in_one_view_is_said_in_the_other(lab_page):
    lab = opened(lab_page, cells=[BOOT, "Debugger(timeline)"])
    lab.page.locator(".lkd").nth(1).wait_for()
    one, other = lab.page.locator(".lkd").nth(0), lab.page.locator(".lkd").nth(1)
    one.locator(".mem i").first.dblclick()
    lab.page.keyboard.type("90 90")
    lab.page.keyboard.press("Enter")
    one.get_by_text("90 90 from here on").wait_for()
    assert one.locator(".mem i").nth(1).inner_text() == "90"
    other.get_by_text("another view has forked this history").wait_for()
    other.get_by_role("button", name="show the other").click()
    other.get_by_text("a fork is shown").wait_for()
    assert other.locator(".mem i").first.inner_text() == "90"
    lab.page.keyboard.press("f")
    other.get_by_text("shown is the history before it").wait_for()


def test_the_console_answers(lab_page):
    lab = opened(lab_page)
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("t")
    lab.page.keyboard.type("echo seen-$((6*7))")
    lab.page.keyboard.press("Enter")
    lab.page.locator(".lkd .con").get_by_text("seen-42", exact=True).wait_for()


NAMELESS = """
() => [...document.querySelectorAll(".lkd, .lkd :is(button,input,select,[role=slider],[role=img])")]
  .filter((node) => node.getClientRects().length)
  .filter((node) => !(node.getAttribute("aria-label") || node.textContent).trim())
  .map((node) => node.outerHTML.slice(0, 120))
"""
UNSEEN_FOCUS = """
() => [...document.querySelectorAll(".lkd, .lkd :is(button,input,select,[role=slider])")].filter((node) => {
  if (!node.getClientRects().length || node.disabled) return false;
  node.focus({focusVisible: true});
  return document.activeElement === node && getComputedStyle(node).outlineStyle === "none";
}).map((node) => node.outerHTML.slice(0, 120))
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_roles_focus_and_contrast(lab_page, contrast, theme):
    lab = opened(lab_page, theme)
    lab.page.locator(".lkd").focus()
    for key in ("ArrowRight", "ArrowRight", "w", "?", "[", "Tab", "Tab"):
        lab.page.keyboard.press(key)
    lab.page.get_by_text("no breakpoint yet").wait_for()
    report = lab.page.evaluate(contrast, ".lkd")
    assert report["seen"] > 200
    assert not report["low"]
    assert not lab.page.evaluate(NAMELESS)
    assert not lab.page.evaluate(UNSEEN_FOCUS)
    root = lab.page.locator(".lkd")
    assert root.get_attribute("role") == "application"
    for role, name in (
        ("toolbar", "moving in time"), ("toolbar", "places to go to and to stop at"), ("list", "what runs stop at"),
        ("radiogroup", "speed"), ("slider", "position in the history"),
        ("button", "step"), ("button", "run"), ("radio", "speed 1: 1 a second"), ("list", "instructions"),
        ("textbox", "type to the guest's serial console"), ("combobox", "kind of event to step to"),
    ):  # fmt: skip
        assert root.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    assert root.get_by_role("status").first.get_attribute("aria-live") == "polite"
    speeds = root.get_by_role("radio")
    assert [speeds.nth(i).get_attribute("tabindex") for i in range(5)].count("0") == 1


@pytest.mark.parametrize("width", [480, 640, 820, 1000, 1400])
def test_nothing_is_cut_off_sideways(lab_page, width):
    lab = opened(lab_page, width=width)
    lab.command("application:toggle-left-area")
    lab.page.wait_for_timeout(300)
    over = lab.page.evaluate(
        "() => [...document.querySelectorAll('.lkd, .lkd .pane, .lkd .mem')]"
        ".filter((node) => node.scrollWidth > node.clientWidth + 1)"
        ".map((node) => node.ariaLabel || node.className)"
    )
    assert not over
    text = lab.page.locator(".lkd .mem .as").first
    assert text.is_visible(), "the bytes as characters"


REGISTERS = """
() => [...document.querySelectorAll(".lkd .rg tr")].map((row) => {
  const box = row.getBoundingClientRect(), pane = row.closest(".rg").getBoundingClientRect();
  return [Math.round(box.x - pane.x), Math.round(box.y - pane.y), Math.round(box.height)].join();
})
"""


@pytest.mark.parametrize("width", [1100, 1280, 1400])
def test_registers_stay_in_their_rows_whatever_changes(lab_page, width):
    lab = opened(lab_page, width=width)
    before = lab.page.evaluate(REGISTERS)
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press("Home")  # nearly all change, cr0 and cr3 among them
    lab.page.locator(".lkd .rg table:last-child tr.ch").first.wait_for()
    assert lab.page.evaluate(REGISTERS) == before
    assert {row.split(",")[2] for row in before} == {"20"}
    assert [row.split(",")[1] for row in before[:10]] == [row.split(",")[1] for row in before[10:]]


@pytest.mark.parametrize("width", [1280, 1400])
def test_the_controls_are_one_row_where_there_is_room(lab_page, width):
    lab = opened(lab_page, width=width)
    lab.command("application:toggle-left-area")
    lab.page.wait_for_timeout(300)
    for bar in lab.page.locator(".lkd .bar").all():
        assert bar.bounding_box()["height"] < 48, bar.get_attribute("aria-label")


PLACES = """
() => [...document.querySelectorAll(".lkd .mem i:not([data-edited]), .lkd .as, .lkd .rg td, .lkd .pane, .lkd .hd")]
  .map((node) => node.getBoundingClientRect())
  .map((box) => [box.x, box.y, box.width, box.height].map(Math.round).join())
"""


@pytest.mark.parametrize("width", [1000, 1400])
def test_a_double_click_opens_a_field_that_moves_nothing_and_asks_nobody(lab_page, width):
    lab = opened(lab_page, width=width)
    for place, count in ((".lkd .mem i >> nth=3", 1), (".lkd .rg .vl >> nth=4", 0)):
        lab.page.locator(place).scroll_into_view_if_needed()
        before = lab.page.evaluate(PLACES)
        lab.page.locator(place).dblclick()
        lab.page.locator(".lkd :is(.mem, .rg) input").wait_for()
        after = lab.page.evaluate(PLACES)
        assert len(after) == len(before) - count, "one byte lies under the field"
        assert not [box for box in after if box not in before]
        lab.page.wait_for_timeout(400)
        assert "click a byte or a register" in lab.page.locator(".lkd .ans").inner_text(), "no single click was meant"
        lab.page.keyboard.press("Escape")
    lab.page.locator(".lkd .mem i >> nth=3").click()
    lab.page.locator(".lkd .ans").get_by_text("written").first.wait_for()


@pytest.mark.parametrize("key", ["Home", "End"])
def test_the_scrubbers_dot_is_whole_at_both_ends(lab_page, key):
    lab = opened(lab_page, width=1000)
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press(key)
    end = lab.page.locator(".lkd .cur").get_attribute("aria-valuemax")
    wait_for_clock(lab, 0 if key == "Home" else int(end))
    lab.page.wait_for_timeout(300)  # it glides
    cursor, root = (lab.page.locator(one).bounding_box() for one in (".lkd .cur", ".lkd"))
    assert root["x"] + 6 <= cursor["x"]
    assert cursor["x"] + 6 <= root["x"] + root["width"]


def test_two_views_stay_in_step(lab_page):
    lab = opened(lab_page, cells=[BOOT, "Debugger(timeline)", "timeline.seek(77)"])
    lab.page.locator(".lkd").nth(1).wait_for()
    values = "() => [...document.querySelectorAll('.lkd .cur')].map((one) => one.ariaValueNow)"
    lab.page.wait_for_function(f"() => ({values})().join() === '77,77'")
    lab.page.locator(".lkd").nth(0).focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_function(f"() => ({values})().join() === '78,78'")


# Milliseconds from now to the notice, which is there at once.
NOTICED = """
() => {
  const began = performance.now();
  new MutationObserver(() => {
    const said = [...document.querySelectorAll(".lkd .msg.error")].some((one) => !one.hidden && one.textContent);
    if (said) window.lkNoticed ??= performance.now() - began;
  }).observe(document.querySelector(".lkd"), {subtree: true, attributes: true, childList: true});
}
"""
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
GONE = "The kernel was restarted, or has ended"


def test_a_kernel_restart_leaves_the_last_view_with_a_notice_at_once(lab_page):
    lab = opened(lab_page)
    rows = lab.page.locator(".lkd .code li").count()
    lab.expected_errors.append("(?i)comm|kernel|widget|model")
    lab.page.evaluate(NOTICED)
    lab.page.evaluate(f"() => {{ {KERNEL}.restart(); }}")  # as the menu does it
    lab.page.get_by_text(GONE).wait_for()  # no key is needed for it
    assert lab.page.evaluate("window.lkNoticed") < 500
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_timeout(100)
    assert lab.page.get_by_text(GONE).is_visible()
    assert lab.page.locator(".lkd .code li").count() == rows


def test_a_kernel_restarted_from_elsewhere_is_noticed_with_the_next_key(lab_page):
    lab = opened(lab_page)
    kernel = lab.page.evaluate(f"{KERNEL}.id")
    lab.expected_errors.append("(?i)comm|kernel|widget|model")
    lab.server.call(f"api/kernels/{kernel}/restart", "POST")
    lab.page.evaluate(NOTICED)
    lab.page.wait_for_timeout(1500)
    lab.page.locator(".lkd").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.get_by_text(GONE).wait_for()
    assert lab.page.evaluate("window.lkNoticed") < 1500 + 2000, "not only when patience has run out"


def test_an_untrusted_notebook_shows_the_static_picture(lab_page, tmp_path):
    saved = opened(lab_page).save()
    saved["metadata"]["from"] = "elsewhere"  # so nobody here has signed it
    saved["cells"][0]["outputs"][-1]["metadata"] = {"from": "elsewhere"}
    elsewhere = tmp_path / "elsewhere.ipynb"
    elsewhere.write_text(json.dumps(saved), "utf-8")
    lab = lab_page(elsewhere)
    picture = lab.output(0)
    picture.get_by_text("A picture of the debugger").wait_for()
    assert "paging_init" in picture.inner_text()
    assert lab.page.locator(".lkd").count() == 0
