"""What an exit costs: port accesses from the guest to a Python device and back."""

import gc
import time

from labkit import guests
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor

__all__ = ["measure"]

MEMORY = 16 << 20
GOAL = 200_000
METHOD = "IN and OUT of port 80h (guest `bounce`) through monitor and board / CPU time; median of the rounds"


def measure(rounds: int, say: Progress) -> list[Figure]:
    """Round trips a second."""
    image = guests.boot("bounce", memory=MEMORY)
    rates = []
    for turn in range(rounds):
        say(f"exits: round {turn + 1} of {rounds}")
        gc.collect()  # the machine of the last round
        machine = Machine(memory=MEMORY)
        machine.load(image)
        monitor = Monitor(machine)
        start = time.process_time()
        monitor.run()
        seconds = time.process_time() - start
        rates.append((monitor.exits["port in"] + monitor.exits["port out"]) / seconds)
    return [Figure("exits.port", median(rates), "round trips/s", METHOD, spread(rates), GOAL)]
