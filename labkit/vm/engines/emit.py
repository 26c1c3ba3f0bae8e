"""Pieces of guest code as machine code for the translation cache, with what each byte of it stands for.

    jz X          ->  0F 84 (to its stub)                   stub: INT3 [JUMP X], until X is translated
    jmp X         ->  E9 (to its stub)                      then the jump leads straight to X's translation
    call X        ->  68 (guest return address)  E9 (...)   no address of the cache is ever in guest memory
    loop X        ->  E2 05  E9 (next)  E9 (X)
    ret           ->  INT3 [RETURN]
    popf          ->  INT3 [POPF]  9D

The stack that the guest sees holds the guest's own addresses only.
"""

from dataclasses import dataclass, field

from labkit.vm.engines.decode import Kind, Piece
from labkit.vm.machine.translated_code import NO_REGISTER, Operation, Place

__all__ = ["Emitted", "emit"]

MASK = 0xFFFFFFFF
BRANCH = 1 << 32
SEGMENT_PREFIXES = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}
SS, DS, ESP, EBP = 2, 3, 4, 5
INT3, JUMP, PUSH = b"\xcc", b"\xe9", b"\x68"


@dataclass(slots=True)
class Emitted:
    """Machine code and, byte by byte, its tables."""

    base: int
    """Place in the cache."""
    code: bytearray = field(default_factory=bytearray)
    sums: list[int] = field(default_factory=list)
    guest: list[int] = field(default_factory=list)
    flags: list[tuple[int, int]] = field(default_factory=list)
    operations: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Offset, operation, its two arguments."""
    exits: list[tuple[int, int]] = field(default_factory=list)
    """Offset of a jump's distance, guest target."""
    entries: list[tuple[int, int]] = field(default_factory=list)
    """Guest EIP, offset: where the translation may be entered."""
    stubs: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Place of a jump's distance -> place of its stub, guest target."""
    retired: int = 0

    def add(self, code: bytes, eip: int, retires: int = 0) -> None:
        """Code for the instruction at `eip`; the last of it retires it."""
        self.code += code
        self.sums += [self.retired] * len(code)
        self.guest += [eip] * len(code)
        self.retired += retires

    def flag(self, bit: int) -> None:
        """Of the code that comes next."""
        self.flags.append((len(self.code), bit))

    def operation(self, number: int, eip: int, retires: int, first: int = 0, second: int = 0) -> None:
        """An INT3 for the dispatcher."""
        self.operations.append((len(self.code), number, first, second))
        self.add(INT3, eip, retires)

    def jump(self, opcode: bytes, target: int, eip: int, retires: int = 0) -> None:
        """A jump to the translation of guest code, which may be yet to come."""
        self.add(opcode + bytes(4), eip, retires)
        self.exits.append((len(self.code) - 4, target & MASK))

    def finish(self, behind: int) -> None:
        """The stubs; `behind` is the guest EIP after the last piece."""
        end = len(self.code)
        self.guest_behind(end, behind)
        for at, target in self.exits:
            stub = len(self.code)
            self.code[at : at + 4] = (stub - at - 4 & MASK).to_bytes(4, "little")
            self.stubs[self.base + at] = (self.base + stub, target)
            self.operation(Operation.JUMP, target, 0, self.base + at, target)
        self.sums.append(self.retired)
        self.guest.append(behind)

    def guest_behind(self, end: int, behind: int) -> None:
        """A call that is dispatched finds its return address in the entry behind it."""
        if self.exits:
            self.code += b"\xcc"
            self.sums.append(self.retired)
            self.guest.append(behind)


def emit(pieces: list[Piece], base: int, retired: int) -> Emitted:
    """Translate. `retired`: where the running sum stands."""
    out = Emitted(base, retired=retired)
    out.entries.append((pieces[0].eip, 0))
    after_condition = False
    for piece in pieces:
        eip, code, kind, _ = piece
        if after_condition:
            out.entries.append((eip, len(out.code)))
            after_condition = False
        if kind is Kind.COPY:
            out.add(code, eip, 1)
        elif kind is Kind.REPEAT:
            out.flag(Place.REPEATS)
            out.add(code, eip, 1)
        elif kind is Kind.CONDITION:
            condition = code[piece.opcode + (code[piece.opcode] == 0x0F)] & 15
            out.jump(bytes((0x0F, 0x80 | condition)), _target(piece), eip, 1 | BRANCH)
            after_condition = True
        elif kind is Kind.EXCHANGE:
            if out.code:
                out.operation(Operation.PAUSE, eip, 0)
            out.add(code, eip, 1)
        elif kind is Kind.POPF:
            out.operation(Operation.POPF, eip, 0)
            out.flag(Place.INSIDE)
            out.add(code, eip, 1)
        else:
            _transfer(out, piece)
    last = pieces[-1]
    behind = last.eip + len(last.code) & MASK
    if last.kind not in (Kind.JUMP, Kind.CALL, Kind.RETURN, Kind.INDIRECT, Kind.CALLOUT, Kind.LOOP):
        out.jump(JUMP, behind, behind)
    out.finish(behind)
    return out


def _target(piece: Piece) -> int:
    size = 1 if piece.code[piece.opcode] in range(0x70, 0x80) or piece.code[piece.opcode] in SHORT else 4
    distance = int.from_bytes(piece.code[-size:], "little", signed=True)
    return piece.eip + len(piece.code) + distance & MASK


SHORT = frozenset((0xE0, 0xE1, 0xE2, 0xE3, 0xEB))


def _transfer(out: Emitted, piece: Piece) -> None:
    eip, code, kind, at = piece
    behind = eip + len(code) & MASK
    if kind is Kind.JUMP:
        out.jump(JUMP, _target(piece), eip, 1 | BRANCH)
    elif kind is Kind.CALL:
        out.add(PUSH + behind.to_bytes(4, "little"), eip)
        out.flag(Place.INSIDE)
        out.jump(JUMP, _target(piece), eip, 1 | BRANCH)
    elif kind is Kind.LOOP:
        out.add(code[:-1] + b"\x05", eip, 1 | BRANCH)
        out.jump(JUMP, behind, behind)
        out.jump(JUMP, _target(piece), _target(piece))
    elif kind is Kind.RETURN:
        more = int.from_bytes(code[at + 1 : at + 3], "little") if code[at] == 0xC2 else 0
        out.operation(Operation.RETURN, eip, 1 | BRANCH, more)
    elif kind is Kind.INDIRECT:
        _indirect(out, piece)
    elif kind is Kind.CLI:
        out.operation(Operation.CLI, eip, 1)
    elif kind is Kind.STI:
        out.operation(Operation.STI, eip, 1)
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


def _operand(piece: Piece) -> tuple[int, int]:
    """Base, index, shift and segment in a word; displacement. Only 32-bit addressing."""
    code, at = piece.code, piece.opcode + 1
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
