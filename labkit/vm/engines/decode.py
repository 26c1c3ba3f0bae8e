"""Guest kernel code as a list of pieces: what may be copied, and what must be another operation.

    copied       all that neither reads nor changes privilege, and stays where it is
    rewritten    JMP Jcc CALL LOOP JECXZ: the target is a place in the translation cache, or is not known yet
    dispatched   RET, indirect JMP and CALL, CLI, STI, POPF: an INT3 that compiled code carries out
    privileged   INVLPG, MOV to CR3, IRET ...: an INT3, too
    replaced     gs: is the monitor's, and so are the selectors that MOV and PUSH of a segment register would show
    called out   privileged and rare: the monitor has the processor do one instruction

A piece ends behind a jump that is always taken; a conditional one is passed through.
"""

from enum import IntEnum, auto
from typing import NamedTuple

__all__ = ["ENDS", "Kind", "Piece", "classify"]



class Kind(IntEnum):
    """What becomes of an instruction."""

    COPY = auto()
    REPEAT = auto()  # copied, and noted: it may be interrupted between two rounds
    CONDITION = auto()
    LOOP = auto()
    JUMP = auto()
    CALL = auto()
    RETURN = auto()
    INDIRECT = auto()
    CLI = auto()
    STI = auto()
    POPF = auto()
    INVLPG = auto()
    TO_CR3 = auto()
    FROM_CONTROL = auto()
    SEGMENT = auto()  # MOV to ES DS FS GS
    POP_SEGMENT = auto()
    IRET = auto()
    SYSEXIT = auto()
    EXCHANGE = auto()  # CMPXCHG8B: Unicorn needs it first in its block
    SHOW_SEGMENT = auto()  # MOV from a segment register to a general one
    PUSH_SEGMENT = auto()
    THROUGH_GS = auto()  # a plain instruction whose memory operand lies in GS
    THROUGH_CS = auto()  # ... in CS
    CALLOUT = auto()


ENDS = frozenset((Kind.JUMP, Kind.CALL, Kind.RETURN, Kind.INDIRECT, Kind.CALLOUT, Kind.IRET, Kind.SYSEXIT))


class Piece(NamedTuple):
    """One instruction: guest EIP, bytes, what becomes of it, offset of its opcode."""

    eip: int
    code: bytes
    kind: Kind
    opcode: int


GS, CS = 0x65, 0x2E
SEGMENTS = frozenset(b"\x26\x2e\x36\x3e\x64\x65")
PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
CALLED_OUT = frozenset(
    # POP SS, MOV Sreg (some, see below), far CALL, far RET, INT3 INT INTO, far JMP, ICEBP, HLT
    b"\x17\x8e\x9a\xca\xcb\xcc\xcd\xce\xea\xf1\xf4"
)
CALLED_OUT_0F = frozenset(
    # LAR LSL SYSCALL CLTS SYSRET INVD WBINVD MOV-CR/DR WRMSR RDMSR RDPMC SYSENTER, LSS LFS LGS, RSM
    b"\x02\x03\x05\x06\x07\x08\x09\x20\x21\x22\x23\x24\x26\x30\x32\x33\x34\xaa\xb2\xb4\xb5"
)
DONE_0F = {
    0x20: Kind.FROM_CONTROL, 0x22: Kind.TO_CR3, 0x35: Kind.SYSEXIT, 0xA1: Kind.POP_SEGMENT, 0xA9: Kind.POP_SEGMENT,
    0xA0: Kind.PUSH_SEGMENT, 0xA8: Kind.PUSH_SEGMENT,
}  # fmt: skip
READ = (0, 2, 3, 4)  # control registers
STRINGS = frozenset(b"\x6c\x6d\x6e\x6f\xa4\xa5\xa6\xa7\xaa\xab\xac\xad\xae\xaf")


def _table() -> tuple[Kind, ...]:
    table = [Kind.COPY] * 256
    table[0x70:0x80] = [Kind.CONDITION] * 16
    table[0xE0:0xE4] = [Kind.LOOP] * 4
    table[0xE9] = table[0xEB] = Kind.JUMP
    table[0xE8] = Kind.CALL
    table[0xC2] = table[0xC3] = Kind.RETURN
    table[0xFA], table[0xFB], table[0x9D] = Kind.CLI, Kind.STI, Kind.POPF
    table[0x07] = table[0x1F] = Kind.POP_SEGMENT
    table[0xCF] = Kind.IRET
    table[0x06] = table[0x0E] = table[0x16] = table[0x1E] = Kind.PUSH_SEGMENT
    for opcode in CALLED_OUT:
        table[opcode] = Kind.CALLOUT
    return tuple(table)


