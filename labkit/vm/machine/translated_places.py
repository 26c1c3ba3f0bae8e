"""What bytes in the translation cache stand for: operations of the dispatcher, and marks."""

from enum import IntEnum, IntFlag

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import dispatch

__all__ = ["Operation", "Place"]


class Operation(IntEnum):
    """What an INT3 in the cache stands for; see `probes/dispatch.py`."""

    CALLOUT = dispatch.CALLOUT
    JUMP = dispatch.JUMP
    RETURN = dispatch.RETURN
    GO_REGISTER = dispatch.GO_REGISTER
    CALL_REGISTER = dispatch.CALL_REGISTER
    GO_MEMORY = dispatch.GO_MEMORY
    CALL_MEMORY = dispatch.CALL_MEMORY
    CLI = dispatch.CLI
    STI = dispatch.STI
    POPF = dispatch.POPF
    PAUSE = dispatch.PAUSE
    INVLPG = dispatch.INVLPG
    TO_CR3 = dispatch.TO_CR3
    FROM_CONTROL = dispatch.FROM_CONTROL
    SEGMENT_REGISTER = dispatch.SEGMENT_REGISTER
    SEGMENT_MEMORY = dispatch.SEGMENT_MEMORY
    POP_SEGMENT = dispatch.POP_SEGMENT
    IRET = dispatch.IRET
    SYSEXIT = dispatch.SYSEXIT
    LEND = dispatch.LEND
    BACK = dispatch.BACK
    CLOSE = dispatch.CLOSE


class Place(IntFlag):
    """What a byte in the cache is."""

    INSIDE = c.TC_INSIDE
    REPEATS = c.TC_REPEATS
    CROSSES = c.TC_CROSSES
    CHECK = c.TC_CHECK
