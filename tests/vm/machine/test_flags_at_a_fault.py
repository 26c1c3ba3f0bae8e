"""Flags at a fault of an instruction that has a hook are those before it: Unicorn computes them of the wrong codes."""

import pytest

from labkit.vm.machine.exit import ExitKind
from labkit.vm.machine.memory import Memory
from labkit.vm.machine.probes import traps
from labkit.vm.machine.probes.emulator import Hook
from labkit.vm.machine.processor import Processor

CODE, DIRECTORY, TABLE = 0x100000, 0x2000, 0x3000
FAULTS = {"load": "8b0d00000050", "store": "890d00000050", "divide": "31c9 f7f1", "string": "bf00000050 aa"}
BEFORE = {"add": "01d8", "adc": "f9 11d8", "sub": "29d8", "neg": "f7d8", "inc": "40", "shl": "c1e004", "test": "85c0",
          "add to memory": "f00106"}  # fmt: skip


def flags(before: str, fault: str, kind: str) -> int:
    """EFLAGS at the page fault or the division by zero behind an instruction that sets flags."""
    processor = Processor(Memory(4 << 20), segmentation=kind == "unit")
    registers = processor.registers
    registers.set_flat(8, 16)
    processor.write_physical(DIRECTORY, (TABLE | 7).to_bytes(4, "little"))
    processor.write_physical(TABLE, b"".join((page << 12 | 7).to_bytes(4, "little") for page in range(1024)))
    processor.write_physical(CODE, bytes.fromhex(before + fault))
    registers.cr3, registers.cr0, registers.eip = DIRECTORY, 0x80010001, CODE
    registers.general[0], registers.general[3], registers.general[6] = 0x80000010, 0x80000003, 0x200000
    if kind == "hook":
        at = CODE + len(bytes.fromhex(before + "".join(fault.split()[:-1])))  # of the one that faults
        processor.add_hook(Hook.CODE, traps.flags_hook, at, at)
    if kind == "unit":  # DS allows all of these, but its limit has to be looked at
        registers.segments[3].limit = registers.segments[0].limit = 0xEFFFFFFF
    found = processor.run(1000)
    assert found.kind is ExitKind.EXCEPTION
    seen = int(registers.eflags)
    processor.close()
    return seen


@pytest.mark.parametrize("kind", ["hook", "unit"])
@pytest.mark.parametrize("fault", FAULTS)
def test_flags_are_those_before_the_fault(kind, fault):
    for name, before in BEFORE.items():
        assert flags(before, FAULTS[fault], kind) == flags(before, FAULTS[fault], ""), name
