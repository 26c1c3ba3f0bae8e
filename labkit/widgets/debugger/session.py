"""A debugging session: commands in, views out. No widget, no browser, no clock of its own.

Whatever goes wrong in a command becomes the view's message; the session goes on.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from labkit.vm.machine.state import GENERAL
from labkit.vm.monitor import EventKind
from labkit.vm.replay import Breakpoint, Timeline, Watchpoint
from labkit.vm.replay.search import Write
from labkit.widgets.debugger.code import linear_eip
from labkit.widgets.debugger.command import Command, CommandError, number_of, parse
from labkit.widgets.debugger.edits import byte_values, register_value
from labkit.widgets.debugger.events import Marks
from labkit.widgets.debugger.histories import Histories
from labkit.widgets.debugger.memory import memory
from labkit.widgets.debugger.model import Answer, View
from labkit.widgets.debugger.places import MASK, address, code_address, looks_like_an_address
from labkit.widgets.debugger.running import Runner
from labkit.widgets.debugger.state import SPEEDS, Access, State
from labkit.widgets.debugger.stops import parse_stop, remove, toggle, watch
from labkit.widgets.debugger.view import look, settle
from labkit.widgets.debugger.words import hex32, parse_number
from labkit.widgets.notation import decimal
from labkit.widgets.progress import busy

__all__ = ["Session"]

NO_CALLER = "the stack holds no return address: nothing can be stepped out of here"


class Session:
    """A timeline, and what its viewer has asked for. `places` are named points of the history."""

    def __init__(self, timeline: Timeline, places: Mapping[str, int] | None = None) -> None:
        if not isinstance(timeline, Timeline):
            raise TypeError(f"{timeline!r} is no timeline: give one, such as Timeline.boot('teaching')")
        self.histories = Histories(timeline)
        self.state = State(places={name: int(place) for name, place in (places or {}).items()})
        self.marks = Marks()
        self.runner = Runner(self)
        self.seq = 0
        self.on_busy: Callable[[str], None] = lambda _: None
        """Told what takes long, in words, while a command is carried out."""
        self._commands: dict[str, Callable[[Command], None]] = {
            "step": self._step, "back": self._back,
            "event": self._event, "previous_event": self._previous_event,
            "run": self._run, "pause": self._pause, "speed": self._speed, "go": self._go, "seek": self._seek,
            "start": self._start, "end": self._end, "breakpoint": self._breakpoint,
            "next_stop": self._next_stop, "previous_stop": self._previous_stop, "memory": self._memory,
            "writer": self._writer, "register_writer": self._register_writer, "type": self._type,
            "stop": self._stop, "unstop": self._unstop, "watch": self._watch, "stop_event": self._stop_event,
            "over": self._over, "back_over": self._back_over, "out": self._out, "back_out": self._back_out,
            "switch": self._switch, "edit": self._edit, "filter": self._filter,
            "screen": self._screen, "look": lambda _: None,
        }  # fmt: skip
        self.follow()

    @property
    def timeline(self) -> Timeline:
        """The history that is shown."""
        return self.histories.shown

    # --- in and out

    def do(self, content: Any) -> None:
        """Carry out one command, whatever it is."""
        self.tell("", "")
        self.seq = max(self.seq, number_of(content))
        try:
            command = parse(content)
            if self.state.running and command.do not in {"run", "pause", "speed", "look", "screen"}:
                self.runner.stop()
            self._commands.get(command.do, _unknown)(command)
        except CommandError as error:
            self.tell(str(error))
        except KeyboardInterrupt:  # of the kernel, in a command that takes long
            self.runner.drop()
            self.tell("interrupted", "note")
        except Exception as error:  # noqa: BLE001 (a viewer must not die of what it looks at)
            self.runner.drop()
            self.tell(" ".join(str(error).split()) or type(error).__name__)

    def view(self) -> View:
        """What there is to see now."""
        self.state = settle(self.timeline, replace(self.state, other=self.histories.words))
        return look(self.timeline, self.state, self.marks)

    def tell(self, message: str, kind: str = "error") -> None:
        """Show a sentence with the next view; an empty one takes it away."""
        self.state = replace(self.state, message=message, message_kind=kind if message else "")

    # --- moving

    def follow(self, leader: "Session | None" = None) -> None:
        """Somebody else has moved the timeline: take over what the leader knows, or find out."""
        if leader is not None and leader.timeline is self.timeline:
            known = leader.state
            self.state = replace(
                self.state, before=known.before, before_clock=known.before_clock,
                done=known.done, accesses=known.accesses, answer=None, asked=None,
            )  # fmt: skip
            return
        self.state = replace(self.state, before=None, done=None, accesses=(), answer=None, asked=None)
        self.arrived()

    def moving(self) -> None:
        """Remember where we are: changes are marked from here on."""
        timeline = self.timeline
        self.state = replace(
            self.state, before=timeline.registers, before_clock=timeline.cursor,
            done=None, accesses=(), answer=None, asked=None,
        )  # fmt: skip

    def arrived(self) -> None:
        """Find out what the instruction before the cursor was and did: one step back, and forward again."""
        timeline = self.timeline
        if timeline.cursor > timeline.start:
            timeline.back(1)
            self._one_step()

    def _one_step(self) -> None:
        timeline = self.timeline
        done = linear_eip(timeline.registers)
        timeline.step(1)
        accesses = tuple(Access(a.linear, a.size, a.write) for a in timeline.accesses[:64])
        self.state = replace(self.state, done=done, accesses=accesses)

    def _step(self, _: Command) -> None:
        self.moving()
        if self.timeline.cursor < self.timeline.end:
            self._one_step()
            return
        stop = self.timeline.run(instructions=1)
        if self.timeline.cursor == self.state.before_clock:
            raise CommandError(f"the guest does not go on: {stop.message}")
        self.arrived()

    def _back(self, _: Command) -> None:
        timeline = self.timeline
        if timeline.cursor <= timeline.start:
            raise CommandError("the history begins here: there is no step back")
        self.moving()
        if timeline.cursor - 2 >= timeline.start:
            timeline.back(2)
            self._one_step()
        else:
            timeline.back(1)

    def goto(self, clock: int) -> None:
        """Seek, and look what was done last. Raises CommandError outside the history."""
        timeline = self.timeline
        if not timeline.start <= clock <= timeline.end:
            raise CommandError(
                f"point {decimal(clock)} is not in this history, "
                f"which goes from {decimal(timeline.start)} to {decimal(timeline.end)}"
            )
        self.moving()
        timeline.seek(max(clock - 1, timeline.start))
        if timeline.cursor < clock:
            self._one_step()

    def _seek(self, command: Command) -> None:
        if command.to is None:
            raise CommandError("go where? a point is missing")
        self.goto(command.to)

    def _start(self, _: Command) -> None:
        self.goto(self.timeline.start)

    def _end(self, _: Command) -> None:
        self.goto(self.timeline.end)

    def _event(self, _: Command) -> None:
        self.step_event(self.state.filter, +1)

    def _previous_event(self, _: Command) -> None:
        self.step_event(self.state.filter, -1)

    def step_event(self, kind: str, direction: int) -> None:
        """To the next or previous event; a note where there is none."""
        self.moving()
        if self.timeline.step_event(kind or None, direction) is None:
            what = kind or "event"
            self.tell(f"there is no {what} {'after' if direction > 0 else 'before'} this point", "note")
            return
        self.arrived()

    def _go(self, command: Command) -> None:
        """To a point, a share of the history, a named place, an event, or the next time at an address."""
        text, timeline = command.text.strip().lower(), self.timeline
        symbol = timeline.address_of(command.text.strip()) is not None
        phases = self.marks.scrubber(timeline, self.state.places).phases
        named = {phase.name.lower(): phase.clock for phase in phases}
        try:
            if text in named:
                self.goto(named[text])
            elif text in self.marks.kinds(timeline.events):
                self.step_event(text, +1)
            elif text in set(EventKind):
                raise CommandError(f"no event of the kind {text!r} has happened in this history")
            elif symbol or looks_like_an_address(text):
                self.runner.begin_to(code_address(timeline, command.text))
            elif text.endswith("%"):
                self.goto(timeline.start + int((timeline.end - timeline.start) * float(text[:-1]) / 100))
            else:
                self.goto(parse_number(text, 10))
        except (ValueError, OverflowError) as error:
            if isinstance(error, CommandError):
                raise
            raise CommandError(
                f"go to {command.text!r}? Write a point (338 214 006), a share (50%), an address (c010 4a1f; "
                "of decimal digits only: 1000h), a symbol, an event (page fault) or a name under the scrubber"
            ) from None

    def _over(self, command: Command) -> None:
        if not self.runner.begin_over():
            self._step(command)

    def _back_over(self, command: Command) -> None:
        if not self.runner.begin_back_over():
            self._back(command)

    def _out(self, _: Command) -> None:
        if not self.runner.begin_out(+1):
            raise CommandError(NO_CALLER)

    def _back_out(self, _: Command) -> None:
        if not self.runner.begin_out(-1):
            raise CommandError(NO_CALLER)

    # --- running

    def _run(self, _: Command) -> None:
        if not self.state.running:
            self.runner.begin()

    def _pause(self, _: Command) -> None:
        if self.state.running:
            self.runner.stop()

    def _speed(self, command: Command) -> None:
        if command.to not in SPEEDS:
            raise CommandError(f"speed {command.to}: there are 1 to {len(SPEEDS)}")
        self.state = replace(self.state, speed=command.to)

    def _next_stop(self, _: Command) -> None:
        self._need_breakpoints()
        self.runner.begin_to_stop(+1)

    def _previous_stop(self, _: Command) -> None:
        self._need_breakpoints()
        self.runner.begin_to_stop(-1)

    def _need_breakpoints(self) -> None:
        if not self.timeline.breakpoints:
            raise CommandError("there is no breakpoint yet: click left of an instruction, or write one after 'stop at'")

    def _breakpoint(self, command: Command) -> None:
        address = linear_eip(self.timeline.registers) if command.to is None else command.to & MASK
        self.timeline.breakpoints.toggle(address)

    def _stop(self, command: Command) -> None:
        if not command.text.strip():
            raise CommandError("stop at what? Write an address, a register, an event, or 'write' and an address")
        what = parse_stop(self.timeline, command.text)
        self.tell(toggle(self.timeline, what), "note")

    def _unstop(self, command: Command) -> None:
        remove(self.timeline, command.text)

    def _watch(self, command: Command) -> None:
        """Stop when the register is written, or the byte; by default what was asked about last."""
        asked = command.name or self.state.asked if command.to is None else command.to & MASK
        if asked is None:
            asked = memory(self.timeline, self.state).selected
        what = Watchpoint.of_register(asked) if isinstance(asked, str) else watch(self.timeline, asked, 1)
        self.tell(toggle(self.timeline, what), "note")

    def _stop_event(self, command: Command) -> None:
        kind = command.name or self.state.filter
        if not kind:
            raise CommandError("stop at which events? Choose a kind first")
        self.tell(toggle(self.timeline, Breakpoint.event(kind)), "note")

    # --- looking

    def _memory(self, command: Command) -> None:
        at = address(self.timeline, command.text) if command.text.strip() else None
        self.state = replace(self.state, memory=at, answer=None, asked=None)
        if at is not None and self.timeline.read(at, 1) is None:
            self.tell(f"{hex32(at)} is not mapped here", "note")

    def _writer(self, command: Command) -> None:
        at = (self.state.window if command.to is None else command.to) & MASK
        self.state = replace(self.state, asked=at)
        write = self.timeline.last_writer(at, 1, busy("the index of writes is made", self.timeline.end, self.on_busy))
        self._answer(hex32(at), write)

    def _register_writer(self, command: Command) -> None:
        name = command.name
        if name not in GENERAL:
            raise CommandError(f"the history of {name!r} is not kept: ask for {', '.join(GENERAL)}")
        self.state = replace(self.state, asked=name)
        self._answer(name, self.timeline.last_register_writer(name))

    def _answer(self, what: str, write: Write | None) -> None:
        if write is None:
            answer = Answer(f"{what} was not written between the start of the history and here")
        else:
            clock = write.point.instructions
            where = self.timeline.symbol(write.eip)
            answer = Answer(f"{what}, last written", clock, decimal(clock), where or hex32(write.eip))
        self.state = replace(self.state, answer=answer)

    def _filter(self, command: Command) -> None:
        if command.name and command.name not in self.marks.kinds(self.timeline.events):
            raise CommandError(f"no event of the kind {command.name!r} has happened")
        self.state = replace(self.state, filter=command.name)

    def _screen(self, _: Command) -> None:
        self.state = replace(self.state, screen=not self.state.screen)

    # --- changing

    def _type(self, command: Command) -> None:
        text = command.text.encode()  # before anything is forked: it may be no text
        if self.timeline.cursor < self.timeline.end:
            self._change_to(self.timeline.fork())
        self.timeline.type(text)
        self.runner.begin_typed()

    def _edit(self, command: Command) -> None:
        registers, bytes_, at = {}, {}, None
        if command.name:
            name, value = register_value(command.name, command.text)
            registers, done = {name: value}, f"{command.name} is {hex32(value)}"
        else:
            at = self.state.window if command.to is None else command.to & MASK
            data = byte_values(command.text)
            bytes_, done = {at: data}, f"{hex32(at)} holds {data.hex(' ')}"
        fork = self.timeline.fork(registers=registers, memory=bytes_)
        self.moving()
        self.state = replace(self.state, asked=at)
        self._change_to(fork, f"{done} from here on")

    def _change_to(self, timeline: Timeline, how: str = "a new history begins, the old one stays as it was") -> None:
        gone = self.histories.forked(timeline)
        self.marks = Marks()
        gc.collect()  # a fork that nobody looks at any more is a whole machine, tied in a circle
        self.tell(f"forked at {decimal(timeline.cursor)}: {how}{gone}", "note")

    def offer(self, fork: Timeline) -> None:
        """Another view of this history has forked it, and shows the fork from now on."""
        self.histories.offered(fork)
        self.tell(
            f"another view has forked this history at {decimal(fork.start)} and went over; "
            "this view stays here, f goes over, too", "note",
        )  # fmt: skip

    def _switch(self, _: Command) -> None:
        if not self.histories.switch():
            raise CommandError("there is one history only: an edit, or typing in the past, makes another one")
        self.marks = Marks()
        self.follow()
        self.tell("", "")


def _unknown(command: Command) -> None:
    raise CommandError(f"there is no command {command.do!r}")
