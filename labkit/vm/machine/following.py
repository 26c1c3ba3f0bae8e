"""How guest time follows the host's: when the line of `GuestClock` is drawn anew, and how steep.

Each drawing is an entry in a recording, so it is done as seldom as the clock's tolerance allows: not every so
many milliseconds, but where the line of the last drawing has led guest time too far from the host's. The line is
as steep as the processor is fast, measured by the time that the host gave this thread. What the host gave to
others is caught up in a jump: one drawing for each time that it was away, so that a computation's log does not
grow on a host that is away often, only as often as it comes back.
"""

from labkit.vm.machine.clock import NS_PER_INSTRUCTION

__all__ = ["BREATH_TICKS", "Following"]

MS_TICKS = 1_000_000 // NS_PER_INSTRUCTION
BREATH_TICKS = 2 * MS_TICKS
"""How often the host's clock is looked at."""
TOLERANCE_TICKS = MS_TICKS
"""How far guest time may be off."""
LONGEST_LINE_TICKS = 50 * MS_TICKS
"""It is drawn at least so often, on time or not: there a replay is compared, and a chunk of a recording may end."""
CLOSING_TICKS = 16 * MS_TICKS
"""Guest time that is ahead runs slower, to be on time again after that long; it never goes back."""
REMEMBERED = 4
"""Looks over which the speed is averaged, about."""
LEAST_BREATH, FIRST_BREATH, LONGEST_BREATH = 1000, 100_000, 2_000_000
LEAST_RATE, MOST_RATE = 1 << 8, 1 << 24


class Following:
    """Watches how far guest time is from the host's. Clocks are instructions; times are ticks of 5 ns.

    `host` is the host's time, `had` how much of it this thread had, from any origin.
    """

    def __init__(self, clock: int, host: int, had: int) -> None:
        self.about = clock + FIRST_BREATH
        """Clock at about which to look again."""
        self._breath = FIRST_BREATH
        self._looked, self._drawn = (clock, host, had), host
        self._ran = self._passed = 0
        self._ahead = self._closing = 0

    def due(self, clock: int, host: int) -> bool:
        """Is it time to look?"""
        return clock >= self.about or host - self._looked[1] >= BREATH_TICKS

    def look(self, clock: int, host: int, had: int, guest: int) -> bool:
        """Take the speed; is guest time so far off that it must be drawn anew?"""
        ran, passed = clock - self._looked[0], had - self._looked[2]
        self._ran += ran - self._ran // REMEMBERED
        self._passed += passed - self._passed // REMEMBERED
        if self._passed > 0:
            self._breath = min(max(BREATH_TICKS * self._ran // self._passed, LEAST_BREATH), LONGEST_BREATH)
        self._looked, self.about = (clock, host, had), clock + self._breath
        since, ahead = host - self._drawn, guest - host
        planned = max(0, self._ahead - since * self._closing // CLOSING_TICKS)
        return not -TOLERANCE_TICKS <= ahead <= planned + TOLERANCE_TICKS or since > LONGEST_LINE_TICKS

    def draw(self, clock: int, host: int, had: int, guest: int, rate: int) -> tuple[int, int]:
        """The line from here on: ticks now, and ticks for 65536 instructions. `rate` is that of the last one."""
        self._looked, self._drawn, self.about = (clock, host, had), host, clock + self._breath
        self._ahead = max(guest - host, 0)
        self._closing = min(self._ahead, CLOSING_TICKS // 2)
        if self._ran > 0 and self._passed > 0:
            rate = (self._passed << 16) // self._ran * (CLOSING_TICKS - self._closing) // CLOSING_TICKS
        return host + self._ahead, min(max(rate, LEAST_RATE), MOST_RATE)
