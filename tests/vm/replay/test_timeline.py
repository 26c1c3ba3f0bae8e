"""Moving on the timeline: whatever was done in between, a clock is always the same state."""

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.vm.machine import Machine
from labkit.vm.monitor import EventKind
from labkit.vm.replay import Breakpoint, Timeline, TimelineError, Watchpoint


def state(timeline: Timeline) -> tuple[str, str]:
    return timeline.machine.registers_sha256(), timeline.machine.ram_sha256()


def slow(few: int):
    return settings(max_examples=few, deadline=None, suppress_health_check=list(HealthCheck))


class TestMoving:
    def test_seek_is_a_run_from_the_start(self, recorded, plain_run, full):
        rng = random.Random(1)
        clocks = [rng.randrange(recorded.end + 1) for _ in range(120 if full else 24)]
        wanted = plain_run(recorded, sorted(clocks))
        for clock in clocks:  # forward and backward, as they come
            recorded.seek(clock)
            assert recorded.cursor == clock
            assert state(recorded) == wanted[clock]

    @slow(25)
    @given(st.integers(0, 337_000), st.integers(0, 900))
    def test_back_undoes_step(self, recorded, clock, n):
        recorded.seek(clock)
        before = state(recorded)
        n = min(n, recorded.end - clock)
        recorded.step(n)
        assert recorded.cursor == clock + n
        recorded.back(n)
        assert state(recorded) == before

    def test_single_steps_are_one_run(self, recorded):
        for clock in (37_500, 100_000, 250_000):
            recorded.seek(clock + 300)
            wanted = state(recorded)
            recorded.seek(clock)
            for _ in range(300):
                recorded.step()
            assert state(recorded) == wanted
            for k in range(300):
                recorded.back()
                assert recorded.cursor == clock + 299 - k

    def test_any_disorder_leaves_the_end_as_it_was(self, make_teaching, full):
        timeline = make_teaching()
        timeline.run(until_text="$ ")
        timeline.type(b"mem\n")
        timeline.run(60_000)
        wanted, rng = state(timeline), random.Random(5)
        console, events = timeline.console_at(timeline.end), list(timeline.events)
        timeline.breakpoints.add(Breakpoint.event("interrupt"))
        timeline.breakpoints.add(Watchpoint.of_register("esi"))

        def seek():
            timeline.seek(rng.randrange(timeline.end + 1))

        def fork():
            twin = timeline.fork(registers={"eax": rng.getrandbits(32)})
            twin.run(rng.randrange(3000))
            twin.seek(rng.randrange(twin.start, twin.end + 1))

        def torn():
            def stop(_clock):
                raise KeyboardInterrupt

            timeline._history.on_delivered = lambda: stop(0)
            try:
                seek()
            except KeyboardInterrupt:
                pass
            finally:
                timeline._history.on_delivered = None

        deeds = [
            seek,
            seek,
            lambda: timeline.step(min(rng.randrange(4), timeline.end - timeline.cursor)),
            lambda: timeline.back(min(rng.randrange(4), timeline.cursor)),
            lambda: timeline.step_event(direction=rng.choice((1, -1))),
            lambda: timeline.step_event("software interrupt", rng.choice((1, -1))),
            lambda: timeline.run_to(rng.choice((1, -1)), limit=5000),
            lambda: timeline.last_writer(0xC0000000 + rng.randrange(0x100000, 0x140000)),
            lambda: timeline.last_register_writer(rng.choice(("eax", "esp", "edi"))),
            torn,
            fork,
        ]
        for _ in range(400 if full else 70):
            rng.choice(deeds)()
        timeline.seek(timeline.end)
        assert state(timeline) == wanted
        assert timeline.console_at(timeline.end) == console
        assert list(timeline.events) == events

    def test_stepping_events_forward_and_back(self, recorded):
        for kind in (None, EventKind.INTERRUPT, "page fault", "port out"):
            recorded.seek(recorded.start)
            clocks, found = [], []
            while (event := recorded.step_event(kind)) is not None:
                assert recorded.cursor == event.point.instructions
                assert kind is None or event.kind == kind
                clocks.append(recorded.cursor)
                found.append(event)
                if len(clocks) == 60:
                    break
            assert clocks == sorted(set(clocks))
            back = []
            while (event := recorded.step_event(kind, -1)) is not None:
                back.append(recorded.cursor)
            assert [clock for clock in back if clock > recorded.start] == clocks[-2::-1]

    def test_no_event_no_move(self, recorded):
        recorded.seek(1234)
        assert recorded.step_event("exception") is None
        assert recorded.cursor == 1234

    @pytest.mark.guest("linux")
    def test_linux_seek_and_back(self, linux, full):
        linux.seek(linux.end)
        rng, end = random.Random(2), state(linux)
        seen = {}
        for _ in range(80 if full else 12):
            clock = rng.choice([*seen, rng.randrange(linux.end)]) if seen else rng.randrange(linux.end)
            linux.seek(clock)
            assert seen.setdefault(clock, state(linux)) == state(linux)
            n = min(rng.randrange(1, 400), linux.end - clock)
            linux.step(n)
            linux.back(n)
            assert state(linux) == seen[clock]
        linux.seek(linux.end)
        assert state(linux) == end


