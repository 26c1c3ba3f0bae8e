"""Guest time follows the host's with few drawings, on a host that runs and on one that stops."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from labkit.vm.machine.following import Following

MS = 200_000  # ticks
SECOND = 1000 * MS


@dataclass(frozen=True)
class Followed:
    drawings: int
    instructions: int
    late: list[float]
    """How far guest time was off at each look, in milliseconds, the least first."""


def follow(speed: Callable[[int], float], run: tuple[float, float], stop: tuple[float, float]) -> Followed:
    """Two seconds of a host that retires speed(clock) instructions a tick, and runs and stops so many ms by turns."""
    dice = random.Random(5)
    left, clock, host, drawings = dice.uniform(*run) * MS, 0, 0, 0
    following, line, late, had = Following(0, 0, 0), (0, 0, 1 << 16), [], 0

    def guest() -> int:
        return line[1] + ((clock - line[0]) * line[2] >> 16)

    while host < 2 * SECOND:
        count = max(following.about - clock, 1)
        needed = count / speed(clock)
        clock, host, had = clock + count, host + int(needed), had + int(needed)
        left -= needed
        while left < 0:
            host += int(dice.uniform(*stop) * MS)
            left += dice.uniform(*run) * MS
        assert following.due(clock, host)
        late.append(abs(guest() - host) / MS)
        if following.look(clock, host, had, guest()):
            ticks, rate = following.draw(clock, host, had, guest(), line[2])
            assert ticks >= guest()  # time never goes back
            line, drawings = (clock, ticks, rate), drawings + 1
    return Followed(drawings, clock, sorted(late))


def steady(_clock: int) -> float:
    return 0.4


def phases(clock: int) -> float:
    """A loop, a kernel at work, a tight loop, a boot's probing."""
    return (0.4, 0.05, 2.0, 0.2)[clock // 20_000_000 % 4]


ALWAYS = (1e9, 1e9), (0.0, 0.0)
SHARED = (2.0, 4.0), (2.0, 5.0)
STARVED = (2.0, 4.0), (6.0, 12.0)


@pytest.mark.parametrize("speed", [steady, phases])
@pytest.mark.parametrize("host", [SHARED, STARVED])
def test_it_is_drawn_once_for_each_time_the_host_was_away(speed, host):
    found = follow(speed, *host)
    times_away = 2000 / (sum(host[0]) / 2 + sum(host[1]) / 2)
    assert found.drawings < 1.2 * times_away
    assert found.late[len(found.late) // 2] < host[1][1]


@pytest.mark.parametrize("host", [ALWAYS, SHARED, STARVED])
def test_a_computation_has_a_short_log_however_little_the_host_gives(host):
    found = follow(steady, *host)
    bytes_each = 20
    assert 1000 * found.drawings * bytes_each / found.instructions < 0.1


def test_on_a_steady_host_it_is_on_time_and_drawn_only_as_often_as_a_replay_wants_it():
    found = follow(steady, *ALWAYS)
    assert found.drawings <= 2 * SECOND / (50 * MS) + 1
    assert found.late[-3] < 0.1  # but for the first looks, when nothing was known


def test_time_that_is_far_ahead_comes_back_without_being_drawn_at_each_look():
    following, host, drawings = Following(0, 0, 0), 0, 0
    line = (0, 40 * MS, 1 << 16)  # 40 ms ahead
    for clock in range(0, 40_000_000, 80_000):  # at 0.4 instructions a tick: 500 looks
        host = clock * 10 // 4
        guest = line[1] + ((clock - line[0]) * line[2] >> 16)
        if following.look(clock, host, host, guest):
            line = (clock, *following.draw(clock, host, host, guest, line[2]))
            drawings += 1
    assert drawings < 20
    assert abs(guest - host) < MS
