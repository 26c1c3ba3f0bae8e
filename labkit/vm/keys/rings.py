"""The guest `rings` on a protection unit: booted, with its rate of level changes set, and run to its end."""

from pathlib import Path

from labkit import guests
from labkit.guests.catalog import RINGS_SETTINGS
from labkit.vm.keys.engine import KeysEngine
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor

__all__ = ["RINGS", "Rings", "machine_with_rings"]

RINGS = Path(guests.__file__).parent / "rings" / "rings.elf"
MEMORY = 8 << 20


def machine_with_rings(**settings: int) -> Machine:
    """A machine with the guest, before its first instruction: for a `Timeline`, which wants an engine besides.

    Settings: `rounds` system calls, each after `turns` loops of about seven instructions over `work_pages` pages
    that belong to `components` keys, for which the unit needs eight registers more than that; its kernel touches
    `kernel_pages`. With `skip_trials=1` it begins with the calls. Raises `ValueError` for another setting.
    """
    if unknown := settings.keys() - set(RINGS_SETTINGS):
        raise ValueError(f"{min(unknown)}: rings has the settings {', '.join(RINGS_SETTINGS)}")
    machine = Machine(MEMORY, mmu="keys")
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    machine.load(guests.boot("rings", memory=MEMORY, append=words))
    return machine


class Rings:
    """The guest in a machine of its own, on a unit; see `machine_with_rings` for settings and errors."""

    def __init__(self, unit: VirtualUnit, **settings: int) -> None:
        self.unit = unit
        self.machine = machine_with_rings(**settings)
        self.engine = KeysEngine(self.machine, unit)
        self.monitor = Monitor(self.machine, self.engine)

    def run(self, instructions: int = 500_000_000) -> str:
        """Run it to its end; what it has printed."""
        self.monitor.run(instructions)
        return self.text

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.machine.board.serial.output.decode("ascii", "replace")
