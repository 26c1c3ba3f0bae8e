"""Privileged instructions of the guest's kernel, done by the dispatcher: those that a kernel runs all the time.

    INVLPG, MOV to CR3    translations of addresses die, in the guest's TLB and in Unicorn's
    MOV from CR
    MOV and POP to ES DS FS GS      from a descriptor in memory that is marked accessed already
    IRET to the kernel or a program, SYSEXIT

What is out of the ordinary (a fault, a stack segment, a task, virtual-8086 mode) is left to the monitor, which has
the processor do it: then nothing has been changed here. What is read and changed is what the guest has in its segment
registers; what the processor has there follows (shadow.py). Source: Intel SDM volume 2; order and details as QEMU.
"""

import numpy as np
from unicorn import unicorn_const

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import (
    call_control,
    call_flush,
    load8,
    load16,
    load32,
    store32,
    store64,
)
from labkit.vm.machine.probes.shadow import (
    all_reversible,
    guest_segment,
    leave_translated,
    shade,
    table_entry,
)
from labkit.vm.machine.probes.tlb import drop_page, forget
from labkit.vm.machine.probes.translated import NOWHERE, forget_page, forget_seen, kernel_word

__all__ = [
    "flush_page", "interrupt_return", "load_segment", "read_control", "segment_operand",
    "set_space", "system_exit",
]  # fmt: skip

U = np.uint64
U32 = np.uint32
MASK32 = U(0xFFFFFFFF)
FLUSH_TLB = U32(1 << 30 | unicorn_const.UC_CTL_TLB_FLUSH)
ES, CS, SS, DS, FS, GS = range(6)
ESP, SS_BASE = 4 * 8, layout.SEGMENTS + 2 * 24 + 8
CPL, INHIBIT, CS32, SS32, ADDSEG = U32(3), U32(8), U32(0x10), U32(0x20), U32(0x40)
PRESENT, S, CODE, CONFORMING, WRITABLE, ACCESSED, BIG = (U32(1 << bit) for bit in (15, 12, 11, 10, 9, 8, 22))
GRANULAR = U32(1 << 23)
NMI_MASK = U32(4)  # in what HFLAGS2 names
STATUS = U32(0x8D5)
RARE, RF = U32(0x24100), U32(0x10000)  # TF NT VM
RETURNED = U32(0x100 | 0x200 | 0x3000 | 0x4000 | 0x40000 | 0x200000)
"""What IRET changes at CPL 0, but for the status flags and RF: TF IF IOPL NT AC ID."""
CC_OP_EFLAGS = U32(1)
USER_CODE, USER_DATA = U32(0x00C0FB00), U32(0x00C0F300)  # what SYSEXIT loads, flat, DPL 3


@njit()
def _at(a, segment):  # type: ignore[no-untyped-def]
    return guest_segment(a, segment)


@njit()
def _flush(a):  # type: ignore[no-untyped-def]
    call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], FLUSH_TLB, U(0), U(0))


@njit()
def flush_page(a, linear):  # type: ignore[no-untyped-def]
    """INVLPG."""
    if drop_page(a, linear):  # it was a piece of a large page
        forget_seen(a)
        _flush(a)
        return
    forget_page(a, linear >> U(12))
    if a[c.FLUSH_FUNCTION]:
        call_flush(a[c.FLUSH_FUNCTION], a[c.CPU], linear)
    else:
        _flush(a)


@njit()
def set_space(a, register):  # type: ignore[no-untyped-def]
    """MOV to CR3."""
    env = a[c.ENV]
    store64(env + U(layout.CR3), U(load32(env + (U(register) << U(3)))))
    forget(a)
    forget_seen(a)
    _flush(a)


@njit()
def read_control(a, register, number):  # type: ignore[no-untyped-def]
    """MOV from CR0, CR2, CR3 or CR4."""
    env = a[c.ENV]
    store64(env + (U(register) << U(3)), U(load32(env + U(layout.CONTROL) + (U(number) << U(3)))))


# --- segments


