"""Delivery of interrupts and exceptions into the guest, through its IDT.

Unicorn stops at an event and leaves the rest to the monitor: gate, privilege change through the task-state
segment, frame, new code segment.

    gate   31              16 15 14 13 12    8 7      0          frame, growing down
          |   offset 31:16   |P| DPL |0 1111/0 |       |          GS FS DS ES      from virtual-8086 mode
          |     selector     |   offset 15:0           |          SS ESP           on a change of privilege
                                                                  EFLAGS CS EIP
                                                                  error code       some exceptions

Source: Intel SDM volume 3A, 6.12 (checks in the order of volume 2, INT n), 6.15 (exceptions), table 6-5
(double fault), volume 3B, 18.3.1.1 (RF in the saved flags: set for faults, and within a repeated instruction).
"""

from labkit.vm.machine.processor import Processor
from labkit.vm.machine.registers import CS, DS, ES, FS, GS, NMI_MASK, SS, TR
from labkit.vm.monitor.faults import DeliveryFault
from labkit.vm.monitor.system_memory import SystemMemory
from labkit.vm.monitor.task_switch import switch_task

__all__ = ["Delivery"]

NMI, DF, TS, NP, STACK, GP, PF = 2, 8, 10, 11, 12, 13, 14
CONTRIBUTORY = frozenset((0, 10, 11, 12, 13))
FAULTS = CONTRIBUTORY | {5, 6, 7, 9, 14, 16, 17, 19}  # as opposed to traps (1, 3, 4) and aborts (8, 18)
TF, IF, NT, RF, VM = 0x100, 0x200, 0x4000, 0x10000, 0x20000
AC = 0x40000
ACCESSED, EXPAND_DOWN, BIG = 0x100, 0x400, 1 << 22  # in the second word of a data descriptor
TASK_GATE, INTERRUPT_16, TRAP_16, INTERRUPT_32, TRAP_32 = 5, 6, 7, 14, 15


