"""Pieces of guest code as machine code for the translation cache, with what each byte of it stands for.

    jz X          ->  0F 84 (to its stub)                   stub: INT3 [JUMP X], until X is translated
    jmp X         ->  E9 (to its stub)                      then the jump leads straight to X's translation
    call X        ->  68 (guest return address)  E9 (...)   no address of the cache is ever in guest memory
    loop X        ->  E2 05  E9 (next)  E9 (X)
    ret           ->  INT3 [RETURN]                         so all that privileged code does
    popf          ->  INT3 [POPF]  9D
    mov eax, ds   ->  65 8B 05 (the monitor's word)  INT3 [CLOSE]       on shadow descriptors only
    push es       ->  65 FF 35 (the monitor's word)  INT3 [CLOSE]
    add gs:[m], 1 ->  INT3 [LEND]  add fs:[m], 1  INT3 [BACK]

The stack that the guest sees holds the guest's own addresses only. What nearly all code consists of, jumps, calls,
returns, CLI, STI, POPF and what is copied, is compiled (probes/translate.py); here is the rest, and what has prefixes.
"""

import ctypes
from typing import Any

from labkit.vm.engines.decode import ENDS, Kind, Piece, classify
from labkit.vm.machine.probes import translate_words as words
from labkit.vm.machine.shadow_segments import SELECTOR_BYTES, SELECTORS, ShadowSegments
from labkit.vm.machine.translated_places import Operation, Place
from labkit.vm.machine.translating import BRANCH, NO_REGISTER, Translating

__all__ = ["emit"]

MASK = 0xFFFFFFFF
SEGMENT_PREFIXES = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}
SS, DS, ESP, EBP = 2, 3, 4, 5
COMPILED = frozenset((Kind.CONDITION, Kind.LOOP, Kind.JUMP, Kind.CALL, Kind.RETURN, Kind.CLI, Kind.STI, Kind.POPF))


class Emitted:
    """Machine code that is being put into the cache, with its tables."""

    def __init__(self, making: Translating, shadows: ShadowSegments | None) -> None:
        self._making, self._work = making, making.words
        self._begin = making.words[words.AT]
        self.shadowed = shadows is not None
        """Do the segment registers hold shadows while translated code runs?"""
        self.leaves_gs = shadows is not None and shadows.leaves_gs
        """Is gs: copied as it is: the mistake that gives the monitor away?"""

    def selector_word(self, segment: int) -> int:
        """Offset in GS of the selector that the guest has in a segment register."""
        return SELECTORS + SELECTOR_BYTES * segment

    @property
    def begun(self) -> bool:
        """Is there any instruction yet?"""
        return bool(self._work[words.AT] > self._begin)

    def add(self, code: bytes, eip: int, retires: int = 0) -> None:
        """Code for the instruction at `eip`; the last of it retires it."""
        work = self._work
        self._making.put(work[words.AT], code, eip, work[words.RETIRED], work[words.FLAGS])
        self._pass(len(code), retires)

    def flag(self, bit: int) -> None:
        """Of the code that comes next."""
        self._work[words.FLAGS] |= bit

    def operation(self, number: int, eip: int, retires: int, first: int = 0, second: int = 0) -> None:
        """An INT3 for the dispatcher."""
        work = self._work
        self._making.put_operation(
            work[words.AT], eip, work[words.RETIRED], work[words.FLAGS], number, first, second
        )
        self._pass(1, retires)

    def _pass(self, size: int, retires: int) -> None:
        work = self._work
        work[words.AT] += size
        work[words.RETIRED] += retires
        work[words.FLAGS] = 0


def emit(
    making: Translating, source: int, size: int, eip: int, frame: int, shadows: ShadowSegments | None
) -> int | None:
    """Translate the guest's code in `size` bytes at a host address; None where they hold no whole instruction.

    Its place, and a note of it in the cache's log as of code from a frame.
    """
    if not making.begin(source, size, eip):
        return None
    out, work = Emitted(making, shadows), making.words
    while not making.go_on():
        place, eip = work[words.SOURCE], work[words.EIP]
        length = making.length_of(place)
        piece = classify(eip, ctypes.string_at(place, length))
        if piece.kind in COMPILED:  # STI at the end: what follows must follow it in one piece; or an odd prefix
            piece = piece._replace(kind=Kind.CALLOUT)
        if piece.kind is Kind.THROUGH_CS and out.shadowed:
            piece = piece._replace(kind=Kind.CALLOUT)
        if piece.kind in SHOWN and out.shadowed:
            _show(out, piece, close=not _is_shown(work, place + length, eip + length, making))
        else:
            _special(out, piece)
        work[words.SOURCE], work[words.EIP] = place + length, eip + length & MASK
        work[words.DONE] += 1
        work[words.AFTER_CONDITION] = 0
        work[words.ENDED] = piece.kind in ENDS
    return making.finish(frame)


def _special(out: Emitted, piece: Piece) -> None:
    """An instruction that is neither copied nor a plain jump, call or return."""
    eip, code, kind, _ = piece
    if kind in RESERVED and not out.shadowed:
        kind = Kind.COPY
    if kind is Kind.COPY:
        out.add(code, eip, 1)
    elif kind is Kind.REPEAT:
        out.flag(Place.REPEATS)
        out.add(code, eip, 1)
    elif kind is Kind.EXCHANGE:
        if out.begun:
            out.operation(Operation.PAUSE, eip, 0)
        out.add(code, eip, 1)
    elif kind is Kind.INDIRECT:
        _indirect(out, piece)
    elif kind in RESERVED:
        _reserved(out, piece)
    elif kind in PRIVILEGED:
        _privileged(out, piece)
    else:
        out.operation(Operation.CALLOUT, eip, 0)


