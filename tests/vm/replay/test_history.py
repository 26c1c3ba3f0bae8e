"""Histories: made in any way, with input, ends, torn runs and little memory, they replay as they were."""

import itertools
import random

import pytest

from labkit.vm.machine.clock import TSC_HZ
from labkit.vm.monitor import StopReason
from labkit.vm.replay import Timeline


def state(timeline: Timeline) -> tuple[str, str]:
    return timeline.machine.registers_sha256(), timeline.machine.ram_sha256()


def everywhere_the_same(timeline: Timeline, seed: int, count: int) -> None:
    """Each clock is one state, however it is reached."""
    rng = random.Random(seed)
    seen: dict[int, tuple[str, str]] = {}
    clocks = [timeline.start, timeline.end, *(given.clock for given in timeline._history.inputs)]
    clocks += [point.clock for point in timeline.machine.checkpoints.list[:6]]
    clocks += [rng.randrange(timeline.start, timeline.end + 1) for _ in range(count)]
    for clock in [*clocks, *rng.sample(clocks, len(clocks)), *clocks[::-1]]:
        timeline.seek(clock)
        assert seen.setdefault(clock, state(timeline)) == state(timeline), clock


class TestInput:
    def test_run_type_run(self, make_teaching, plain_run):
        timeline, rng = make_teaching(), random.Random(3)
        timeline.run(until_text="$ ")
        for _ in range(12):
            timeline.type(rng.choice((b"help\n", b"ps\n", b"echo hi\n", b"x", b"\x08")))
            timeline.run(rng.choice((1, 2, 700, 19_999, 20_000, 20_001)))
        wanted = plain_run(timeline, [timeline.end])[timeline.end]
        timeline.seek(timeline.end)
        assert state(timeline) == wanted
        everywhere_the_same(timeline, 4, 12)

    def test_checkpoints_at_the_clock_of_an_input(self, make_teaching):
        timeline = make_teaching()
        timeline.run(40_000)
        assert timeline.machine.checkpoints.list[-1].clock == timeline.end == 40_000
        timeline.type(b"uptime\n")
        typed = state(timeline)
        timeline.type(b"ps\n")
        typed_twice = state(timeline)
        assert typed == typed_twice  # it waits in the serial port
        timeline.run(70_000)
        wanted, console = state(timeline), timeline.console_at(timeline.end)
        timeline.seek(0)
        timeline.seek(timeline.end)
        assert state(timeline) == wanted
        assert b"uptime" in console
        timeline.seek(40_000)  # restored, not run
        timeline._history.forward(timeline.end)
        assert state(timeline) == wanted

    def test_input_exactly_where_a_bookmark_is(self, make_teaching):
        timeline = make_teaching(1_000_000)
        timeline.run(100_000)
        timeline.type(b"a")
        timeline.run(100_000)
        wanted = state(timeline)
        timeline.seek(120_000)  # leaves a bookmark at 100 000
        assert timeline._history._near.bookmark.clock == 100_000
        timeline.seek(100_010)
        timeline.seek(99_000)
        timeline.seek(100_001)
        timeline.seek(timeline.end)
        assert state(timeline) == wanted

    def test_input_while_the_guest_waits_for_ever(self, bare, timeline_of, monkeypatch):
        monkeypatch.setattr("labkit.vm.monitor.monitor.LONGEST_IDLE", 10 * TSC_HZ)
        # sti; hlt; and a serial interrupt that never comes: idle, then typed at, still idle
        bare.put(0x10000, b"\xb0\xff\xe6\x21\xfb\xf4\xeb\xfd")  # mov al,FFh; out 21h,al; sti; hlt; jmp hlt
        timeline = timeline_of(bare.machine)
        stop = timeline.run()
        assert stop.reason is StopReason.IDLE
        assert timeline.run() == stop
        wanted = state(timeline)
        timeline.type(b"x")
        assert timeline.run().reason is StopReason.IDLE
        timeline.seek(0)
        timeline.seek(timeline.end)
        assert timeline.registers.eip == 0x10006
        assert state(timeline)[1] == wanted[1]


class TestEnds:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (b"\x90\xfa\xf4", StopReason.HALTED),
            (b"\x90\x90\xea\x00\x00\x00\x70\x08\x00", StopReason.NOWHERE),  # jmp far 8:70000000
            (b"\x90\x0f\x01\x1d\x00\x05\x00\x00\x90\x0f\x0b", StopReason.SHUTDOWN),  # lidt [500h]; ud2
        ],
    )
    def test_the_end_is_a_place_like_any_other(self, bare, timeline_of, code, reason):
        bare.put(0x10000, code)
        if reason is StopReason.SHUTDOWN:
            bare.put(0x500, bytes(6))
        timeline = timeline_of(bare.machine)
        stop = timeline.run()
        assert stop.reason is reason
        wanted = state(timeline)
        for clock in (0, 1, timeline.end, 0, timeline.end):
            timeline.seek(clock)
        assert state(timeline) == wanted
        assert timeline.run().reason is reason
        assert timeline.run(10).reason is reason
        assert state(timeline) == wanted
        timeline.back()
        timeline.step()
        assert state(timeline) == wanted
        assert timeline.events[len(timeline.events) - 1].kind == "stop"

    def test_a_fork_of_an_end_ends_too(self, bare, timeline_of):
        bare.put(0x10000, b"\x90\xfa\xf4")
        timeline = timeline_of(bare.machine)
        timeline.run()
        twin = timeline.fork()
        assert twin.run().reason is StopReason.HALTED


