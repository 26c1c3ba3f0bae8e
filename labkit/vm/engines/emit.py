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

The stack that the guest sees holds the guest's own addresses only.
"""

import ctypes

from labkit.vm.engines.decode import ENDS, LONGEST, Kind, Piece, classify
from labkit.vm.machine.shadow_segments import SELECTOR_BYTES, SELECTORS
from labkit.vm.machine.translated_code import NO_REGISTER, SPECIAL, Operation, Place, TranslatedCode

__all__ = ["Emitted", "emit"]

MASK = 0xFFFFFFFF
BRANCH = 1 << 32
SEGMENT_PREFIXES = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}
SS, DS, ESP, EBP = 2, 3, 4, 5
INT3, JUMP, PUSH = b"\xcc", b"\xe9", b"\x68"
LINK, CHECK, INSIDE = int(Operation.JUMP), int(Place.CHECK), int(Place.INSIDE)
CONDITION, COPY, RETURN, GOTO, CALL, LOOP, STI, CLI, REPEAT, EXCHANGE, POPF, INDIRECT = (
    Kind.CONDITION, Kind.COPY, Kind.RETURN, Kind.JUMP, Kind.CALL, Kind.LOOP, Kind.STI, Kind.CLI, Kind.REPEAT,
    Kind.EXCHANGE, Kind.POPF, Kind.INDIRECT,
)  # fmt: skip
"""By a name of its own what is asked for often: to ask an enumeration takes ten times as long."""
PRELUDE = b"\xe9\0\0\0\0"
"""A jump to what follows: where code of other pages is led to, so that the page is looked at (Place.CHECK)."""


class Emitted:
    """Machine code that is being put into the cache, with its tables."""

    def __init__(self, cache: TranslatedCode, base: int, retired: int) -> None:
        self._cache = cache
        self.base = self.at = base
        """Place where it begins, and behind what there is so far."""
        self.retired = retired
        """Where the running sum stands."""
        self.instructions = 0
        self.exits: list[tuple[int, int]] = []
        """Place of a jump's distance, guest target."""
        self.entries: list[tuple[int, int]] = []
        """Guest EIP, place: where the translation may be entered."""
        self.stubs: list[tuple[int, int, int]] = []
        """Place of a jump's distance, place of its stub, guest target."""
        self._flags = 0
        self.shadowed = cache.shadows is not None
        """Do the segment registers hold shadows while translated code runs?"""
        self.leaves_gs = cache.shadows is not None and cache.shadows.leaves_gs
        """Is gs: copied as it is: the mistake that gives the monitor away?"""

    def selector_word(self, segment: int) -> int:
        """Offset in GS of the selector that the guest has in a segment register."""
        return SELECTORS + SELECTOR_BYTES * segment

    def copy(self, source: int, first: int, count: int, eip: int) -> int:
        """`count` instructions as they are, from a host address; their lengths are noted from `first` on."""
        size = self._cache.copy(self.at, source, first, count, eip, self.retired, self._flags)
        self._flags = 0
        self.at += size
        self.retired += count
        return size

    def add(self, code: bytes, eip: int, retires: int = 0) -> None:
        """Code for the instruction at `eip`; the last of it retires it."""
        self._cache.put(self.at, code, eip, self.retired, self._flags)
        self._flags = 0
        self.at += len(code)
        self.retired += retires

    def flag(self, bit: int) -> None:
        """Of the code that comes next."""
        self._flags |= bit

    def operation(self, number: int, eip: int, retires: int, first: int = 0, second: int = 0) -> None:
        """An INT3 for the dispatcher."""
        self._cache.put_operation(self.at, eip, self.retired, self._flags, number, first, second)
        self._flags = 0
        self.at += 1
        self.retired += retires

    def jump(self, opcode: bytes, target: int, eip: int, retires: int = 0) -> None:
        """A jump to the translation of guest code, which may be yet to come."""
        self.add(opcode + bytes(4), eip, retires)
        self.exits.append((self.at - 4, target & MASK))

    def finish(self, behind: int) -> None:
        """The stubs; `behind` is the guest EIP after the last piece.

        A call that is dispatched finds its return address in the entry behind it.
        """
        if self.exits:
            self.add(INT3, behind)
        for at, target in self.exits:
            stub = self.at
            self._cache.memory[at : at + 4] = (stub - at - 4 & MASK).to_bytes(4, "little")
            self.stubs.append((at, stub, target))
            self.operation(LINK, target, 0, at, target)
        self._cache.put(self.at, INT3, behind, self.retired, 0)


