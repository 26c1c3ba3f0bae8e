"""The binary translator's dispatcher, compiled: an INT3 in translated code stands for an operation.

    JUMP     to code that has just been translated: the jump before it is linked to it, and comes here no more
    RETURN   pop the guest's return address, look up its translation
    GO, CALL a jump or call through a register or memory
    INVLPG ... SYSEXIT   privileged instructions, see privileged.py
    CLI STI POPF  on the guest's own interrupt flag, which lies in EFLAGS.IF (CPL 1 > IOPL protects it)
    PAUSE    nothing: what follows begins a block of its own
    LEND     FS holds what the guest has in GS, for the next instruction; BACK: no longer
    CLOSE    the monitor's own access, through the reserved GS, is over
    CALLOUT  everything else, and all that does not go smoothly here, is the monitor's: CPL 0 or emulation

An operation that fails has changed nothing.
"""

import numpy as np
from unicorn import unicorn_const

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.call_site import unfold
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
from labkit.vm.machine.probes.operations import (
    CALL_MEMORY,
    CALL_REGISTER,
    CLI,
    CLOSE,
    FROM_CONTROL,
    GO_REGISTER,
    INVLPG,
    IRET,
    JUMP,
    LEND,
    PAUSE,
    POP_SEGMENT,
    POPF,
    RETURN,
    SEGMENT_REGISTER,
    STI,
    SYSEXIT,
    TO_CR3,
)
from labkit.vm.machine.probes.privileged import (
    flush_page,
    interrupt_return,
    load_segment,
    read_control,
    segment_operand,
    set_space,
    system_exit,
)
from labkit.vm.machine.probes.shadow import close, guest_segment, lend_gs
from labkit.vm.machine.probes.translate import translate
from labkit.vm.machine.probes.translated import (
    NOWHERE,
    find,
    is_seen,
    kernel_word,
    settle_translated,
)
from labkit.vm.machine.probes.traps import note_exception

__all__ = ["dispatch_hook"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32 = U(0xFFFFFFFF)
BASE = U(c.TC_BASE)
REMOVE_CODE = np.uint32(1 << 30 | 2 << 26 | unicorn_const.UC_CTL_TB_REMOVE_CACHE)
CPL, INHIBIT, SS32 = np.uint32(3), np.uint32(8), np.uint32(0x20)
IF, IOPL = np.uint32(0x200), np.uint32(0x3000)
RARE = np.uint32(0x34100)  # TF NT RF VM: not in the translation cache
ESP, SS_BASE = 4 * 8, layout.SEGMENTS + 2 * 24 + 8


@njit()
def _address(a, argument):  # type: ignore[no-untyped-def]
    """Linear address of a memory operand: base, index, shift, segment (a byte each), displacement."""
    env = a[c.ENV]
    value = U(load32(argument + U(4)))
    base, index = load8(argument), load8(argument + U(1))
    if base < 8:
        value += U(load32(env + (U(base) << U(3))))
    if index < 8:
        value += U(load32(env + (U(index) << U(3)))) << U(load8(argument + U(2)) & np.uint8(3))
    value &= MASK32
    segment = guest_segment(a, load8(argument + U(3)))
    return (value + U(load32(segment + U(8)))) & MASK32


@njit()
def _top(a, offset):  # type: ignore[no-untyped-def]
    env = a[c.ENV]
    return (U(load32(env + U(ESP))) + offset + U(load32(env + U(SS_BASE)))) & MASK32


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
def _found(a, target):  # type: ignore[no-untyped-def]
    """Place of the translation of the code at a guest EIP, made now if need be; 0 where Python has to make it."""
    found = find(a, target)
    return found or translate(a, target)


@njit()
def _jump(a, place, argument):  # type: ignore[no-untyped-def]
    """The jump before this stub: link it, if there is something to link it to."""
    target = U(load32(argument + U(4)))
    found = _found(a, target)
    if not found:
        a[c.TC_SIZE] = U(0)
        _leave(a, c.Stop.MISSING, target)
        return
    site = U(load32(argument))
    if U(load32(a[c.TC_GUEST] + (site << U(2)))) >> U(12) != target >> U(12):  # by way of what checks the page
        if not load8(a[c.TC_FLAGS] + found - U(5)) & c.TC_CHECK or not is_seen(a, target >> U(12)):
            _go(a, target)
            return
        found -= U(5)
    store32(a[c.TC_MEMORY] + site, np.uint32((found - site - U(4)) & MASK32))
    call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], REMOVE_CODE, BASE + site, BASE + site + U(4))
    a[c.TC_LINKS] += U(1)
    store64(a[c.ENV] + U(layout.EIP), BASE + found)


