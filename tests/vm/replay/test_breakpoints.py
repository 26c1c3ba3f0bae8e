import pytest

from labkit.vm.replay import Breakpoint, Breakpoints, TimelineError, Watchpoint


def test_a_set_that_keeps_its_order():
    points = Breakpoints()
    wanted: list[Breakpoint | Watchpoint] = [Breakpoint.at(7), Watchpoint.memory(0x1000, 8)]
    wanted += [Breakpoint.event("page fault"), Watchpoint.of_register("esp")]
    for what in wanted * 2:
        points.add(what)
    assert list(points) == wanted
    assert len(points) == 4
    points.remove(wanted[1])
    points.remove(wanted[1])
    assert wanted[1] not in points
    other = points.copy()
    other.clear()
    assert len(points) == 3
    assert str(other) == "no breakpoints"
    assert str(points) == "at 00000007\nevent page fault\nregister esp"


def test_toggle():
    points = Breakpoints()
    assert points.toggle(16)
    assert Breakpoint.at(16) in points
    assert not points.toggle(16)
    assert not points


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Breakpoint.range(8, 7), "give the lower address first"),
        (lambda: Breakpoint.at(-1), "32 bits"),
        (lambda: Breakpoint.at(1 << 32), "32 bits"),
        (lambda: Breakpoint.event("pagefault"), "give one of interrupt, exception"),
        (lambda: Watchpoint.memory(0xFFE, 4), "on one page"),
        (lambda: Watchpoint.memory(0, 0), "on one page"),
        (lambda: Watchpoint.memory(-4, 4), "on one page"),
        (lambda: Watchpoint.of_register("ax"), "give one of eax"),
        (lambda: Breakpoints().add("main"), "Breakpoint.at(address)"),  # type: ignore[arg-type]
    ],
)
def test_wrong_ones_say_what_to_do(wrong, says):
    with pytest.raises(TimelineError) as caught:
        wrong()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text():
    assert str(Breakpoint.range(1, 2)) == "in 00000001..00000002"
    assert str(Watchpoint.memory(0x1000, 4)) == "4 bytes at 00001000"
