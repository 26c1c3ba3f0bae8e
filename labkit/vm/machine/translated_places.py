"""What bytes in the translation cache stand for: operations of the dispatcher, and marks."""

from enum import IntEnum, IntFlag

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import operations

__all__ = ["Operation", "Place"]


class Operation(IntEnum):
    """What an INT3 in the cache stands for; see `probes/dispatch.py`."""

    CALLOUT = operations.CALLOUT
    JUMP = operations.JUMP
    RETURN = operations.RETURN
    GO_REGISTER = operations.GO_REGISTER
    CALL_REGISTER = operations.CALL_REGISTER
    GO_MEMORY = operations.GO_MEMORY
    CALL_MEMORY = operations.CALL_MEMORY
    CLI = operations.CLI
    STI = operations.STI
    POPF = operations.POPF
    PAUSE = operations.PAUSE
    INVLPG = operations.INVLPG
    TO_CR3 = operations.TO_CR3
    FROM_CONTROL = operations.FROM_CONTROL
    SEGMENT_REGISTER = operations.SEGMENT_REGISTER
    SEGMENT_MEMORY = operations.SEGMENT_MEMORY
    POP_SEGMENT = operations.POP_SEGMENT
    IRET = operations.IRET
    SYSEXIT = operations.SYSEXIT
    LEND = operations.LEND
    BACK = operations.BACK
    CLOSE = operations.CLOSE


class Place(IntFlag):
    """What a byte in the cache is."""

    INSIDE = c.TC_INSIDE
    REPEATS = c.TC_REPEATS
    CROSSES = c.TC_CROSSES
    CHECK = c.TC_CHECK