class TestMaking:
    def test_many_short_runs_are_one_long_run(self, make_teaching):
        long, short, rng = make_teaching(), make_teaching(), random.Random(8)
        long.run(90_000)
        while short.end < 90_000:
            short.run(min(rng.choice((0, 1, 2, 3, 777, 5000)), 90_000 - short.end))
        assert state(short) == state(long)
        assert list(short.events) == list(long.events)
        assert short.console_at(90_000) == long.console_at(90_000)
        one, other = short.machine.checkpoints.list, long.machine.checkpoints.list
        assert [point.clock for point in one] == [point.clock for point in other]

    def test_events_are_in_order_and_pauses_are_none(self, recorded):
        clocks = [event.point.instructions for event in recorded.events]
        assert clocks == sorted(clocks)
        assert "stop" not in recorded.events.kinds()

    def test_a_text_split_over_writes(self, make_teaching):
        timeline = make_teaching()
        stop = timeline.run(until_text="user mode\r\n$ ")
        assert stop.reason is StopReason.REQUESTED
        assert timeline.console_at(timeline.end).endswith(b"user mode\r\n$ ")
        timeline.type(b"echo abc\n")
        timeline.run(until_text="\nabc")
        assert timeline.console_at(timeline.end).rstrip().endswith(b"abc")

    def test_a_text_seen_too_late_stops_no_later_run(self, make_teaching):
        timeline = make_teaching()
        timeline.run(until_text="$ ")
        end = timeline.end
        again = make_teaching()
        again.run(end - 100, until_text="$ ")  # seen, but the count is over before the run could stop
        assert again.run(1000).reason is StopReason.INSTRUCTIONS

    def test_progress(self, make_teaching):
        told: list[int] = []
        make_teaching().run(100_000, on_progress=told.append)
        assert told == [20_000, 40_000, 60_000, 80_000, 100_000]

    def test_a_run_torn_off_ends_at_the_last_checkpoint(self, make_teaching):
        whole, timeline = make_teaching(), make_teaching()
        whole.run(120_000)

        def tear(clock: int) -> None:
            if clock >= 60_000:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            timeline.run(120_000, on_progress=tear)
        assert timeline.end == timeline.cursor == 60_000
        write = timeline.machine.board.serial.write
        calls = itertools.count()

        def broken(port: int, size: int, value: int) -> None:
            if next(calls) == 40:
                raise KeyboardInterrupt
            write(port, size, value)

        timeline.type(b"help\n")
        before = len(timeline.events)
        timeline.machine.processor.write_port, kept = broken, timeline.machine.processor.write_port
        with pytest.raises(KeyboardInterrupt):
            timeline.run(200_000)
        timeline.machine.processor.write_port = kept
        assert len(timeline.events) >= before - 1
        everywhere_the_same(timeline, 2, 6)
        assert all(event.point.instructions <= timeline.end for event in timeline.events)

    def test_little_memory_keeps_every_place(self, make_teaching, plain_run):
        rich, poor = make_teaching(5_000), make_teaching(5_000, budget=700 << 10)
        for timeline in (rich, poor):
            timeline.run(until_text="$ ")
            timeline.type(b"forks 3\n")
            timeline.run(400_000)
        assert rich.end == poor.end
        assert len(poor.machine.checkpoints) < len(rich.machine.checkpoints) // 2
        assert poor.machine.checkpoints.bytes <= max(700 << 10, 4 * rich.machine.checkpoints.bytes)
        assert poor.machine.checkpoints.list[0].clock == 0
        rng = random.Random(6)
        clocks = sorted(rng.randrange(rich.end + 1) for _ in range(25))
        wanted = plain_run(rich, clocks)
        for clock in rng.sample(clocks, len(clocks)):
            for timeline in (rich, poor):
                timeline.seek(clock)
                assert state(timeline) == wanted[clock]
        for timeline in (rich, poor):
            timeline.seek(timeline.end)
        esp = rich.registers.esp & ~3
        assert rich.last_writer(esp, 4) == poor.last_writer(esp, 4)
        poor.index_writes()
        assert rich.last_writer(esp, 4) == poor.last_writer(esp, 4)


def test_a_guest_that_lives_on_a_stale_translation(bare, timeline_of):
    table, page = 0x21000, 0x300000
    bare.put(0x20000, (table | 3).to_bytes(4, "little"))
    bare.put(table, b"".join((k << 12 | 3).to_bytes(4, "little") for k in range(1024)))
    bare.put(page, (1).to_bytes(4, "little"))
    bare.put(page + 0x1000, (100).to_bytes(4, "little"))
    # paging on; mov edx,[page]; page's entry = page + 1000h, no INVLPG; then add eax,[page] for ever
    code = bytes.fromhex("b800000200 0f22d8 0f20c0 0d00000080 0f22c0 31c0 8b1500003000")
    entry = (table + 4 * (page >> 12)).to_bytes(4, "little") + (page + 0x1003).to_bytes(4, "little")
    bare.put(0x10000, code + b"\xc7\x05" + entry + bytes.fromhex("030500003000 ebf8"))
    timeline = timeline_of(bare.machine, epoch=100_000)
    timeline.run(900)
    wanted = state(timeline)
    timeline.seek(400)
    timeline.last_writer(0x500)
    timeline.step(500)
    assert state(timeline) == wanted
