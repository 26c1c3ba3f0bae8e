"""From the reason why the core stopped to the exit that it is: which access, which exception, at which address."""

from labkit.vm.machine.core import Core
from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.probes import answers
from labkit.vm.machine.probes import cells as c

__all__ = ["exit_for"]

PF = 14
HAS_ERROR = frozenset((8, 10, 11, 12, 13, 14, 17))
SIMPLE = {
    c.Stop.NONE: ExitKind.HALT,
    c.Stop.DEADLINE: ExitKind.DEADLINE,
    c.Stop.PAUSE: ExitKind.PAUSE,
    c.Stop.WINDOW: ExitKind.WINDOW,
    c.Stop.KERNEL: ExitKind.KERNEL,
}
ACCESS = {
    c.Stop.MMIO: ExitKind.MMIO,
    c.Stop.ROM_WRITE: ExitKind.ROM_WRITE,
    c.Stop.NOWHERE: ExitKind.NOWHERE,
    c.Stop.MONITOR: ExitKind.MONITOR,
}


def exit_for(core: Core, stop: int) -> Exit:
    """The exit for a stop; a page fault sets CR2."""
    cells = core.cells
    if stop in SIMPLE:
        return Exit(SIMPLE[c.Stop(stop)])
    if stop == c.Stop.PAGE_FAULT:
        address = core.registers.cr2 = core.fault_address()
        return Exit(ExitKind.EXCEPTION, vector=PF, error=int(cells[c.FAULT_CODE]), address=address)
    if stop == c.Stop.EXCEPTION:
        return _exception(core)
    if stop == c.Stop.REGISTER:  # of a load that came to a callback only the physical address is known
        physical = int(cells[c.FAULT_PHYSICAL])
        return Exit(ExitKind.MMIO, address=physical, physical=physical)
    if stop not in ACCESS:
        return Exit(ExitKind.FAILURE, address=int(cells[c.VECTOR]))
    address = core.fault_address()
    physical = int(cells[c.FAULT_PHYSICAL]) | address & 0xFFF
    write = cells[c.FAULT_ACCESS] == answers.WRITE
    return Exit(ACCESS[c.Stop(stop)], address=address, physical=physical, write=write)


def _exception(core: Core) -> Exit:
    cells = core.cells
    vector, software = int(cells[c.VECTOR]), bool(cells[c.SOFTWARE])
    error = int(cells[c.ERROR]) & 0xFFFF if vector in HAS_ERROR and not software else None
    address = core.registers.cr2 if vector == PF else 0
    return Exit(ExitKind.EXCEPTION, vector=vector, error=error, software=software, address=address)