@njit()
def _go(a, target):  # type: ignore[no-untyped-def]
    """The operation has retired and goes on at a guest address."""
    _retire(a)
    found = _found(a, target)
    if found and is_seen(a, target >> U(12)):
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
    at = kernel_word(a, _top(a, U(0)) if from_stack else _address(a, argument), False)
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
        at = kernel_word(a, _top(a, U(0xFFFFFFFC)), True)
        if at == NOWHERE or not load32(env + U(layout.HFLAGS)) & SS32:
            return False
        store32(
            at, load32(a[c.TC_GUEST] + ((place + U(1)) << U(2)))
        )  # the entry behind is the return address
        store64(env + U(ESP), (U(load32(env + U(ESP))) - U(4)) & MASK32)
    _go(a, target)
    return True


@njit()
def _enabled(a):  # type: ignore[no-untyped-def]
    """IF may be set from now on, or a program goes on: what was left alone meanwhile is to be looked at."""
    if a[c.INTR]:
        a[c.ATTENTION] |= U(c.ATTENTION_INTR)
    if a[c.ATTENTION]:
        a[c.LIMIT] = U(0)


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
        _enabled(a)
    else:  # POPF itself follows: it sets the other flags
        where = kernel_word(a, _top(a, U(0)), False)
        if where == NOWHERE or not load32(hidden) & SS32:
            return False
        value = load32(where)
        if (value | eflags) & RARE:
            return False
        store32(at, (eflags & ~(IF | IOPL)) | (value & (IF | IOPL)))
        _enabled(a)
    a[c.TC_FLAG_CHANGES] += U(1)
    return True


@njit()
def _leave_kernel(a, target):  # type: ignore[no-untyped-def]
    """An IRET or SYSEXIT has been done, except that EIP is to be set."""
    _enabled(a)
    if target & U(1 << 32):
        a[c.TC_SIZE] = a[c.BLOCK_SIZE] = a[c.BLOCK_INFO] = U(0)
        a[c.TC_SWITCHES] += U(1)
        store64(a[c.ENV] + U(layout.EIP), target & MASK32)
    else:
        _go(a, target)


@njit()
def _load(a, operation, argument):  # type: ignore[no-untyped-def]
    """MOV and POP to a segment register; False when the monitor must do it."""
    env = a[c.ENV]
    if operation == SEGMENT_REGISTER:
        selector = load32(env + (U(load8(argument)) << U(3)))
        return load_segment(a, load8(argument + U(1)), selector & np.uint32(0xFFFF))
    pop = operation == POP_SEGMENT
    at = kernel_word(a, _top(a, U(0)) if pop else _address(a, argument), False)
    if at == NOWHERE or (pop and not load32(env + U(layout.HFLAGS)) & SS32):
        return False
    if not pop:
        return load_segment(a, segment_operand(argument), load32(at) & np.uint32(0xFFFF))
    if not load_segment(a, load8(argument), load32(at) & np.uint32(0xFFFF)):
        return False
    store64(env + U(ESP), (U(load32(env + U(ESP))) + U(4)) & MASK32)
    return True


@njit(inlining="never")
def _privileged(a, operation, argument):  # type: ignore[no-untyped-def]
    """What privileged.py does; False when the monitor must do it."""
    if operation == INVLPG:
        flush_page(a, _address(a, argument))
    elif operation == TO_CR3:
        set_space(a, load8(argument))
    elif operation == FROM_CONTROL:
        read_control(a, load8(argument), load8(argument + U(1)))
    elif operation in (IRET, SYSEXIT):
        target = interrupt_return(a) if operation == IRET else system_exit(a)
        if target == NOWHERE:
            return False
        a[c.TC_PRIVILEGED] += U(1)
        _leave_kernel(a, target)
        return True
    elif not _load(a, operation, argument):
        return False
    a[c.TC_PRIVILEGED] += U(1)
    _retire(a)
    return True


@njit()
def _dispatch(a, place):  # type: ignore[no-untyped-def]
    unfold(a)
    operation = load8(a[c.TC_OPERATIONS] + place)
    argument = a[c.TC_ARGUMENTS] + (place << U(3))
    done = False
    if operation == JUMP:
        _jump(a, place, argument)
        return
    if operation == PAUSE:
        return
    if operation >= LEND:
        if operation == CLOSE:
            close(a)
        else:
            lend_gs(a, operation == LEND)
        if operation != LEND:
            _retire(a)
        return
    if RETURN <= operation <= CALL_MEMORY:
        done = _transfer(a, place, operation, argument)
    elif operation == POPF:  # which retires behind this; not past a deadline
        done = a[c.CLOCK] < a[c.DEADLINE] and _change_flags(a, operation)
    elif CLI <= operation <= STI:
        done = _change_flags(a, operation)
    elif operation >= INVLPG:
        done = _privileged(a, operation, argument)
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
