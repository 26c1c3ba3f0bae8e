"""labkit: a virtual machine monitor that you can see through.

    from labkit import Timeline
    timeline = Timeline.boot("linux")
    timeline.run(until_text="/ # ")

Names are loaded when first used, so that `import labkit` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.guests import GuestError, boot, boot_files
    from labkit.vm.machine import ExecutionPoint, Machine, Registers
    from labkit.vm.monitor import Event, EventKind, Monitor, Stop, StopReason
    from labkit.vm.replay import Breakpoint, Timeline, TimelineError, Watchpoint

__version__ = "0.1.0"

__all__ = [
    "Breakpoint", "Event", "EventKind", "ExecutionPoint", "GuestError", "Machine", "Monitor", "Registers", "Stop",
    "StopReason", "Timeline", "TimelineError", "Watchpoint", "boot", "boot_files",
]  # fmt: skip

_HOMES = {
    "labkit.guests": ("GuestError", "boot", "boot_files"),
    "labkit.vm.machine": ("ExecutionPoint", "Machine", "Registers"),
    "labkit.vm.monitor": ("Event", "EventKind", "Monitor", "Stop", "StopReason"),
    "labkit.vm.replay": ("Breakpoint", "Timeline", "TimelineError", "Watchpoint"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
