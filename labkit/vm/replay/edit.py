"""Edits of a machine that stands still: the beginning of another past."""

from labkit.vm.machine import Machine
from labkit.vm.machine.memory import FRAME_SIZE, ROM
from labkit.vm.machine.paging import translate
from labkit.vm.machine.state import GENERAL
from labkit.vm.replay.errors import TimelineError, whole

__all__ = ["edit"]

EDITABLE_FLAGS = 0x00000CD5 | 0x200  # OF DF IF SF ZF AF PF CF
ALWAYS_SET = 2


def edit(machine: Machine, registers: dict[str, int], memory: dict[int, bytes]) -> str:
    """Change registers and memory (by linear address); what was done, in words. Raises `TimelineError`.

    Of EFLAGS the status flags, DF and IF are taken, the others keep their values.
    """
    done = []
    for name, given in registers.items():
        value = whole(given, name) & 0xFFFFFFFF
        _set_register(machine, name, value)
        done.append(f"{name} = {value:08x}")
    for address, data in memory.items():
        if not isinstance(data, bytes | bytearray):
            raise TimelineError(f"memory {data!r}: give bytes, such as b'\\x90' or value.to_bytes(4, 'little')")
        linear = whole(address, "address") & 0xFFFFFFFF
        _set_memory(machine, linear, data)
        done.append(f"{len(data)} byte{'s'[: len(data) != 1]} at {linear:08x}")
    if memory:
        machine.processor.tlb.forget()  # it may have been a page table: who edits one wants to see it take effect
    return ", ".join(done)


def _set_register(machine: Machine, name: str, value: int) -> None:
    registers = machine.processor.registers
    if name in GENERAL:
        registers.general[GENERAL.index(name)] = value
    elif name == "eip":
        registers.eip = value
    elif name == "eflags":
        kept = int(registers.eflags) & ~EDITABLE_FLAGS
        registers.eflags = kept | value & EDITABLE_FLAGS | ALWAYS_SET
    else:
        raise TimelineError(
            f"register {name!r} cannot be edited: give one of {', '.join(GENERAL)}, eip, eflags"
        )


def _set_memory(machine: Machine, linear: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        at = (linear + done) & 0xFFFFFFFF
        count = min(len(data) - done, FRAME_SIZE - at % FRAME_SIZE)
        physical = translate(machine.processor.registers, machine.memory, at)
        if physical is None:
            raise TimelineError(f"address {at:08x} is not mapped: nothing was changed")
        if physical + count > machine.memory.size or physical in ROM:
            raise TimelineError(f"address {at:08x} leads to {physical:08x}, no RAM: nothing was changed")
        machine.processor.write_physical(physical, data[done : done + count])
        done += count
