"""The monitor (VMM): the run loop, events and exits, delivery into the guest.

Entry object: `Monitor`. Read first: `monitor.py`, `exit_table.py`, `delivery.py`.
"""

from labkit.vm.monitor.events import Event, EventKind
from labkit.vm.monitor.monitor import Monitor
from labkit.vm.monitor.stop import Stop, StopReason

__all__ = ["Event", "EventKind", "Monitor", "Stop", "StopReason"]