ONE_BYTE = _table()
WORD_SIZE_MATTERS = frozenset(
    (
        Kind.CONDITION, Kind.LOOP, Kind.JUMP, Kind.CALL, Kind.RETURN, Kind.INDIRECT, Kind.POPF, Kind.POP_SEGMENT,
        Kind.IRET, Kind.SYSEXIT, Kind.PUSH_SEGMENT,
    )
)  # fmt: skip
ADDRESSED = frozenset((Kind.INDIRECT, Kind.INVLPG, Kind.SEGMENT))


def classify(eip: int, code: bytes) -> Piece:
    """What becomes of one instruction."""
    at = 0
    while at < len(code) - 1 and code[at] in PREFIXES:
        at += 1
    prefixes, opcode = code[:at], code[at]
    more = code[at + 1] if len(code) > at + 1 else 0
    kind = ONE_BYTE[opcode]
    if opcode == 0x0F:
        kind = _two_byte(more, code[at + 2] if len(code) > at + 2 else 0)
    elif opcode == 0xFF and 2 <= (more >> 3 & 7) <= 5:
        kind = Kind.INDIRECT if more >> 3 & 7 in (2, 4) else Kind.CALLOUT
    elif opcode == 0x8E and more >> 3 & 7 in (0, 3, 4, 5):
        kind = Kind.SEGMENT
    elif opcode == 0x8C:
        kind = Kind.SHOW_SEGMENT if more >= 0xC0 and (more >> 3 & 7) < 6 else Kind.CALLOUT
    elif opcode in (0xC4, 0xC5) and more < 0xC0:
        kind = Kind.CALLOUT
    elif opcode in STRINGS and (0xF2 in prefixes or 0xF3 in prefixes):
        kind = Kind.REPEAT
    if prefixes:
        if kind in WORD_SIZE_MATTERS and 0x66 in prefixes:
            kind = Kind.CALLOUT
        if kind in ADDRESSED and 0x67 in prefixes:
            kind = Kind.CALLOUT
        if GS in prefixes or CS in prefixes:
            kind = _reserved(kind, prefixes, opcode, more)
        if 0xF0 in prefixes and kind not in (Kind.COPY, Kind.EXCHANGE):
            kind = Kind.CALLOUT
    return Piece(eip, code, kind, at)


def _reserved(kind: Kind, prefixes: bytes, opcode: int, more: int) -> Kind:
    """... with a prefix for GS or CS, which are the monitor's while translated code runs."""
    if kind not in (Kind.COPY, Kind.REPEAT, Kind.EXCHANGE) or (opcode == 0x0F and 0x18 <= more <= 0x1F):
        return kind  # of no operand in memory, or of one that the dispatcher reads; NOP
    last = next(byte for byte in reversed(prefixes) if byte in SEGMENTS)
    if last not in (GS, CS):
        return kind
    return Kind.THROUGH_GS if kind is Kind.COPY and last == GS and 0xF0 not in prefixes else Kind.THROUGH_CS


def _two_byte(opcode: int, modrm: int) -> Kind:
    group = modrm >> 3 & 7
    if 0x80 <= opcode <= 0x8F:
        return Kind.CONDITION
    if opcode in DONE_0F and not (opcode == 0x22 and group != 3) and not (opcode == 0x20 and group not in READ):
        return DONE_0F[opcode]
    if opcode in CALLED_OUT_0F:
        return Kind.CALLOUT
    if opcode == 0x01 and group == 7 and modrm < 0xC0:
        return Kind.INVLPG
    if opcode == 0x00 and group in (2, 3, 4, 5):  # LLDT LTR VERR VERW
        return Kind.CALLOUT
    if opcode == 0x01 and (modrm >= 0xC0 or group in (0, 2, 3, 6, 7)) and group != 4:  # SGDT LGDT LIDT ...
        return Kind.CALLOUT
    if opcode == 0xC7 and group == 1:
        return Kind.EXCHANGE
    return Kind.COPY
