"""Descriptor tables, task-state segments and ring 0 stacks, by linear address, as delivery reaches them."""

from labkit.vm.machine.probes import access
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.processor import Processor
from labkit.vm.monitor.faults import DeliveryFault

__all__ = ["SystemMemory"]

PAGE_FAULT = 14
CODE_STATES = 3
ACCESSED = 0x100  # in the second word of a code or data descriptor


class SystemMemory:
    """Supervisor accesses through the guest's paging. Raises `DeliveryFault` 14 where a page forbids them."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._cells = processor.cells
        self.stored: list[tuple[int, int]] = []
        """Linear address and size of each `write`, in order; who reads it clears it."""

    def read(self, linear: int, size: int) -> int:
        """Little-endian value of 1, 2 or 4 bytes."""
        value = int(access.read_linear(self._cells, linear & 0xFFFFFFFF, size))
        self._drop_walked()
        if value & access.FAULT:
            raise self._fault(value)
        return value

    def write(self, linear: int, size: int, value: int) -> None:
        """Store 1, 2 or 4 bytes; translated code under them is dropped."""
        result = int(access.write_linear(self._cells, linear & 0xFFFFFFFF, size, value))
        self._drop_walked()
        if result & access.FAULT:
            raise self._fault(result)
        self.stored.append((linear & 0xFFFFFFFF, size))
        self._drop_code(linear)
        if linear & 0xFFF > 0x1000 - size:
            self._drop_code(linear + size - 1)

    def _drop_code(self, linear: int) -> None:
        physical = int(access.frame_for_write(self._cells, linear & 0xFFFFFFFF))
        frame = physical >> 12
        memory = self._processor.memory
        if frame < memory.frames and memory.state[frame] & CODE_STATES:
            self._processor.changed(range(frame, frame + 1))

    def _drop_walked(self) -> None:
        """Accessed and dirty bits may have been set in a frame that holds code as well."""
        walked = int(self._cells[c.WALKED_CODE])
        if walked:
            self._cells[c.WALKED_CODE] = 0
            self._processor.changed(range(walked - 1, walked))

    def probe_write(self, linear: int, size: int) -> None:
        """Check that `size` bytes can be written, before the first of them is."""
        for address in (linear & 0xFFFFFFFF, (linear + size - 1) & 0xFFFFFFFF):
            result = int(access.frame_for_write(self._cells, address))
            if result & access.FAULT:
                raise self._fault(result)

    def mark_accessed(self, selector: int, high: int) -> None:
        """Set the accessed bit of a code or data descriptor that is being loaded (SDM 3A, 3.4.5.1)."""
        if not high & ACCESSED:
            segments = self._processor.registers.segments
            table = segments[6] if selector & 4 else segments[8]
            self.write(int(table.base) + (selector & 0xFFF8) + 4, 4, high | ACCESSED)

    def descriptor(self, selector: int, table_fault: int, external: int) -> tuple[int, int]:
        """The two words of a descriptor; raises `table_fault` where the selector lies outside its table."""
        segments = self._processor.registers.segments
        table = segments[6] if selector & 4 else segments[8]
        offset = selector & 0xFFF8
        if offset + 7 > table.limit or (selector & 4 and not table.selector & 0xFFFC):
            raise DeliveryFault(table_fault, (selector & 0xFFFC) | external)
        return self.read(table.base + offset, 4), self.read(table.base + offset + 4, 4)

    def _fault(self, packed: int) -> DeliveryFault:
        return DeliveryFault(PAGE_FAULT, packed & 0x1F, packed >> 8 & 0xFFFFFFFF)
