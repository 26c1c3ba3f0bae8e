"""The physical computer: processor, memory, board. Knows nothing of virtualization.

Entry object: `Machine`. Read first: `machine.py`, then `processor.py`, then `probes/block.py`.
"""

from labkit.vm.machine.boot import BootImage, Placement, StartState, Symbol
from labkit.vm.machine.checkpoints import Checkpoint
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.machine import Machine
from labkit.vm.machine.state import ExecutionPoint, Registers, Segment

__all__ = ["BootImage", "Checkpoint", "ExecutionPoint", "Exit", "ExitKind", "Machine", "Placement", "Registers", "Segment", "StartState", "Symbol"]