class Delivery:
    """Delivers events into the guest that runs on `processor`."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._registers = processor.registers
        self._memory = SystemMemory(processor)
        self.stored = self._memory.stored
        """Linear address and size of each word that the last delivery has stored."""

    def exception(self, vector: int, error: int | None) -> bool:
        """A fault or trap of the processor. False when it ends in a shutdown (triple fault)."""
        return self._deliver(vector, error, fault=vector)

    def interrupt(self, vector: int) -> bool:
        """An interrupt from the board."""
        return self._deliver(vector, None)

    def nmi(self) -> bool:
        """A nonmaskable interrupt: no other is taken before the next IRET."""
        delivered = self._deliver(NMI, None)
        self._registers.hflags2 |= NMI_MASK
        return delivered

    def software(self, vector: int) -> bool:
        """INT n, INT3 or INTO, which has retired: EIP is behind it. A fault of its gate is its own."""
        return self._deliver(vector, None, software=True)

    def _deliver(
        self, vector: int, error: int | None, *, software: bool = False, fault: int | None = None
    ) -> bool:
        """`fault`: the vector, where it is an exception; INT 8 and an interrupt with that number are none."""
        self.stored.clear()
        external = 0 if software else 1
        while True:
            saved = self._processor.save()
            try:
                self._enter(vector, error, software, external, self._flags(fault))
            except DeliveryFault as second:
                self._processor.load(saved)
                if software:
                    self._processor.unretire()
                if second.vector == PF:
                    self._registers.cr2 = second.address
                if fault == DF:
                    return False
                double = fault is not None and _double(fault, second.vector)
                vector, error = (DF, 0) if double else (second.vector, second.error)
                fault, software, external = vector, False, 1
            else:
                return True

    def _flags(self, fault: int | None) -> int:
        """EFLAGS as it is saved."""
        processor, ecx = self._processor, self._registers.general[1]
        within = processor.point.repetitions > 0 and ecx & 0xFFFFFFFF != 0  # a repeated instruction goes on afterwards
        resume = fault in FAULTS or within or processor.core.resume_flag
        return int(self._registers.eflags) & 0xFFFFFFFF & ~RF | 2 | (RF if resume else 0)

    def _enter(self, vector: int, error: int | None, software: bool, external: int, flags: int) -> None:
        registers = self._registers
        if not registers.cr0 & 1:
            self._enter_real(vector, flags)
            return
        idt = registers.segments[9]
        gate_fault = vector * 8 + 2 + external
        if vector * 8 + 7 > idt.limit:
            raise DeliveryFault(GP, gate_fault)
        gate = idt.base + vector * 8
        low, high = self._memory.read(gate, 4), self._memory.read(gate + 4, 4)
        kind = high >> 8 & 0x1F
        if kind not in (TASK_GATE, INTERRUPT_16, TRAP_16, INTERRUPT_32, TRAP_32):
            raise DeliveryFault(GP, gate_fault)
        if software and (high >> 13 & 3) < registers.cpl:
            raise DeliveryFault(GP, gate_fault)
        if not high & 0x8000:
            raise DeliveryFault(NP, gate_fault)
        if kind == TASK_GATE:
            switch_task(self._processor, self._memory, low >> 16, error, external, flags)
            return
        offset = (low & 0xFFFF) | (high & 0xFFFF0000 if kind >= INTERRUPT_32 else 0)
        self._through_gate(kind, low >> 16, offset, error, external, flags)

    def _through_gate(
        self, kind: int, selector: int, offset: int, error: int | None, external: int, flags: int
    ) -> None:
        registers = self._registers
        code_low, code_high, level = self._code_segment(selector, external)
        virtual = bool(registers.eflags & VM)
        size = 4 if kind >= INTERRUPT_32 else 2
        segments = registers.segments
        frame = [flags, int(segments[CS].selector), registers.eip]
        if error is not None:
            frame.append(error)
        inner = level < registers.cpl
        if inner:
            outer = [int(segments[SS].selector), int(registers.general[4]) & 0xFFFFFFFF]
            if virtual:
                outer = [int(segments[i].selector) for i in (GS, FS, DS, ES)] + outer
            stack, pointer, stack_low, stack_high = self._inner_stack(level, external)
            error_code = (stack & 0xFFFC) | external
            limit = _limit(stack_low, stack_high)
            _check_room(limit, stack_high, pointer, size, len(outer + frame), error_code)
            base = _base(stack_low, stack_high)
            big = stack_high & 1 << 22
            self._push(base, pointer, big, size, outer + frame)
            self._memory.mark_accessed(stack, stack_high)
            registers.load_segment(SS, stack, stack_low, stack_high | ACCESSED)
        else:
            pointer = int(registers.general[4]) & 0xFFFFFFFF
            base, big = int(segments[SS].base), segments[SS].flags & 1 << 22
            outer = []
            limit, high = int(segments[SS].limit), int(segments[SS].flags)
            _check_room(limit, high, pointer, size, len(frame), external)
            self._push(base, pointer, big, size, frame)
        self._memory.mark_accessed(selector, code_high)
        mask = 0xFFFFFFFF if big else 0xFFFF
        top = pointer - size * len(outer + frame)
        registers.general[4] = (pointer & ~mask) | (top & mask)
        if virtual:
            for index in (GS, FS, DS, ES):
                registers.clear_segment(index)
        self._processor.core.resume_flag = False
        registers.eflags &= ~(TF | NT | RF | VM | (IF if kind in (INTERRUPT_32, INTERRUPT_16) else 0))
        registers.load_segment(CS, (selector & ~3) | level, code_low, code_high | ACCESSED)
        registers.eip = offset
        registers.derive(level)

    def _code_segment(self, selector: int, external: int) -> tuple[int, int, int]:
        """The gate's code segment and the privilege level that the handler runs at."""
        registers = self._registers
        if not selector & 0xFFFC:
            raise DeliveryFault(GP, external)
        low, high = self._memory.descriptor(selector, GP, external)
        level, cpl = high >> 13 & 3, registers.cpl
        error = (selector & 0xFFFC) | external
        if high >> 11 & 3 != 3 or level > cpl:
            raise DeliveryFault(GP, error)
        if not high & 0x8000:
            raise DeliveryFault(NP, error)
        if high & 0x400:  # conforming: the handler keeps the interrupted level
            level = cpl
        if registers.eflags & VM and level != 0:
            raise DeliveryFault(GP, error)
        return low, high, level

    def _inner_stack(self, level: int, external: int) -> tuple[int, int, int, int]:
        """SS, ESP for a more privileged level from the task-state segment, and SS's descriptor."""
        tr = self._registers.segments[TR]
        wide = tr.flags & 0x800
        at = 4 + 8 * level if wide else 2 + 4 * level
        if at + (7 if wide else 3) > tr.limit:
            raise DeliveryFault(TS, (tr.selector & 0xFFFC) | external)
        pointer = self._memory.read(tr.base + at, 4 if wide else 2)
        stack = self._memory.read(tr.base + at + (4 if wide else 2), 2)
        error = (stack & 0xFFFC) | external
        if not stack & 0xFFFC:
            raise DeliveryFault(TS, external)
        low, high = self._memory.descriptor(stack, TS, external)
        writable_data = high >> 11 & 3 == 2 and high & 0x200
        if stack & 3 != level or high >> 13 & 3 != level or not writable_data:
            raise DeliveryFault(TS, error)
        if not high & 0x8000:
            raise DeliveryFault(STACK, error)
        return stack, pointer, low, high

    def _push(self, base: int, pointer: int, big: int, size: int, values: list[int]) -> None:
        """Push in order, all or nothing; the first push that its page does not allow is the one reported."""
        mask = 0xFFFFFFFF if big else 0xFFFF
        for i in range(1, len(values) + 1):
            self._memory.probe_write(base + ((pointer - size * i) & mask), size)
        for value in values:
            pointer = (pointer - size) & mask
            self._memory.write(base + pointer, size, value & (0xFFFFFFFF if size == 4 else 0xFFFF))

    def _enter_real(self, vector: int, flags: int) -> None:
        """Real mode: the table at the IDT's base holds offset and segment, four bytes a vector."""
        registers = self._registers
        at = int(registers.segments[9].base) + vector * 4
        offset, selector = self._memory.read(at, 2), self._memory.read(at + 2, 2)
        stack = int(registers.segments[SS].base)
        pointer = int(registers.general[4]) & 0xFFFFFFFF
        values = [flags & 0xFFFF, int(registers.segments[CS].selector), registers.eip]
        self._push(stack, pointer & 0xFFFF, 0, 2, values)
        registers.general[4] = (pointer & ~0xFFFF) | ((pointer - 6) & 0xFFFF)
        self._processor.core.resume_flag = False
        registers.eflags &= ~(IF | TF | RF | AC)
        registers.load_real_segment(CS, selector)
        registers.eip = offset
        registers.derive(0)


def _double(first: int, second: int) -> bool:
    """Whether a second fault during delivery of the first makes a double fault (SDM 3A, table 6-5)."""
    if first == PF:
        return second == PF or second in CONTRIBUTORY
    return first in CONTRIBUTORY and second in CONTRIBUTORY


def _base(low: int, high: int) -> int:
    return (low >> 16) | (high & 0xFF) << 16 | (high & 0xFF000000)


def _limit(low: int, high: int) -> int:
    limit = (low & 0xFFFF) | (high & 0xF0000)
    return limit << 12 | 0xFFF if high & 1 << 23 else limit


def _check_room(limit: int, high: int, pointer: int, size: int, count: int, error: int) -> None:
    """Raise #SS(`error`) where one of `count` pushes of `size` bytes would lie outside the stack segment."""
    mask = 0xFFFFFFFF if high & BIG else 0xFFFF
    for i in range(1, count + 1):
        first = (pointer - size * i) & mask
        last = first + size - 1
        if last > mask or (first <= limit if high & EXPAND_DOWN else last > limit):
            raise DeliveryFault(STACK, error)