SHOWN = frozenset((Kind.SHOW_SEGMENT, Kind.PUSH_SEGMENT))
RESERVED = frozenset((*SHOWN, Kind.THROUGH_GS, Kind.THROUGH_CS))
PUSHED = {0x06: 0, 0x0E: 1, 0x16: 2, 0x1E: 3, 0xA0: 4, 0xA8: 5}
GS_PREFIX, FS_PREFIX, WORD_PREFIX = 0x65, 0x64, 0x66


def _reserved(out: Emitted, piece: Piece) -> None:
    """What goes through GS, which on shadow descriptors is the monitor's."""
    eip, code, _, at = piece
    if out.leaves_gs:
        out.add(code, eip, 1)
        return
    out.operation(Operation.LEND, eip, 0)
    out.flag(Place.INSIDE)
    out.add(code[:at].replace(bytes((GS_PREFIX,)), bytes((FS_PREFIX,))) + code[at:], eip)
    out.flag(Place.INSIDE)
    out.operation(Operation.BACK, eip, 1)


def _show(out: Emitted, piece: Piece, *, close: bool) -> None:
    """A selector of the guest's, by the monitor's word. `close`: no such access follows at once, the page is to go."""
    eip, code, kind, at = piece
    show = kind is Kind.SHOW_SEGMENT
    segment = code[at + 1] >> 3 & 7 if show else PUSHED[code[-1]]
    opcode = bytes((0x8B, (code[at + 1] & 7) << 3 | 5)) if show else b"\xff\x35"
    word = bytes((WORD_PREFIX,)) if WORD_PREFIX in code[:at] else b""
    made = word + bytes((GS_PREFIX,)) + opcode + out.selector_word(segment).to_bytes(4, "little")
    out.add(made, eip, 0 if close else 1)
    if close:
        out.flag(Place.INSIDE)
        out.operation(Operation.CLOSE, eip, 1)


def _is_shown(work: Any, source: int, eip: int, making: Translating) -> bool:
    """Is the instruction behind this one such an access, too?"""
    if work[words.DONE] + 1 == work[words.COUNT]:
        return False
    return classify(eip, ctypes.string_at(source, making.length_of(source))).kind in SHOWN


def _indirect(out: Emitted, piece: Piece) -> None:
    """FF /2, FF /4 with a prefix: the operand as an argument for the dispatcher."""
    modrm = piece.code[piece.opcode + 1]
    call = modrm >> 3 & 7 == 2
    if modrm >> 6 == 3:
        number = Operation.CALL_REGISTER if call else Operation.GO_REGISTER
        out.operation(number, piece.eip, 1 | BRANCH, modrm & 7)
        return
    number = Operation.CALL_MEMORY if call else Operation.GO_MEMORY
    first, displacement = _operand(piece)
    out.operation(number, piece.eip, 1 | BRANCH, first, displacement)


PRIVILEGED = frozenset(
    (Kind.INVLPG, Kind.TO_CR3, Kind.FROM_CONTROL, Kind.SEGMENT, Kind.POP_SEGMENT, Kind.IRET, Kind.SYSEXIT)
)
POPPED = {0x07: 0, 0x1F: 3, 0xA1: 4, 0xA9: 5}


def _privileged(out: Emitted, piece: Piece) -> None:
    """What the dispatcher does in the processor's place."""
    eip, code, kind, at = piece
    modrm = code[-1]
    if kind is Kind.INVLPG:
        out.operation(Operation.INVLPG, eip, 1, *_operand(piece, 2))
        out.flag(Place.CHECK)
    elif kind is Kind.TO_CR3:
        out.operation(Operation.TO_CR3, eip, 1, modrm & 7)
        out.flag(Place.CHECK)
    elif kind is Kind.FROM_CONTROL:
        out.operation(Operation.FROM_CONTROL, eip, 1, modrm & 7 | (modrm >> 3 & 7) << 8)
    elif kind is Kind.SEGMENT and code[at + 1] >= 0xC0:
        out.operation(Operation.SEGMENT_REGISTER, eip, 1, modrm & 7 | (modrm >> 3 & 7) << 8)
    elif kind is Kind.SEGMENT:
        first, displacement = _operand(piece, 1)
        out.operation(Operation.SEGMENT_MEMORY, eip, 1, first | (code[at + 1] >> 3 & 7) << 20, displacement)
    elif kind is Kind.POP_SEGMENT:
        out.operation(Operation.POP_SEGMENT, eip, 1, POPPED[modrm])
    else:
        number = Operation.IRET if kind is Kind.IRET else Operation.SYSEXIT
        out.operation(number, eip, 1 | BRANCH)


def _operand(piece: Piece, opcode_bytes: int = 1) -> tuple[int, int]:
    """Base, index, shift and segment in a word; displacement. Only 32-bit addressing."""
    code, at = piece.code, piece.opcode + opcode_bytes
    mode, rm = code[at] >> 6, code[at] & 7
    at += 1
    base, index, shift = rm, NO_REGISTER, 0
    if rm == 4:
        sib, at = code[at], at + 1
        base, index, shift = sib & 7, sib >> 3 & 7, sib >> 6
        if index == 4:
            index = NO_REGISTER
    displacement = 0
    if mode == 0 and base == 5:
        base, displacement = NO_REGISTER, int.from_bytes(code[at : at + 4], "little")
    elif mode == 1:
        displacement = int.from_bytes(code[at : at + 1], "little", signed=True) & MASK
    elif mode == 2:
        displacement = int.from_bytes(code[at : at + 4], "little")
    segment = SS if base in (ESP, EBP) else DS
    for prefix in piece.code[: piece.opcode]:
        segment = SEGMENT_PREFIXES.get(prefix, segment)
    return base | index << 8 | shift << 16 | segment << 24, displacement
