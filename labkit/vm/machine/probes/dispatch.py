"""The binary translator's dispatcher, compiled: an INT3 in translated code stands for an operation.

    JUMP     to code that has just been translated: the jump before it is linked to it, and comes here no more
    RETURN   pop the guest's return address, look up its translation
    GO, CALL a jump or call through a register or memory
    CLI STI POPF  on the guest's own interrupt flag, which lies in EFLAGS.IF (CPL 1 > IOPL protects it)
    PAUSE    nothing: what follows begins a block of its own
    CALLOUT  everything else, and all that does not go smoothly here, is the monitor's: CPL 0 or emulation

An operation that fails has changed nothing.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import (
    call_control,
    call_stop,
    load8,
    load32,
    store32,
    store64,
)
from labkit.vm.machine.probes.tlb import lookup
from labkit.vm.machine.probes.translated import settle_translated
from labkit.vm.machine.probes.traps import note_exception
from labkit.vm.machine.probes.walk import WALK_FAULT, WALK_WRITE, mark_dirty

__all__ = [
    "CALLOUT", "CALL_MEMORY", "CALL_REGISTER", "CLI", "GO_MEMORY", "GO_REGISTER", "HASH_BITS", "JUMP",
    "NO_REGISTER", "PAUSE", "POPF", "RETURN", "STI", "dispatch_hook",
]  # fmt: skip

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32, PAGE_MASK = U(0xFFFFFFFF), U(0xFFFFF000)
BASE = U(c.TC_BASE)
NOWHERE = U(1 << 63)
HASH_BITS = 18
HASH_MASK = U((1 << HASH_BITS) - 1)
REMOVE_CODE = np.uint32(1 << 30 | 2 << 26 | 9)  # UC_CTL_TB_REMOVE_CACHE, checked in translated_code.py
CPL, INHIBIT, SS32 = np.uint32(3), np.uint32(8), np.uint32(0x20)
IF, IOPL = np.uint32(0x200), np.uint32(0x3000)
RARE = np.uint32(0x34100)  # TF NT RF VM: not in the translation cache
ESP, SS_BASE = 4 * 8, layout.SEGMENTS + 2 * 24 + 8
NO_REGISTER = 0xFF


# what an INT3 stands for
(
    CALLOUT, JUMP, RETURN, GO_REGISTER, CALL_REGISTER, GO_MEMORY, CALL_MEMORY, CLI, STI, POPF, PAUSE,
) = range(11)  # fmt: skip


@njit()
def _host(a, linear, write):  # type: ignore[no-untyped-def]
    """Host address of an aligned-enough word of guest RAM that the kernel may reach; NOWHERE otherwise."""
    linear &= MASK32
    if linear >= BASE or (linear & U(0xFFF)) > U(0xFFC):
        return NOWHERE
    found = lookup(a, linear & PAGE_MASK, write, False, False)
    page = found & U(0x0000FFFFFFFFF000)
    if found & U(WALK_FAULT) or page >= a[c.RAM_SIZE]:
        return NOWHERE
    if write:
        frame = page >> U(12)
        state = load8(a[c.FRAMES] + frame)
        if state & (c.FRAME_CODE | c.FRAME_MIXED | c.FRAME_ROM) or not found & U(WALK_WRITE):
            return NOWHERE
        mark_dirty(a, frame)
    return a[c.RAM] + (page | (linear & U(0xFFF)))


@njit()
def _address(a, argument):  # type: ignore[no-untyped-def]
    """Linear address of a memory operand: base, index, shift, segment (a byte each), displacement."""
    env = a[c.ENV]
    value = U(load32(argument + U(4)))
    base, index = load8(argument), load8(argument + U(1))
    if base < 8:
        value += U(load32(env + (U(base) << U(3))))
    if index < 8:
        value += U(load32(env + (U(index) << U(3)))) << U(load8(argument + U(2)))
    value &= MASK32
    segment = env + U(layout.SEGMENTS + 8) + U(24) * U(load8(argument + U(3)))
    return (value + U(load32(segment))) & MASK32


@njit()
def _top(a, offset):  # type: ignore[no-untyped-def]
    env = a[c.ENV]
    return (U(load32(env + U(ESP))) + offset + U(load32(env + U(SS_BASE)))) & MASK32


@njit()
def _lookup(a, guest):  # type: ignore[no-untyped-def]
    """Place of the translation, 0 for none."""
    slot = ((guest ^ (guest >> U(HASH_BITS))) & HASH_MASK) << U(2)
    if U(load32(a[c.TC_KEYS] + slot)) != guest:
        return U(0)
    return U(load32(a[c.TC_VALUES] + slot))


@njit()
def _leave(a, why, where):  # type: ignore[no-untyped-def]
    a[c.TC_WHERE] = where
    a[c.STOP] = U(why)
    mend_flags(a[c.ENV])
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])


@njit()
def _retire(a):  # type: ignore[no-untyped-def]
    """An STI shadow ends with the instruction behind it."""
    at = a[c.ENV] + U(layout.HFLAGS)
    store32(at, load32(at) & ~INHIBIT)


@njit()
def _jump(a, place, argument):  # type: ignore[no-untyped-def]
    """The jump before this stub: link it, if there is something to link it to."""
    target = U(load32(argument + U(4)))
    found = _lookup(a, target)
    if not found:
        a[c.TC_SIZE] = U(0)
        _leave(a, c.Stop.MISSING, target)
        return
    site = U(load32(argument))
    store32(a[c.TC_MEMORY] + site, np.uint32((found - site - U(4)) & MASK32))
    call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], REMOVE_CODE, BASE + site, BASE + site + U(4))
    a[c.TC_LINKS] += U(1)
    store64(a[c.ENV] + U(layout.EIP), BASE + found)


@njit()
def _go(a, target):  # type: ignore[no-untyped-def]
    """The operation has retired and goes on at a guest address."""
    _retire(a)
    found = _lookup(a, target)
    if found:
        a[c.TC_FOLLOWED] += U(1)
        store64(a[c.ENV] + U(layout.EIP), BASE + found)
        return
    a[c.TC_SIZE] = U(0)
    _leave(a, c.Stop.MISSING, target)


@njit()
def _target(a, operation, argument):  # type: ignore[no-untyped-def]
    """Where a RETURN, GO or CALL leads; NOWHERE when it cannot be done here."""
    env = a[c.ENV]
    if operation in (GO_REGISTER, CALL_REGISTER):
        return U(load32(env + (U(load8(argument)) << U(3))))
    from_stack = operation == RETURN
    at = _host(a, _top(a, U(0)) if from_stack else _address(a, argument), False)
    return U(load32(at)) if at != NOWHERE else NOWHERE


@njit()
def _transfer(a, place, operation, argument):  # type: ignore[no-untyped-def]
    """RETURN, GO and CALL; False when the monitor must do it."""
    env = a[c.ENV]
    if operation == RETURN and not load32(env + U(layout.HFLAGS)) & SS32:
        return False
    target = _target(a, operation, argument)
    if target == NOWHERE:
        return False
    if operation == RETURN:
        a[c.TC_RETURNS] += U(1)
        store64(env + U(ESP), (U(load32(env + U(ESP))) + U(4) + U(load32(argument))) & MASK32)
    else:
        a[c.TC_INDIRECT] += U(1)
    if operation in (CALL_REGISTER, CALL_MEMORY):
        at = _host(a, _top(a, U(0xFFFFFFFC)), True)
        if at == NOWHERE or not load32(env + U(layout.HFLAGS)) & SS32:
            return False
        store32(
            at, load32(a[c.TC_GUEST] + ((place + U(1)) << U(2)))
        )  # the entry behind is the return address
        store64(env + U(ESP), (U(load32(env + U(ESP))) - U(4)) & MASK32)
    _go(a, target)
    return True


@njit()
def _change_flags(a, operation):  # type: ignore[no-untyped-def]
    """CLI, STI, and what POPF does to IF and IOPL at the guest's CPL 0; False when it is the monitor's."""
    env = a[c.ENV]
    at, hidden = env + U(layout.EFLAGS), env + U(layout.HFLAGS)
    eflags = load32(at)
    if operation == CLI:
        _retire(a)
        store32(at, eflags & ~IF)
    elif operation == STI:
        store32(at, eflags | IF)
        store32(hidden, load32(hidden) ^ INHIBIT)
    else:  # POPF itself follows: it sets the other flags
        where = _host(a, _top(a, U(0)), False)
        if where == NOWHERE or not load32(hidden) & SS32:
            return False
        value = load32(where)
        if (value | eflags) & RARE:
            return False
        store32(at, (eflags & ~(IF | IOPL)) | (value & (IF | IOPL)))
    a[c.TC_FLAG_CHANGES] += U(1)
    return True


@njit()
def _dispatch(a, place):  # type: ignore[no-untyped-def]
    operation = load8(a[c.TC_OPERATIONS] + place)
    argument = a[c.TC_ARGUMENTS] + (place << U(3))
    done = False
    if operation == JUMP:
        _jump(a, place, argument)
        return
    if operation == PAUSE:
        return
    if RETURN <= operation <= CALL_MEMORY:
        done = _transfer(a, place, operation, argument)
    elif operation == POPF:  # which retires behind this; not past a deadline
        done = a[c.CLOCK] < a[c.DEADLINE] and _change_flags(a, operation)
    elif CLI <= operation <= STI:
        done = _change_flags(a, operation)
    if not done:
        store64(a[c.ENV] + U(layout.EIP), BASE + place)
        settle_translated(a, BASE + place)
        _leave(a, c.Stop.CALLOUT, place)


@cfunc(types.void(types.voidptr, types.uint32, CELLS_POINTER))
def dispatch_hook(_engine, vector, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_INTR: an operation of translated code, or an exception as under the other engine."""
    env = a[c.ENV]
    eip = U(load32(env + U(layout.EIP)))
    if (
        vector == 3
        and eip > BASE
        and not a[c.TC_FREE]
        and load32(env + U(layout.HFLAGS)) & CPL == np.uint32(1)
    ):
        store32(a[c.OLD_EXCEPTION], np.uint32(0xFFFFFFFF))
        _dispatch(a, eip - BASE - U(1))
        return
    note_exception(a, vector)
