"""Device registers whose values the processor holds: loads from them are no exits (probes/steady.py)."""

import numpy as np

from labkit.vm.machine.core import Core
from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.leaving import find_leaving
from labkit.vm.machine.probes.steady import ENTRIES, HELD, steady_read

__all__ = ["HeldRegisters"]


class HeldRegisters:
    """Values of registers of one device's page. Without help from Unicorn nothing is held."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._values = np.zeros(ENTRIES, np.uint64)
        self._tried = False

    def hold(self, physical: int, value: int) -> None:
        """Answer loads from this register with `value`, until `forget`; the first one decides on the page."""
        page, cells = physical & ~(FRAME_SIZE - 1), self._core.cells
        if not self._tried:
            self._tried = True
            self._begin(page)
        if cells[c.STEADY_PAGE] == page + 1:
            self._values[(physical - page) >> 4] = HELD | value

    def forget(self) -> None:
        """Loads from all device registers are exits again."""
        self._values[:] = 0

    def _begin(self, page: int) -> None:
        core = self._core
        found = find_leaving() if core.mmu != "unicorn" else None
        if found is None:
            return
        a, emulator = core.array, core.emulator
        a[c.STEADY], a[c.CPU] = self._values.ctypes.data, emulator.layout.processor
        a[c.RETURN_PLACE] = emulator.layout.processor + found.offset
        a[c.RESTORE_FUNCTION], a[c.LEAVE_FUNCTION] = found.restore, found.leave
        emulator.map_callbacks(c.REGISTER_PAGE, FRAME_SIZE, steady_read, None, a.ctypes.data)
        a[c.STEADY_PAGE] = page + 1
