"""Device registers in memory: an access is a refused translation, and the instruction is emulated.

Plain moves are decoded and done here; anything else runs once with the device's page replaced by a copy of
the register, and what it wrote there goes to the device.
"""

from labkit.vm.machine.exit import Exit
from labkit.vm.machine.machine import Machine
from labkit.vm.machine.page_step import step_with_page

__all__ = ["emulate"]

MOV_STORE, MOV_LOAD, MOV_IMMEDIATE = 0x89, 0x8B, 0xC7
LOAD_EAX, STORE_EAX = 0xA1, 0xA3
PAGE = 4096
FILLER = b"\xa5\x5a\xc3\x3c"
"""What the other registers' places hold meanwhile: shows a store to one of them (MOVS within a device)."""
TF, CODE_32 = 0x100, 0x10


def emulate(machine: Machine, found: Exit) -> Exit | None:
    """Carry out the instruction at EIP, which touches a device's registers; an exit if it came to one."""
    processor = machine.processor
    registers = processor.registers
    code = processor.code(registers.linear_eip, 15)
    form = _plain_move(code) if registers.hflags & CODE_32 and not registers.eflags & TF else None
    if form is None:
        return _with_page(machine, found)
    length, register, immediate = form
    if found.write:
        value = immediate if immediate is not None else int(registers.general[register]) & 0xFFFFFFFF
        _store(machine, found.physical, value)
    else:
        registers.general[register] = _load(machine, found.physical)
    registers.eip = (registers.eip + length) & 0xFFFFFFFF
    processor.retire_emulated()
    return None


def _load(machine: Machine, physical: int) -> int:
    value = machine.board.read_mmio(physical, 4)
    if not physical & 15 and machine.board.steady(physical):
        machine.processor.held_registers.hold(physical, value)
    return value


def _store(machine: Machine, physical: int, value: int) -> None:
    machine.processor.held_registers.forget()
    machine.board.write_mmio(physical, 4, value)


def _plain_move(code: bytes) -> tuple[int, int, int | None] | None:
    """Length, register and immediate of a 32-bit MOV to or from memory; None for anything else."""
    opcode = code[0]
    if opcode in (LOAD_EAX, STORE_EAX):
        return 5, 0, None
    if opcode not in (MOV_STORE, MOV_LOAD, MOV_IMMEDIATE):
        return None
    length = 2 + _operand_bytes(code)
    if opcode == MOV_IMMEDIATE:
        return length + 4, 0, int.from_bytes(code[length : length + 4], "little")
    return length, code[1] >> 3 & 7, None


def _operand_bytes(code: bytes) -> int:
    """Bytes of SIB and displacement behind the ModRM byte code[1]."""
    mode, rm = code[1] >> 6, code[1] & 7
    count = 1 if rm == 4 else 0
    if mode == 1:
        return count + 1
    if mode == 2:
        return count + 4
    base = code[2] & 7 if rm == 4 else rm
    return count + (4 if base == 5 else 0)


def _with_page(machine: Machine, found: Exit) -> Exit | None:
    """Any instruction: it runs on a page that holds the register, and what it stores there is passed on."""
    processor, physical = machine.processor, found.physical & ~3
    page = bytearray(FILLER * (PAGE // len(FILLER)))
    at = physical % PAGE
    page[at & ~15 : (at & ~15) + 16] = bytes(16)
    page[at : at + 4] = _load(machine, physical).to_bytes(4, "little")
    clock = processor.clock
    processor.flush_tlb()  # it may know the page as one of held registers
    ended, after = step_with_page(processor, physical, bytes(page))
    if after is not None and processor.clock != clock:
        places = [place for place in range(0, PAGE, 4) if after[place : place + 4] != page[place : place + 4]]
        for place in places or [at]:
            _store(machine, physical - at + place, int.from_bytes(after[place : place + 4], "little"))
    return ended
