"""Tracing a deterministic run: gone through once more, every instruction of it comes out in columns.

    this thread                               the consumer's thread
    run -> buffer full -> buffer full -> ...  buffer -> columns -> the consumer

Both go on at once. The run cannot be disturbed by it: clock, registers and memory stay the same.
"""

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress

from labkit.vm.machine.exit import Exit
from labkit.vm.machine.trace import Capture, Tracer, can_be_emptied
from labkit.vm.monitor import EventKind
from labkit.vm.monitor.engine import Engine
from labkit.vm.monitor.events import Row
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_columns import Columns
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_spans import Window

__all__ = ["CHUNK", "full_trace"]

Item = tuple[Capture, list[Row]] | BaseException | None
CHUNK = 1 << 21
"""Instructions in a batch, beginning at a multiple of it."""
WAITING = 2
"""Full buffers that may wait for the consumer."""


class _LeftError(Exception):
    """The consumer wants no more."""


class _Tapped:
    """An engine that gives buffers away between two of the processor's runs."""

    def __init__(self, engine: Engine, tracer: Tracer, producer: "_Producer") -> None:
        self.name = engine.name
        self._engine, self._tracer, self._producer = engine, tracer, producer

    def run(self, deadline: int, pause: int) -> Exit:
        """Run, and give the buffer away when it is full."""
        found = self._engine.run(deadline, pause)
        self._tracer.note_exit(found)
        if self._tracer.full and can_be_emptied(found):
            self._producer.give()
        return found


class _Producer(threading.Thread):
    """Runs the source through the spans of clocks and hands over what was captured."""

    def __init__(
        self, source: Source, tracer: Tracer, parts: Sequence[Window], *, events: bool, turns: bool = False
    ) -> None:
        super().__init__(name="trace", daemon=True)
        self._source, self._tracer, self._parts, self._events = source, tracer, parts, events
        self._left = False
        self._rows: list[Row] = []
        self.items: queue.Queue[Item] = queue.Queue(0 if turns else WAITING)

    def run(self) -> None:
        """The thread."""
        ended: BaseException | None = None
        try:
            self._go()
        except _LeftError:
            return
        except BaseException as error:  # noqa: BLE001  (raised in the consumer's thread)
            ended = error
        self._put(ended)

    def _go(self) -> None:
        for part in self._parts:
            self._source.goto(part.start)
            monitor, tracer = self._source.monitor, self._tracer
            engine, log = monitor.engine, monitor.log
            with tracer.tracing():
                try:
                    for _ in self.stretches(part, engine):
                        pass
                finally:
                    monitor.engine, monitor.log = engine, log

    def stretches(self, part: Window, engine: Engine) -> Iterator[None]:
        """Stop at each multiple of CHUNK, so that batches do not depend on how code is cut into blocks."""
        processor, monitor = self._source.machine.processor, self._source.monitor
        while (clock := processor.clock) < part.end:
            monitor.engine = _Tapped(engine, self._tracer, self)
            monitor.log = self._rows if self._events else None
            goal = min(part.end, (clock // CHUNK + 1) * CHUNK)
            self._source.forward(goal)
            self.give()
            yield
            if processor.clock < goal:  # the run has ended
                return

    def give(self) -> None:
        """Hand over what has been captured so far."""
        rows = [row for row in self._rows if row[3] is not EventKind.STOP]
        self._rows.clear()
        self._put((self._tracer.take(), rows))

    def _put(self, item: Item) -> None:
        while not self._left:
            with suppress(queue.Full):
                return self.items.put(item, timeout=0.2)
        raise _LeftError

    def leave(self) -> None:
        """End soon, and wait for it."""
        self._left = True
        self.join()


def _captured(
    source: Source, tracer: Tracer, parts: Sequence[Window], *, events: bool
) -> Generator[tuple[Capture, list[Row]]]:
    producer = _Producer(source, tracer, parts, events=events)
    producer.start()
    try:
        while (item := producer.items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        producer.leave()


def _in_turns(
    source: Source, tracer: Tracer, part: Window, *, events: bool
) -> Generator[tuple[Capture, list[Row]]]:
    """The same without a second thread: a stretch of the run, then the consumer, and so on."""
    producer = _Producer(source, tracer, [part], events=events, turns=True)
    monitor = source.monitor
    engine, log = monitor.engine, monitor.log
    with tracer.tracing():
        for _ in producer.stretches(part, engine):
            monitor.engine, monitor.log = engine, log
            while not producer.items.empty():
                item = producer.items.get_nowait()
                if isinstance(item, tuple):
                    yield item


def full_trace(
    source: Source, parts: Sequence[Window], *, memory: bool = True, values: bool = True, branches: bool = False,
    turns: bool = False, events: bool = True, code: bool = False, **more: bool,
) -> Iterator[Batch]:  # fmt: skip
    """Every instruction of some stretches of a run, in batches; of `branches` alone if so wanted.

    `turns`: on one core, run and consumer by turns. Without `events` the monitor keeps no log of them, and answers
    what a guest polls without Python. `more` goes to `Tracer`.
    """
    made: Columns | None = None
    for part in parts:
        source.goto(part.start)
        tracer = Tracer(source.machine.processor, memory=memory, values=values, **more)
        made = made or Columns(branches=branches, code=code)
        if turns:
            captures = _in_turns(source, tracer, part, events=events)
        else:
            captures = _captured(source, tracer, [part], events=events)
        with closing(captures) as captured:
            for capture, rows in captured:
                yield made.batch(capture, rows)
