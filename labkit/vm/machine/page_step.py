"""One instruction with another page in the place of a physical one: how any access to device registers is done."""

import numpy as np

from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.processor import Processor

__all__ = ["step_with_page"]


def step_with_page(processor: Processor, physical: int, page: bytes) -> tuple[Exit | None, bytes | None]:
    """Run one instruction while the frame at `physical` reads and writes `page`.

    The exit that it came to, None for none; and the page afterwards, None if it was not stored to.
    """
    alias, cells = processor.core.above[c.ALIAS_PAGE - c.ABOVE :], processor.cells
    alias[:FRAME_SIZE] = np.frombuffer(page, np.uint8)
    cells[c.ALIAS_FRAME], cells[c.ALIAS_TARGET] = physical // FRAME_SIZE + 1, c.ALIAS_PAGE
    pin = processor.interrupt_pin
    processor.set_interrupt_pin(False)
    cells[c.ALLOW], cells[c.ALIAS_WRITTEN] = c.ALLOW_ALL, 0
    try:
        found = processor.run(cells[c.CLOCK] + 1)
    finally:
        cells[c.ALIAS_FRAME], cells[c.ALLOW] = 0, c.ALLOW_NONE
        processor.set_interrupt_pin(pin)
        processor.flush_tlb()
    after = alias[:FRAME_SIZE].tobytes() if cells[c.ALIAS_WRITTEN] else None
    return (None if found.kind is ExitKind.DEADLINE else found), after