@njit()
def _descriptor(a, selector):  # type: ignore[no-untyped-def]
    """Both words of a descriptor in the GDT or LDT, the second above; NOWHERE where it cannot be read simply."""
    if a[c.SHADOW]:
        return table_entry(a, selector, False)
    env = a[c.ENV]
    table = U(layout.LDT_BASE) if selector & U32(4) else U(layout.GDT_BASE)
    offset = U(selector & U32(0xFFF8))
    if offset + U(7) > U(load32(env + table + U(8))):
        return NOWHERE
    at = U(load32(env + table)) + offset
    low, high = kernel_word(a, at, False), kernel_word(a, at + U(4), False)
    if low == NOWHERE or high == NOWHERE:
        return NOWHERE
    return U(load32(low)) | U(load32(high)) << U(32)


@njit()
def _base(words):  # type: ignore[no-untyped-def]
    high = words >> U(32)
    return ((words >> U(16)) & U(0xFFFF)) | (high & U(0xFF)) << U(16) | (high & U(0xFF000000))


@njit()
def _limit(words):  # type: ignore[no-untyped-def]
    limit = (words & U(0xFFFF)) | ((words >> U(32)) & U(0xF0000))
    return (limit << U(12)) | U(0xFFF) if (words >> U(32)) & U(GRANULAR) else limit


@njit()
def _put(a, segment, selector, base, limit, flags):  # type: ignore[no-untyped-def]
    at = _at(a, segment)
    store32(at, selector)
    store64(at + U(8), base)
    store32(at + U(16), U32(limit))
    store32(at + U(20), U32(flags))
    if a[c.SHADOW]:
        shade(a, segment)


@njit()
def _derive(a, level):  # type: ignore[no-untyped-def]
    """Privilege level, code and stack size in line with the segments; an STI shadow ends."""
    at = a[c.ENV] + U(layout.HFLAGS)
    hidden = load32(at) & ~(CPL | INHIBIT | CS32 | SS32 | ADDSEG)
    if load32(_at(a, CS) + U(20)) & BIG:
        hidden |= CS32
    if load32(_at(a, SS) + U(20)) & BIG:
        hidden |= SS32
    bases = load32(_at(a, DS) + U(8)) | load32(_at(a, ES) + U(8)) | load32(_at(a, SS) + U(8))
    if bases or not hidden & CS32:
        hidden |= ADDSEG
    store32(at, hidden | U32(level))


@njit()
def load_segment(a, segment, selector):  # type: ignore[no-untyped-def]
    """MOV or POP to ES, DS, FS or GS at the guest's CPL 0; False when it is the monitor's."""
    if not selector & U32(0xFFFC):
        _put(a, segment, selector, U(0), U(0), U(0))
        _derive(a, 1)
        return True
    words = _descriptor(a, selector)
    if words == NOWHERE:
        return False
    flags = U32(words >> U(32))
    wanted = S | PRESENT | ACCESSED
    if flags & wanted != wanted or (flags & CODE and not flags & WRITABLE):
        return False
    level = (flags >> U32(13)) & U32(3)
    if flags & (CODE | CONFORMING) != CODE | CONFORMING and level < selector & U32(3):
        return False
    _put(a, segment, selector, _base(words), _limit(words), flags)
    _derive(a, 1)
    return True


# --- ways out of the kernel


@njit()
def _stack(a, words):  # type: ignore[no-untyped-def]
    """Host address of that many words on top of the stack, which lie on one page; NOWHERE otherwise."""
    env = a[c.ENV]
    if not load32(env + U(layout.HFLAGS)) & SS32:
        return NOWHERE
    top = (U(load32(env + U(ESP))) + U(load32(env + U(SS_BASE)))) & MASK32
    if (top & U(0xFFF)) + U(4 * words) > U(0x1000):
        return NOWHERE
    return kernel_word(a, top, False)


@njit()
def _set_flags(a, value):  # type: ignore[no-untyped-def]
    env = a[c.ENV]
    at = env + U(layout.EFLAGS)
    store64(at, U((load32(at) & ~RETURNED) | (value & RETURNED) | U32(2)))
    store64(env + U(layout.CC_SRC), U(value & STATUS))
    store32(env + U(layout.CC_OP), CC_OP_EFLAGS)
    store32(env + U(layout.DF), U32(0xFFFFFFFF) if value & U32(0x400) else U32(1))
    if value & RF:
        a[c.RESUME] = a[c.CLOCK] + U(1)


