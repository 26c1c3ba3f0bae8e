"""The one line that every pane shows of an event."""

import pytest

from labkit.vm.machine import ExecutionPoint
from labkit.vm.monitor import Event, EventKind

POINT = ExecutionPoint(1, 0, 0)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Event(POINT, EventKind.PORT_OUT, 0x3F8, 0x41), "3f8h ← 41h 'A'"),
        (Event(POINT, EventKind.PORT_OUT, 0x3F8, 10), "3f8h ← 0ah"),  # AH is a register
        (Event(POINT, EventKind.PORT_IN, 0x3FD, 0x60), "3fdh → 60h"),  # a status is no character
        (Event(POINT, EventKind.PORT_IN, 0xCFC, 0xFFFF), "0cfch → 0ffffh"),
        (Event(POINT, EventKind.DEVICE_READ, 0xFEE00300), "fee00300"),  # no value that nobody knows
        (Event(POINT, EventKind.INTERRUPT, 0xEF), "vector 0efh"),
        (Event(POINT, EventKind.SYSTEM_CALL, 0x80, 4), "INT 80h, eax 4h"),
        (Event(POINT, EventKind.EXCEPTION, 13, 0xA), "#GP general protection error 0ah"),
        (Event(POINT, EventKind.PAGE_FAULT, 14, 6, 0x1000), "write 00001000 by user, not present"),
    ],
)
def test_an_event_in_words(event: Event, told: str):
    assert event.what == told
