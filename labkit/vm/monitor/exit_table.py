"""Which events exit from the guest under hardware assistance, and what an exit costs.

Costs are modelled cycles, never measured time. Round trips of VM exit and entry by processor generation:
Agesen, Mattson, Rugina, Sheldon, "Software Techniques for Avoiding Hardware Virtualization Exits", USENIX ATC
2012.
"""

from dataclasses import dataclass

__all__ = ["EXITS", "ROUND_TRIP", "ExitRule", "modelled_cycles", "table"]

ROUND_TRIP = {
    "Prescott": 3963,
    "Merom": 1579,
    "Penryn": 1266,
    "Nehalem": 1009,
    "Westmere": 761,
    "Sandy Bridge": 784,
}
SOURCE = "VM exit and entry round trip in cycles, USENIX ATC 2012"


@dataclass(frozen=True, slots=True)
class ExitRule:
    """One row: an event, whether it leaves the guest, and why."""

    event: str
    exits: bool
    why: str


EXITS = (
    ExitRule("port in", True, "devices are the monitor's"),
    ExitRule("port out", True, "devices are the monitor's"),
    ExitRule("mmio", True, "registers of the local APIC and the I/O APIC are the monitor's"),
    ExitRule("cpuid", True, "the described processor is not the host's"),
    ExitRule("hlt", True, "an idle guest gives the host its processor back; idle time is skipped"),
    ExitRule("interrupt window", True, "an interrupt waits until the guest can take it"),
    ExitRule("interrupt", True, "delivered by the monitor through the guest's IDT"),
    ExitRule("exception", True, "Unicorn delivers nothing itself; on VT-x an exception bitmap decides"),
    ExitRule("page fault", True, "as exception; compiled code walks the guest's page tables without an exit"),
    ExitRule("software interrupt", True, "as exception; on VT-x INT n does not exit"),
    ExitRule("rom write", True, "noted once for each page, then dropped"),
    ExitRule("sensitive", True, "IN, OUT, RDTSC or SYSENTER that must be checked first"),
    ExitRule("timer", True, "a device of the board is due"),
    ExitRule("mmio, steady", False, "loads of registers that only the guest changes; as a virtual-APIC page"),
    ExitRule("rdtsc", False, "answered by compiled code from the instruction clock"),
    ExitRule("sysenter", False, "done by compiled code"),
    ExitRule("control registers", False, "the guest's own; the page walk reads them"),
    ExitRule("descriptor tables", False, "the guest's own, loaded by the processor"),
    ExitRule("tlb fill", False, "compiled page walk"),
)


def modelled_cycles(exits: dict[str, int], generation: str = "Sandy Bridge") -> int:
    """Cycles that these exits would cost: count x round trip. Raises `KeyError` for an unknown generation."""
    return sum(exits.values()) * ROUND_TRIP[generation]


def table(exits: dict[str, int] | None = None) -> str:
    """The table as text, with counts where given."""
    counts = exits or {}
    rows = [f"{'event':<20} {'exits':<6} {'count':>12}  why"]
    for rule in EXITS:
        exits_too = "yes" if rule.exits else "no"
        rows.append(f"{rule.event:<20} {exits_too:<6} {counts.get(rule.event, 0):>12}  {rule.why}")
    return "\n".join(rows)