@njit()
def _keeps(a):  # type: ignore[no-untyped-def]
    """Are all data segment registers a program's as they stand? Else IRET clears some."""
    for segment in (ES, DS, FS, GS):
        at = _at(a, segment)
        flags = load32(at + U(20))
        if segment >= FS and not load32(at) & U32(0xFFFC):
            continue
        if flags & (CODE | CONFORMING) != CODE | CONFORMING and (flags >> U32(13)) & U32(3) < U32(3):
            return False
    return True


@njit()
def _is_code(words, level):  # type: ignore[no-untyped-def]
    flags = U32(words >> U(32))
    wanted = S | PRESENT | CODE
    return flags & (wanted | CONFORMING) == wanted and (flags >> U32(13)) & U32(3) == level


@njit()
def _is_stack(words):  # type: ignore[no-untyped-def]
    flags = U32(words >> U(32))
    wanted = S | PRESENT | WRITABLE
    return flags & (wanted | CODE) == wanted and (flags >> U32(13)) & U32(3) == U32(3)


@njit()
def _let_nonmaskable(env):  # type: ignore[no-untyped-def]
    """IRET lets the next nonmaskable interrupt in (Intel SDM volume 3A, 6.7.1)."""
    store32(env + U(layout.HFLAGS2), load32(env + U(layout.HFLAGS2)) & ~NMI_MASK)


@njit()
def interrupt_return(a):  # type: ignore[no-untyped-def]
    """IRET: the guest's EIP, with 1 << 32 when a program goes on there; NOWHERE when it is the monitor's.

    QEMU marks no descriptor accessed here.
    """
    env = a[c.ENV]
    at = _stack(a, 3)
    if at == NOWHERE:
        return NOWHERE
    target, selector, flags = U(load32(at)), U32(load16(at + U(4))), load32(at + U(8))
    if (flags | load32(env + U(layout.EFLAGS))) & RARE:
        return NOWHERE
    words = _descriptor(a, selector)
    level = selector & U32(3)
    if words == NOWHERE or not selector & U32(0xFFFC) or not _is_code(words, level):
        return NOWHERE
    if level == U32(0):
        if _base(words) or not (words >> U(32)) & U(BIG):
            return NOWHERE
        _put(a, CS, selector, _base(words), _limit(words), words >> U(32))
        store64(env + U(ESP), (U(load32(env + U(ESP))) + U(12)) & MASK32)
        _set_flags(a, flags)
        _let_nonmaskable(env)
        _derive(a, 1)
        return target
    at = _stack(a, 5)
    if level != U32(3) or at == NOWHERE or not _keeps(a):
        return NOWHERE
    pointer, stack = U(load32(at + U(12))), U32(load16(at + U(16)))
    below = _descriptor(a, stack)
    if below == NOWHERE or stack & U32(3) != U32(3) or not _is_stack(below) or not (below >> U(32)) & U(BIG):
        return NOWHERE
    if a[c.SHADOW] and not all_reversible(a):
        return NOWHERE
    _put(a, CS, selector, _base(words), _limit(words), words >> U(32))
    _put(a, SS, stack, _base(below), _limit(below), below >> U(32))
    store64(env + U(ESP), pointer)
    _set_flags(a, flags)
    _let_nonmaskable(env)
    _leave(a)
    return target | U(1 << 32)


@njit()
def _leave(a):  # type: ignore[no-untyped-def]
    if a[c.SHADOW]:
        leave_translated(a)
    _derive(a, 3)


@njit()
def system_exit(a):  # type: ignore[no-untyped-def]
    """SYSEXIT to EDX with the stack ECX: as `interrupt_return`."""
    env = a[c.ENV]
    selector = load32(env + U(layout.SYSENTER_CS)) & U32(0xFFFC)
    if not selector or (a[c.SHADOW] and not all_reversible(a)):
        return NOWHERE
    _put(a, CS, (selector + U32(16)) | U32(3), U(0), U(0xFFFFFFFF), USER_CODE)
    _put(a, SS, (selector + U32(24)) | U32(3), U(0), U(0xFFFFFFFF), USER_DATA)
    store64(env + U(ESP), U(load32(env + U(8))))
    _leave(a)
    return U(load32(env + U(16))) | U(1 << 32)


@njit()
def segment_operand(argument):  # type: ignore[no-untyped-def]
    """Number of the segment register that an argument names beside its memory operand."""
    return np.int64(load8(argument + U(2)) >> np.uint8(4))
