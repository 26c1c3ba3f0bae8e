"""Running in a debugger: slices short enough that a pause is always near, at five speeds.

Within the history a run goes along it; one that begins at its end lets the guest go on, and so lengthens it.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.vm.replay import Breakpoint, Timeline
from labkit.widgets.debugger import calls
from labkit.widgets.debugger.calls import Call
from labkit.widgets.debugger.stops import words
from labkit.widgets.debugger.words import hex32
from labkit.widgets.progress import told

if TYPE_CHECKING:
    from labkit.widgets.debugger.session import Session

__all__ = ["BUDGET", "Runner"]

BUDGET = 0.025
"""Seconds that one slice may take."""
SEARCH_BUDGET = 0.3
"""The same, of a search between checkpoints: with a watch all code is translated anew, so its slices are longer."""
LEAST_STRETCHES, MOST_STRETCHES = 4, 64
PACE = {1: 1.0, 2: 0.1, 3: 0.2, 4: 0.05, 5: 0.0}
MILLION_A_SECOND = 50_000
SMALLEST, LARGEST = 1_000, 20_000_000
QUIET = 0.4
LONGEST_ANSWER = 10.0


class Runner:
    """The running half of a session: who owns an event loop calls `tick` while `session.state.running`."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._slice = 100_000
        self._live = False
        self._fast = False
        self._direction = 1
        self._target: tuple[Breakpoint, ...] = ()
        self._name = ""
        self._stretches = 1
        self._told: Callable[[int], None] = _say_nothing
        self._calls: tuple[Call, ...] = ()
        self._unmet = ""
        self._printed = 0
        self._quiet_since: float | None = None
        self._deadline = 0.0

    @property
    def pause(self) -> float:
        """Seconds to wait between two slices."""
        return 0.0 if self._fast else PACE[self._session.state.speed]

    # --- beginning

    def begin(self) -> None:
        """Run at the chosen speed."""
        session = self._session
        session.moving()
        self._live = session.timeline.cursor == session.timeline.end
        self._fast, self._direction, self._calls, self._target = False, 1, (), ()
        self._quiet_since = None
        self._told, self._stretches = _say_nothing, 1
        session.state = replace(session.state, running=True, aim="", progress="")

    def begin_fast(self, direction: int = 1, aim: str = "", target: tuple[Breakpoint, ...] = ()) -> None:
        """Run to the next breakpoint, or to the one before, as fast as it goes; `aim` says where, in words.

        `target` is for this run only. It is no breakpoint of the timeline: other views and forks know nothing of it.
        """
        self.begin()
        timeline = self._session.timeline
        self._session.state = replace(self._session.state, aim=aim)
        self._fast, self._direction = True, direction
        self._live = self._live and direction > 0
        self._target = target
        self._stretches = 1  # what is near is found at once
        far = timeline.end if direction > 0 else timeline.start
        self._told = told(abs(far - timeline.cursor), self._tell_progress)

    def _tell_progress(self, words: str) -> None:
        self._session.state = replace(self._session.state, progress=words)

    def begin_to(self, address: int) -> None:
        """Run to the next time at an address."""
        self._name = self._session.timeline.symbol(address) or hex32(address)
        self.begin_fast(aim=f"to {self._name} (looked for forward only)", target=(Breakpoint.at(address),))

    def begin_to_stop(self, direction: int) -> None:
        """Run to the next stop, or back to the one before."""
        self.begin_fast(direction, "on to a stop" if direction > 0 else "back to a stop")

    def begin_over(self) -> bool:
        """Run until the call that is next has returned; False where no call is next."""
        call = calls.call_next(self._session.timeline)
        return self._begin_calls(call, 1, "over the call", "that call does not return in this history")

    def begin_back_over(self) -> bool:
        """Run back to before the call that has just returned; False where none has."""
        call = calls.call_done(self._session.timeline)
        return self._begin_calls(call, -1, "back over the call", "that call began before the history")

    def begin_out(self, direction: int) -> bool:
        """Run until the function returns to its caller, or back to its call; False where the stack shows none."""
        around = calls.calls_around(self._session.timeline, direction)
        if direction > 0:
            return self._begin_calls(around, 1, "out of the function", "this function does not return in this history")
        return self._begin_calls(around, -1, "back to the call", "the call of this function is not in this history")

    def _begin_calls(self, found: tuple[Call, ...], direction: int, aim: str, unmet: str) -> bool:
        if not found:
            return False
        self.begin_fast(direction, aim, tuple(call.target for call in found))
        self._calls, self._unmet = found, unmet
        return True

    def begin_typed(self) -> None:
        """Let the guest answer what was typed: until it has been quiet for a while."""
        self.begin_fast()
        self._live = True
        timeline = self._session.timeline
        self._printed = len(timeline.console_at(timeline.end))
        self._quiet_since = time.monotonic()
        self._deadline = self._quiet_since + LONGEST_ANSWER

    # --- ending

    def drop(self) -> None:
        """Not running any more, for whatever reason."""
        session = self._session
        session.state = replace(session.state, running=False, progress="")
        self._target, self._calls = (), ()

    def stop(self, message: str = "") -> None:
        """Pause here."""
        self.drop()
        self._session.arrived()
        if message:
            self._session.tell(message, "note")

    # --- one slice

    def tick(self) -> None:
        """One slice of the run. Whatever goes wrong ends the run with a message."""
        session = self._session
        try:
            self._tick()
        except Exception as error:  # noqa: BLE001 (a viewer must not die of what it looks at)
            self.drop()
            session.tell(" ".join(str(error).split()) or type(error).__name__)

    def _tick(self) -> None:
        speed = 5 if self._fast else self._session.state.speed
        if speed <= 2:
            self._advance(1)
        elif speed == 3:
            self._next_event()
        elif speed == 4:
            self._advance(MILLION_A_SECOND)
        else:
            self._flat_out()

    def _flat_out(self) -> None:
        timeline, before = self._session.timeline, time.perf_counter()
        if self._live or not self._stops:
            self._advance(self._slice)
            took = max(time.perf_counter() - before, 1e-4)
            self._slice = int(min(max(self._slice * min(BUDGET / took, 2.0), SMALLEST), LARGEST))
            return
        # A search goes from checkpoint to checkpoint: backward, a part of a stretch costs as much as the whole.
        self._told(abs(timeline.cursor - self._session.state.before_clock))
        self._advance(timeline.stretch(self._direction, self._stretches))
        quick = time.perf_counter() - before < SEARCH_BUDGET
        wanted = self._stretches * 2 if quick else self._stretches // 2
        self._stretches = min(max(wanted, LEAST_STRETCHES), MOST_STRETCHES)

    @property
    def _stops(self) -> bool:
        """Whether there is anything that this run could stop at."""
        return bool(self._session.timeline.breakpoints or self._target)

    def _next_event(self) -> None:
        timeline, session = self._session.timeline, self._session
        if self._live:
            self._advance(MILLION_A_SECOND)
            return
        if self._stops:  # it may stop on the way to the event
            there, kind = timeline.cursor, session.state.filter or None
            event = timeline.step_event(kind, +1)
            far = timeline.end if event is None else timeline.cursor
            timeline.seek(there)
            if not self._hit(timeline, far) and event is None:
                self.stop("no more events in this history")
        elif timeline.step_event(session.state.filter or None, +1) is None:
            self.stop("no more events in this history")

    def _advance(self, count: int) -> None:
        timeline = self._session.timeline
        if self._live:
            self._lengthen(timeline, count)
            return
        far = timeline.end if self._direction > 0 else timeline.start
        limit = timeline.cursor + count * self._direction
        limit = min(limit, far) if self._direction > 0 else max(limit, far)
        if self._hit(timeline, limit) or timeline.cursor != far:
            return
        if self._target or self._direction < 0:
            timeline.seek(self._session.state.before_clock)
            self.stop(self._missed())
            return
        unmet = "no breakpoint was met: " if timeline.breakpoints else ""
        self.stop(f"{unmet}the history ends here; run again, and the guest goes on")

    def _missed(self) -> str:
        """What is said where the run came to nothing; the cursor is back where it began."""
        if self._calls:
            return self._unmet
        if self._target:
            return (
                f"{self._name} is not reached between here and the end of the history; it may lie before: "
                "stop at it, and [ looks back"
            )
        return "no breakpoint was met before this point"

    def _hit(self, timeline: Timeline, limit: int) -> bool:
        """Go to `limit`, or to a breakpoint before it; True where that ends the run."""
        if not self._stops:
            timeline.seek(limit)
            return False
        hit = timeline.run_to(self._direction, abs(limit - timeline.cursor), self._target)
        if hit is None:
            return False
        if any(call.holds(timeline) for call in self._calls):
            self.stop()
            return True
        if self._calls and hit.what not in timeline.breakpoints:
            return False  # the same code, in a deeper call, where nobody else wants to stop
        self.stop(f"stopped {words(hit.what)}")
        return True

    def _lengthen(self, timeline: Timeline, count: int) -> None:
        here = timeline.end
        stop = timeline.run(instructions=count)
        if self._stops:
            end = timeline.end
            timeline.seek(here)
            while not self._hit(timeline, end):
                if timeline.cursor == end:
                    break
            else:
                return
        if str(stop.reason) != "instructions":
            self.stop(str(stop.message))
        elif self._quiet_since is not None:
            self._until_quiet(timeline)

    def _until_quiet(self, timeline: Timeline) -> None:
        now, printed = time.monotonic(), len(timeline.console_at(timeline.end))
        if printed != self._printed:
            self._printed, self._quiet_since = printed, now
        elif now - (self._quiet_since or now) > QUIET or now > self._deadline:
            self.stop()


def _say_nothing(_: int) -> None:
    """A run that is not on its way to anything has nothing left to tell."""
