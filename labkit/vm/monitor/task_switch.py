"""Task switch through a task gate in the IDT: how a double fault gets a stack that is known to be good.

    TSS  00 link   04 esp0 08 ss0 ... 1C cr3  20 eip  24 eflags  28 eax ecx edx ebx esp ebp esi edi
         48 es cs ss ds fs gs  60 ldt  64 trap | 66 I/O bitmap

Switches by far JMP, CALL and IRET are the processor's own. Only 32-bit task-state segments are handled.
Source: Intel SDM volume 3A, 7.3.
"""

from labkit.vm.machine.processor import Processor
from labkit.vm.machine.registers import CS, DS, ES, FS, GS, LDT, SS, TR, RegisterFile
from labkit.vm.monitor.faults import DeliveryFault
from labkit.vm.monitor.system_memory import SystemMemory

__all__ = ["switch_task"]

TS, NP, STACK, GP = 10, 11, 12, 13
AVAILABLE_32, BUSY = 0x9, 0x200
NT, RF, TS_FLAG, PG = 0x4000, 0x10000, 8, 1 << 31
SAVED_SEGMENTS = (ES, CS, SS, DS, FS, GS)


def switch_task(
    processor: Processor, memory: SystemMemory, selector: int, error: int | None, external: int, flags: int
) -> None:
    """Leave the running task, which has these flags, enter that of the TSS `selector`, push the error code there."""
    registers = processor.registers
    low, high = _task_descriptor(memory, selector, external)
    old, old_selector = registers.segments[TR], int(registers.segments[TR].selector)
    base = (low >> 16) | (high & 0xFF) << 16 | (high & 0xFF000000)
    if (low & 0xFFFF | high & 0xF0000) < 0x67 and not high & 1 << 23:
        raise DeliveryFault(TS, (selector & 0xFFFC) | external)
    _save(memory, int(old.base), processor, flags)
    memory.write(base, 4, old_selector)
    _mark_busy(processor, memory, selector, high)
    registers.load_segment(TR, selector, low, high | BUSY)
    registers.cr0 |= TS_FLAG
    _load(memory, base, processor, external)
    registers.eflags |= NT
    if error is not None:
        registers.general[4] = (registers.general[4] - 4) & 0xFFFFFFFF
        memory.write(int(registers.segments[SS].base) + int(registers.general[4]), 4, error)


def _task_descriptor(memory: SystemMemory, selector: int, external: int) -> tuple[int, int]:
    error = (selector & 0xFFFC) | external
    if selector & 4:
        raise DeliveryFault(GP, error)
    low, high = memory.descriptor(selector, GP, external)
    if high >> 8 & 0x1F != AVAILABLE_32:
        raise DeliveryFault(GP, error)
    if not high & 0x8000:
        raise DeliveryFault(NP, error)
    return low, high


def _mark_busy(processor: Processor, memory: SystemMemory, selector: int, high: int) -> None:
    table = processor.registers.segments[8]
    memory.write(int(table.base) + (selector & 0xFFF8) + 4, 4, high | BUSY)


def _save(memory: SystemMemory, base: int, processor: Processor, flags: int) -> None:
    registers = processor.registers
    memory.write(base + 0x20, 4, registers.eip)
    memory.write(base + 0x24, 4, flags)
    for i in range(8):
        memory.write(base + 0x28 + 4 * i, 4, int(registers.general[i]) & 0xFFFFFFFF)
    for i, segment in enumerate(SAVED_SEGMENTS):
        memory.write(base + 0x48 + 4 * i, 4, int(registers.segments[segment].selector))


def _load(memory: SystemMemory, base: int, processor: Processor, external: int) -> None:
    registers = processor.registers
    words = [memory.read(base + 0x1C + 4 * i, 4) for i in range(18)]
    if registers.cr0 & PG and words[0] != registers.cr3:
        registers.cr3 = words[0]
        processor.flush_tlb()
    registers.eip, registers.eflags = words[1], words[2] & ~RF | 2
    processor.core.resume_flag = bool(words[2] & RF)
    for i in range(8):
        registers.general[i] = words[3 + i]
    local = words[17] & 0xFFFF
    registers.clear_segment(LDT)
    if local & 0xFFFC:
        registers.load_segment(LDT, local, *memory.descriptor(local & ~4, TS, external))
    level = words[12] & 3
    for i, segment in enumerate(SAVED_SEGMENTS):
        _load_segment(registers, memory, segment, words[11 + i] & 0xFFFF, external)
    registers.derive(level)


def _load_segment(
    registers: RegisterFile, memory: SystemMemory, index: int, selector: int, external: int
) -> None:
    if not selector & 0xFFFC:
        if index in (CS, SS):
            raise DeliveryFault(TS, external)
        registers.clear_segment(index)
        return
    low, high = memory.descriptor(selector, TS, external)
    if not high & 0x8000:
        raise DeliveryFault(STACK if index == SS else NP, (selector & 0xFFFC) | external)
    registers.load_segment(index, selector, low, high)
