"""The translator, compiled: guest code into the translation cache, from inside the dispatcher.

    translate     the code at a guest EIP, whole: its place, or 0 where Python is needed
    begin         what is to be translated: bytes, a guest EIP
    go_on         pieces that are copied, and the jumps, calls and returns that nearly all code consists of;
                  it stops before any other instruction, which Python translates (vm/engines/emit.py)
    finish        stubs, tables, and a note of what there is now (the log, which Python reads when it forgets code)

Between two calls all is in words at cell TC_WORK. What is made of each instruction is drawn in emit.py.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import operations as o
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import LENGTH, instruction
from labkit.vm.machine.probes.intrinsics import load8, load16, load32, store8, store32
from labkit.vm.machine.probes.scan import SPECIAL, copy, mark, operation, scan
from labkit.vm.machine.probes.translate_operand import near, operand
from labkit.vm.machine.probes.translate_words import (
    AFTER_CONDITION,
    AT,
    BRANCH,
    COUNT,
    DONE,
    EIP,
    ENDED,
    ENTRIES,
    ENTRY_LIST,
    ENTRY_LOG,
    ENTRY_ROWS,
    EXIT_LIST,
    EXITS,
    FLAGS,
    JUMP_LOG,
    JUMP_ROWS,
    LENGTHS,
    LOGGED_ENTRIES,
    LOGGED_JUMPS,
    LONGEST,
    NEXT,
    RETIRED,
    ROOM,
    ROWS,
    SOURCE,
    SUM,
    get,
    line,
    put,
)
from labkit.vm.machine.probes.translated import code_page, note_place

__all__ = ["begin", "finish", "go_on", "length_of", "translate"]

U = np.uint64
MASK32 = U(0xFFFFFFFF)
PAGE = U(4096)

ONE, JUMPED = U(1), U(1 | BRANCH)


@njit()
def _next(a: Any, w: Any, size: Any, retires: Any) -> Any:
    """Tables for the next `size` bytes, which stand for the instruction at EIP; the host address of the first."""
    at = get(w, AT)
    mark(a, at, U(size), get(w, EIP), get(w, RETIRED), get(w, FLAGS))
    put(w, FLAGS, U(0))
    put(w, AT, at + U(size))
    put(w, RETIRED, get(w, RETIRED) + retires)
    return a[c.TC_MEMORY] + at


@njit()
def _operate(a: Any, w: Any, number: Any, retires: Any, first: Any, second: Any) -> Any:
    at = get(w, AT)
    operation(a, at, get(w, EIP), get(w, RETIRED), get(w, FLAGS), U(number), U(first), U(second))
    put(w, FLAGS, U(0))
    put(w, AT, at + U(1))
    put(w, RETIRED, get(w, RETIRED) + retires)


@njit()
def _jump(a: Any, w: Any, target: Any, retires: Any) -> Any:
    """E9 to the translation of a guest address, by way of a stub so far."""
    store8(_next(a, w, 5, retires), np.uint8(0xE9))
    _exit(w, target)


@njit()
def _exit(w: Any, target: Any) -> Any:
    """The four bytes before are the distance to a stub."""
    at = line(w, EXIT_LIST, get(w, EXITS), 8)
    store32(at, np.uint32(get(w, AT) - U(4)))
    store32(at + U(4), np.uint32(target & MASK32))
    put(w, EXITS, get(w, EXITS) + U(1))


@njit()
def _enterable(w: Any) -> Any:
    at = line(w, ENTRY_LIST, get(w, ENTRIES), 8)
    store32(at, np.uint32(get(w, EIP)))
    store32(at + U(4), np.uint32(get(w, AT)))
    put(w, ENTRIES, get(w, ENTRIES) + U(1))


@njit()
def _copy(a: Any, w: Any, count: Any) -> Any:
    """That many instructions as they are."""
    source, eip, done, at = get(w, SOURCE), get(w, EIP), get(w, DONE), get(w, AT)
    size = copy(a, at, source, get(w, LENGTHS) + done, np.int64(count), eip, get(w, RETIRED), get(w, FLAGS))
    put(w, FLAGS, U(0))
    put(w, AT, at + size)
    put(w, RETIRED, get(w, RETIRED) + count)
    _pass(w, size, count)


@njit()
def _pass(w: Any, size: Any, count: Any) -> Any:
    put(w, SOURCE, get(w, SOURCE) + size)
    put(w, EIP, (get(w, EIP) + size) & MASK32)
    put(w, DONE, get(w, DONE) + count)
    put(w, AFTER_CONDITION, U(0))


# --- instructions that are not simply copied


@njit()
def _condition(a: Any, w: Any, code: Any, target: Any) -> Any:
    p = _next(a, w, 6, JUMPED)
    store8(p, np.uint8(0x0F))
    store8(p + U(1), np.uint8(0x80 | (code & 15)))
    _exit(w, target)


@njit()
def _indirect(a: Any, w: Any, p: Any) -> Any:
    """FF /2 and FF /4."""
    modrm = load8(p)
    call = (modrm >> 3) & 7 == 2
    if modrm >= 0xC0:
        _operate(a, w, o.CALL_REGISTER if call else o.GO_REGISTER, JUMPED, U(modrm & 7), U(0))
    else:
        where = operand(p)
        _operate(a, w, o.CALL_MEMORY if call else o.GO_MEMORY, JUMPED, where & MASK32, where >> U(32))


@njit()
def _flags(a: Any, w: Any, op: Any) -> Any:
    """CLI, STI, POPF."""
    if op != 0x9D:
        _operate(a, w, o.CLI if op == 0xFA else o.STI, ONE, U(0), U(0))
        return
    _operate(a, w, o.POPF, U(0), U(0), U(0))
    put(w, FLAGS, U(c.TC_INSIDE))
    store8(_next(a, w, 1, ONE), np.uint8(0x9D))


@njit()
def _call(a: Any, w: Any, target: Any, behind: Any) -> Any:
    p = _next(a, w, 5, U(0))
    store8(p, np.uint8(0x68))
    store32(p + U(1), np.uint32(behind))
    put(w, FLAGS, U(c.TC_INSIDE))
    _jump(a, w, target, JUMPED)


@njit()
def _loop(a: Any, w: Any, op: Any, target: Any, behind: Any) -> Any:
    p = _next(a, w, 2, JUMPED)
    store8(p, op)
    store8(p + U(1), np.uint8(5))
    put(w, EIP, behind)
    _jump(a, w, behind, U(0))
    put(w, EIP, target)
    _jump(a, w, target, U(0))
    put(w, EIP, behind)


@njit()
def _is_string(op: Any) -> Any:
    return 0x6C <= op <= 0x6F or 0xA4 <= op <= 0xA7 or 0xAA <= op <= 0xAF


@njit()
def _repeated(p: Any, length: Any) -> Any:
    """Is this a string instruction with REP and at most an operand-size prefix?"""
    at, repeats = p, False
    while at < p + length - U(1):
        op = load8(at)
        if op == 0xF2 or op == 0xF3:
            repeats = True
        elif op != 0x66:
            return False
        at += U(1)
    return repeats and _is_string(load8(at))


@njit()
def _transfer(a: Any, w: Any, op: Any, p: Any, length: Any) -> Any:
    """A jump, call or return: 0 where it is none, 2 for a conditional one."""
    behind = (get(w, EIP) + length) & MASK32
    if 0x70 <= op <= 0x7F:
        _condition(a, w, op, near(p + U(1), behind, True))
        return 2
    if op == 0x0F and load8(p + U(1)) & 0xF0 == 0x80:
        _condition(a, w, load8(p + U(1)), near(p + U(2), behind, False))
        return 2
    if 0xE0 <= op <= 0xE3:
        _loop(a, w, op, near(p + U(1), behind, True), behind)
    elif op == 0xE9 or op == 0xEB:
        _jump(a, w, near(p + U(1), behind, op == 0xEB), JUMPED)
    elif op == 0xE8:
        _call(a, w, near(p + U(1), behind, False), behind)
    elif op == 0xC2 or op == 0xC3:
        _operate(a, w, o.RETURN, JUMPED, U(load16(p + U(1))) if op == 0xC2 else U(0), U(0))
    elif op == 0xFF and ((load8(p + U(1)) >> 3) & 7 == 2 or (load8(p + U(1)) >> 3) & 7 == 4):
        _indirect(a, w, p + U(1))
    else:
        return 0
    put(w, ENDED, U(1))
    return 1


@njit()
def _means_nothing(prefix: Any) -> Any:
    """To a jump, call or return: a segment, REP."""
    return prefix & 0xE7 == 0x26 or 0x64 <= prefix <= 0x65 or 0xF2 <= prefix <= 0xF3


@njit()
def _is_simple(modrm: Any) -> Any:
    """FF /0, /1 and /6: INC, DEC, PUSH."""
    return modrm & 0x30 == 0 or modrm & 0x38 == 0x30


@njit()
def _special(a: Any, w: Any, length: Any) -> Any:
    """The next instruction, which is not simply copied; False where it is not done here."""
    start = get(w, SOURCE)
    p = start
    while p < start + length - ONE and _means_nothing(load8(p)):
        p += ONE
    op = load8(p)
    transferred = _transfer(a, w, op, p, length) if op != 0xFF or p == start else 0
    if transferred:
        _pass(w, length, ONE)
        put(w, AFTER_CONDITION, U(1) if transferred == 2 else U(0))
        return True
    repeated = _repeated(start, length)
    if p != start and not repeated:
        return False
    if op == 0xFA or op == 0x9D or (op == 0xFB and get(w, DONE) + U(1) < get(w, COUNT)):
        _flags(a, w, op)
        _pass(w, length, ONE)
        return True
    if repeated:
        put(w, FLAGS, get(w, FLAGS) | U(c.TC_REPEATS))
    elif not (_is_string(op) or op == 0x9C or (op == 0xFF and _is_simple(load8(p + U(1))))):
        return False
    store8(get(w, LENGTHS) + get(w, DONE), np.uint8(length))
    _copy(a, w, ONE)
    return True


# --- the whole


@entry("i64(cells, u64, u64, u64)")
def begin(a: Any, source: Any, size: Any, eip: Any) -> Any:
    """Code in `size` bytes at a host address, for a guest EIP: how many whole instructions there are."""
    w = a[c.TC_WORK]
    count = scan(source, size, np.int64(LONGEST), get(w, LENGTHS))
    put(w, AT, get(w, NEXT))
    put(w, RETIRED, get(w, SUM))
    put(w, FLAGS, U(c.TC_CHECK))
    put(w, SOURCE, source)
    put(w, EIP, eip)
    put(w, COUNT, U(count))
    for word in (DONE, AFTER_CONDITION, ENDED, EXITS, ENTRIES):
        put(w, word, U(0))
    p = _next(a, w, 5, U(0))  # a jump to what follows: where code of other pages is led to (TC_CHECK)
    store8(p, np.uint8(0xE9))
    store32(p + U(1), np.uint32(0))
    _enterable(w)
    return np.int64(count)


@entry("i64(cells)")
def go_on(a: Any) -> Any:
    """Translate up to the end, which is 1, or to an instruction that is not done here, which is 0."""
    w = a[c.TC_WORK]
    while True:
        if get(w, ENDED):
            return 1
        done, count = get(w, DONE), get(w, COUNT)
        if done == count:
            _jump(a, w, get(w, EIP), U(0))
            return 1
        if get(w, AFTER_CONDITION):
            _enterable(w)
            put(w, AFTER_CONDITION, U(0))
        lengths, end = get(w, LENGTHS), done
        while end < count and load8(lengths + end) < SPECIAL:
            end += U(1)
        if end > done:
            _copy(a, w, end - done)
        elif not _special(a, w, U(load8(lengths + done) & np.uint8(0x7F))):
            return 0


@entry("u64(cells, u64)")
def finish(a: Any, frame: Any) -> Any:
    """The stubs and the log; the place of the first entry."""
    w = a[c.TC_WORK]
    exits, entries = get(w, EXITS), get(w, ENTRIES)
    if exits:
        store8(_next(a, w, 1, U(0)), np.uint8(0xCC))
    behind = get(w, EIP)
    for i in range(exits):
        row, log = line(w, EXIT_LIST, U(i), 8), line(w, JUMP_LOG, get(w, LOGGED_JUMPS), 16)
        site, target, stub = U(load32(row)), U(load32(row + U(4))), get(w, AT)
        store32(a[c.TC_MEMORY] + site, np.uint32((stub - site - U(4)) & MASK32))
        put(w, EIP, target)
        _operate(a, w, o.JUMP, U(0), site, target)
        store32(log, np.uint32(target))
        store32(log + U(4), np.uint32(site))
        store32(log + U(8), np.uint32(stub))
        put(w, LOGGED_JUMPS, get(w, LOGGED_JUMPS) + U(1))
    put(w, EIP, behind)
    store8(_next(a, w, 1, U(0)), np.uint8(0xCC))
    for i in range(entries):
        row, log = line(w, ENTRY_LIST, U(i), 8), line(w, ENTRY_LOG, get(w, LOGGED_ENTRIES), 16)
        note_place(a, U(load32(row)), U(load32(row + U(4))))
        store32(log, load32(row))
        store32(log + U(4), load32(row + U(4)))
        store32(log + U(8), np.uint32(frame + U(1)))
        store32(log + U(12), np.uint32(i))
        put(w, LOGGED_ENTRIES, get(w, LOGGED_ENTRIES) + U(1))
    put(w, NEXT, (get(w, AT) + U(16)) & ~U(15))
    put(w, SUM, get(w, RETIRED))
    a[c.TC_TRANSLATIONS] += U(1)
    a[c.TC_TRANSLATED] += get(w, DONE)
    return U(load32(get(w, ENTRY_LIST) + U(4)))


@njit()
def _is_full(w: Any) -> Any:
    if get(w, NEXT) + U(ROOM) > U(c.TC_CODE_BYTES):
        return True
    return get(w, LOGGED_ENTRIES) + U(ROWS) > U(ENTRY_ROWS) or get(w, LOGGED_JUMPS) + U(ROWS) > U(JUMP_ROWS)


@entry("u64(cells, u64)")
def translate(a: Any, eip: Any) -> Any:
    """Translate the code at a guest EIP: its place, 0 where it takes more than is done here."""
    w = a[c.TC_WORK]
    if eip >= U(c.TC_BASE) - PAGE or _is_full(w):
        return U(0)
    physical, page = code_page(a, eip), eip >> U(12)
    if physical + PAGE >= a[c.RAM_SIZE]:  # 15 bytes behind an instruction's start are looked at
        return U(0)
    frame = physical >> U(12)
    kept = U(load32(a[c.TC_PAGES] + (page << U(2))))
    state = load8(a[c.FRAMES] + frame)
    if state & (c.FRAME_MIXED | c.FRAME_WRITABLE | c.FRAME_CODE) != c.FRAME_CODE or (kept and kept != frame + U(1)):
        return U(0)
    offset = eip & U(0xFFF)
    store32(a[c.PAGES] + (page << U(2)), np.uint32(physical | U(load16(a[c.GENERATION] + (frame << U(1))))))
    store32(a[c.TC_PAGES] + (page << U(2)), np.uint32(frame + U(1)))
    if not begin(a, a[c.RAM] + physical + offset, PAGE - offset, eip) or not go_on(a):
        return U(0)
    return finish(a, frame)


@entry("i64(u64)")
def length_of(p: Any) -> Any:
    """Bytes of the instruction of 32-bit code at a host address."""
    return np.int64(instruction(p, 1) & LENGTH)