def emit(cache: TranslatedCode, source: int, size: int, eip: int, base: int, retired: int) -> Emitted | None:
    """Translate the guest's code in `size` bytes at a host address; None where they hold no whole instruction."""
    lengths = cache.scan(source, size, LONGEST)
    if not lengths:
        return None
    out = Emitted(cache, base, retired)
    out.flag(CHECK)
    out.add(PRELUDE, eip)
    out.entries.append((eip, out.at))
    last, done, after_condition = len(lengths) - 1, 0, False
    kind = COPY
    while done <= last:
        if after_condition:
            out.entries.append((eip, out.at))
        first = done
        while done <= last and lengths[done] < SPECIAL:
            done += 1
        if done > first:
            bytes_copied = out.copy(source, first, done - first, eip)
            source, eip, kind = source + bytes_copied, eip + bytes_copied & MASK, COPY
            after_condition = False
            continue
        length = lengths[done] & ~SPECIAL
        piece = classify(eip, ctypes.string_at(source, length))
        if piece.kind is Kind.THROUGH_CS and out.shadowed:
            piece = piece._replace(kind=Kind.CALLOUT)
        if done == last and piece.kind is STI:  # what follows STI must follow it in one piece
            piece = piece._replace(kind=Kind.CALLOUT)
        kind = piece.kind
        if kind in SHOWN and out.shadowed:
            again = done < last and lengths[done + 1] >= SPECIAL
            behind = ctypes.string_at(source + length, lengths[done + 1] & ~SPECIAL) if again else b""
            _show(out, piece, close=not again or classify(eip + length, behind).kind not in SHOWN)
        else:
            _special(out, piece)
        source, eip, done = source + length, eip + length & MASK, done + 1
        after_condition = kind is CONDITION
        if kind in ENDS:
            break
    if kind not in ENDS and kind is not LOOP:
        out.jump(JUMP, eip, eip)
    out.instructions = done
    out.finish(eip)
    return out


def _special(out: Emitted, piece: Piece) -> None:
    """An instruction that is not simply copied."""
    eip, code, kind, _ = piece
    if kind in RESERVED and not out.shadowed:
        kind = COPY
    if kind is COPY:
        out.add(code, eip, 1)
    elif kind is REPEAT:
        out.flag(Place.REPEATS)
        out.add(code, eip, 1)
    elif kind is CONDITION:
        condition = code[piece.opcode + (code[piece.opcode] == 0x0F)] & 15
        out.jump(bytes((0x0F, 0x80 | condition)), _target(piece), eip, 1 | BRANCH)
    elif kind is EXCHANGE:
        if out.at > out.entries[0][1]:
            out.operation(Operation.PAUSE, eip, 0)
        out.add(code, eip, 1)
    elif kind is POPF:
        out.operation(Operation.POPF, eip, 0)
        out.flag(INSIDE)
        out.add(code, eip, 1)
    elif kind in RESERVED:
        _reserved(out, piece)
    else:
        _transfer(out, piece)


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
    out.flag(INSIDE)
    out.add(code[:at].replace(bytes((GS_PREFIX,)), bytes((FS_PREFIX,))) + code[at:], eip)
    out.flag(INSIDE)
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
        out.flag(INSIDE)
        out.operation(Operation.CLOSE, eip, 1)


def _target(piece: Piece) -> int:
    size = 1 if piece.code[piece.opcode] in range(0x70, 0x80) or piece.code[piece.opcode] in SHORT else 4
    distance = int.from_bytes(piece.code[-size:], "little", signed=True)
    return piece.eip + len(piece.code) + distance & MASK


SHORT = frozenset((0xE0, 0xE1, 0xE2, 0xE3, 0xEB))


def _transfer(out: Emitted, piece: Piece) -> None:
    eip, code, kind, at = piece
    behind = eip + len(code) & MASK
    if kind is GOTO:
        out.jump(JUMP, _target(piece), eip, 1 | BRANCH)
    elif kind is CALL:
        out.add(PUSH + behind.to_bytes(4, "little"), eip)
        out.flag(INSIDE)
        out.jump(JUMP, _target(piece), eip, 1 | BRANCH)
    elif kind is LOOP:
        out.add(code[:-1] + b"\x05", eip, 1 | BRANCH)
        out.jump(JUMP, behind, behind)
        out.jump(JUMP, _target(piece), _target(piece))
    elif kind is RETURN:
        more = int.from_bytes(code[at + 1 : at + 3], "little") if code[at] == 0xC2 else 0
        out.operation(Operation.RETURN, eip, 1 | BRANCH, more)
    elif kind is INDIRECT:
        _indirect(out, piece)
    elif kind is CLI:
        out.operation(Operation.CLI, eip, 1)
    elif kind is STI:
        out.operation(Operation.STI, eip, 1)
    elif kind in PRIVILEGED:
        _privileged(out, piece)
    else:
        out.operation(Operation.CALLOUT, eip, 0)


def _indirect(out: Emitted, piece: Piece) -> None:
    """FF /2, FF /4: the operand as an argument for the dispatcher."""
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
        out.flag(CHECK)
    elif kind is Kind.TO_CR3:
        out.operation(Operation.TO_CR3, eip, 1, modrm & 7)
        out.flag(CHECK)
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
