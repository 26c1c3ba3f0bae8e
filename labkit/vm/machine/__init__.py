"""The physical computer: processor, memory, board. Knows nothing of virtualization.

Entry object: `Machine`. Read first: `machine.py`, then `processor.py`, then `probes/block.py`.

The names below are imported when they are first used, so that who only loads a boot image compiles no hooks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.vm.machine.boot import BootImage, Placement, StartState, Symbol
    from labkit.vm.machine.checkpoints import Checkpoint
    from labkit.vm.machine.exit import Exit, ExitKind
    from labkit.vm.machine.machine import Machine
    from labkit.vm.machine.state import ExecutionPoint, Registers, Segment

__all__ = [
    "BootImage", "Checkpoint", "ExecutionPoint", "Exit", "ExitKind", "Machine", "Placement", "Registers",
    "Segment", "StartState", "Symbol",
]  # fmt: skip

_HOMES = {
    "boot": ("BootImage", "Placement", "StartState", "Symbol"),
    "checkpoints": ("Checkpoint",),
    "exit": ("Exit", "ExitKind"),
    "machine": ("Machine",),
    "state": ("ExecutionPoint", "Registers", "Segment"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
