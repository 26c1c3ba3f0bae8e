"""The access log: which loads and stores came to a range of physical memory, whoever let them pass."""

from labkit.vm.machine.probes import access_log
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.emulator import Hook
from labkit.vm.machine.processor import Processor

__all__ = ["AccessLog"]


class AccessLog:
    """Counts the accesses to physical `watched`, and apart from them those to `own`; from now on."""

    def __init__(self, processor: Processor, watched: range, own: range) -> None:
        self._cells = processor.cells
        for kind, function in ((Hook.LOADED, access_log.loaded), (Hook.STORE, access_log.stored)):
            processor.add_hook(kind, function, watched.start, watched.stop - 1)
            processor.add_hook(kind, access_log.own, own.start, own.stop - 1)
        processor.flush_code()

    @property
    def loads(self) -> int:
        """Loads that were made."""
        return int(self._cells[c.ACCESS_READS])

    @property
    def stores(self) -> int:
        """Stores that were made."""
        return int(self._cells[c.ACCESS_WRITES])

    @property
    def own(self) -> int:
        """Loads and stores in `own`."""
        return int(self._cells[c.ACCESS_OWN])

    @property
    def last(self) -> int:
        """Physical address of the last access to `watched`."""
        return int(self._cells[c.ACCESS_LAST])

    def __str__(self) -> str:
        return f"{self.loads} loads, {self.stores} stores"