class TestLooking:
    def test_print_and_repr(self, recorded):
        recorded.seek(1000)
        end = f"{recorded.end:,}".replace(",", " ")
        assert repr(recorded) == f"<Timeline teaching: 0..{recorded.end}, at 1000>"
        assert str(recorded).startswith(f"teaching: instructions 0..{end}, at 1 000; ")
        assert " checkpoints in " in str(recorded)

    def test_reading_has_no_side_effects_and_crosses_pages(self, recorded):
        recorded.seek(recorded.end)
        before = state(recorded)
        text = recorded.read(0xC0100FF0, 0x20)
        assert text == recorded.read(0xC0100FF0, 0x10) + recorded.read(0xC0101000, 0x10)
        assert recorded.read(0x80000000, 4) is None
        assert recorded.read(0xC0100000, 0) == b""
        assert recorded.read_physical(recorded.machine.memory.size, 4) == b"\xff" * 4
        assert state(recorded) == before

    def test_symbols_and_listing(self, recorded):
        recorded.seek(recorded.end)
        lines = recorded.disassemble(before=6, after=6)
        here = [line.address for line in lines].index(recorded._linear_eip)
        assert len(lines) - here == 6
        for line, after in itertools.pairwise(lines):
            assert line.address + len(line.bytes) == after.address
        symbol = recorded.machine.symbols[3]
        assert recorded.symbol(symbol.address).split("+")[0]
        assert recorded.symbol(0) is None

    def test_the_console_grows_with_the_clock(self, recorded):
        whole = recorded.console_at(recorded.end)
        assert b"$ forks 2" in whole
        lengths = [len(recorded.console_at(clock)) for clock in range(0, recorded.end, 997)]
        assert lengths == sorted(lengths)
        outs = [e for e in recorded.events if e.kind is EventKind.PORT_OUT and e.number == 0x3F8]
        for event in outs[-5:]:
            at = event.point.instructions
            assert len(recorded.console_at(at + 1)) == len(recorded.console_at(at)) + 1
            assert recorded.console_at(at + 1)[-1] == event.value & 0xFF
        for clock in (0, 40_000, recorded.end):
            assert whole.startswith(recorded.console_at(clock))


class TestBadInput:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (lambda t: t.seek(-1), "outside this timeline: it goes from 0 to"),
            (lambda t: t.seek(t.end + 1), "outside this timeline"),
            (lambda t: t.console_at(t.end + 1), "outside this timeline"),
            (lambda t: t.step(t.end + 1), "run on to make it longer"),
            (lambda t: t.back(t.end + 1), "nothing before it"),
            (lambda t: t.step(-3), "back(3)"),
            (lambda t: t.back(-3), "step(3)"),
            (lambda t: t.step_event("page  fault"), "give one of interrupt, exception, page fault"),
            (lambda t: t.step_event(direction=2), "give 1 (forward) or -1 (back)"),
            (lambda t: t.run_to(0), "give 1 (forward)"),
            (lambda t: t.run_to(limit=-1), "0 or more"),
            (lambda t: t.run(-5), "0 or more"),
            (lambda t: t.run(until_text=""), "give the text to wait for"),
            (lambda t: t.run(until_text=b"$ "), "give the text to wait for"),
            (lambda t: t.run(1.5), "give a whole number"),
            (lambda t: t.seek(t.end / 2), "timeline.end // 2"),
            (lambda t: t.seek("end"), "give a whole number"),
            (lambda t: t.last_writer("rax"), "give one of eax"),
            (lambda t: t.fork(registers={"eax": "1"}), "give a whole number"),
            (lambda t: t.fork(memory={0xC0000000: "x"}), "give bytes"),
            (lambda t: t.type("ls"), "give bytes"),
            (lambda t: t.last_writer(0x80000000), "address 80000000 is not mapped at instruction"),
            (lambda t: t.last_writer(0xC0000000, 0), "give 1 or more"),
            (lambda t: t.last_register_writer("rax"), "give one of eax"),
            (lambda t: t.read(0, -1), "0 or more"),
            (lambda t: t.read_physical(-1, 4), "neither can be negative"),
            (lambda t: t.breakpoints.add(0x1000), "Breakpoint.at(address)"),
            (lambda t: t.fork(registers={"cr3": 0}), "register 'cr3' cannot be edited"),
            (lambda t: t.fork(memory={0x80000000: b"x"}), "is not mapped: nothing was changed"),
        ],
    )
    def test_says_what_to_do_and_changes_nothing(self, recorded, wrong, says):
        recorded.seek(123_456)
        before = state(recorded), recorded.end, len(recorded.events)
        with pytest.raises(TimelineError) as caught:
            wrong(recorded)
        assert says in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 2
        assert (state(recorded), recorded.end, len(recorded.events)) == before

    def test_a_live_clock_is_refused(self):
        with pytest.raises(TimelineError, match="clock='virtual'"):
            Timeline(Machine(memory=1 << 20, clock="live"))

    def test_a_watched_address_that_is_not_mapped(self, recorded):
        recorded.seek(50_000)
        what = Watchpoint.memory(0x80000000, 4)
        recorded.breakpoints.add(what)
        try:
            with pytest.raises(TimelineError, match="80000000 is not mapped at instruction 50000"):
                recorded.run_to()
        finally:
            recorded.breakpoints.remove(what)
        assert recorded.cursor == 50_000


def test_a_register_can_be_asked_for_where_an_address_can(recorded):
    recorded.seek(123_456)
    assert recorded.last_writer("esp") == recorded.last_register_writer("esp")


def test_addresses_have_32_bits_in_a_walk_as_elsewhere(recorded):
    recorded.seek(recorded.end)
    assert recorded.walk(-4096) == recorded.walk(0xFFFFF000)
    assert recorded.walk((1 << 40) + 0xC0000000) == recorded.walk(0xC0000000)
