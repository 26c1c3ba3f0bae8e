"""The hardware-assisted engine: the guest runs at its own privilege level, as under VT-x or AMD-V.

Which of its acts leave the guest is a table (exit_table.py), as the VM-execution controls are on real
hardware.
"""

from labkit.vm.machine.exit import Exit
from labkit.vm.machine.processor import Processor

__all__ = ["HardwareAssist"]


class HardwareAssist:
    """Guest code straight on the processor."""

    name = "hw"

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    def run(self, deadline: int, pause: int) -> Exit:
        """Go on until a deadline or an exit."""
        return self._processor.run(deadline, pause)
