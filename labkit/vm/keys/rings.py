"""The guest `rings` on a protection unit: booted, with its rate of level changes set, and run to its end."""

from pathlib import Path

from labkit import guests
from labkit.vm.keys.engine import KeysEngine
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor

__all__ = ["RINGS", "Rings"]

RINGS = Path(guests.__file__).parent / "rings" / "rings.elf"
MEMORY = 8 << 20
INSTRUCTIONS_A_TURN = 8
SETTINGS = ("rounds", "turns", "work_pages", "kernel_pages", "components")


class Rings:
    """The guest in a machine of its own.

    Settings: `rounds` system calls, each after `turns` loops of about seven instructions over `work_pages` pages
    that belong to `components` keys; its kernel touches `kernel_pages`. Raises `ValueError` for another setting.
    """

    def __init__(self, unit: VirtualUnit, **settings: int) -> None:
        self.unit = unit
        self.machine = Machine(MEMORY, mmu="keys")
        self.machine.load(guests.boot_files(RINGS, memory=MEMORY))
        places = {symbol.name: symbol.address for symbol in self.machine.symbols}
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ValueError(f"{name}: rings has the settings {', '.join(SETTINGS)}")
            self.machine.memory.write(places[name], value.to_bytes(4, "little"))
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
