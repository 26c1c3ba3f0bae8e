"""Random cases for the segmentation unit: every access type over descriptors whose limits are hit or just missed.

Allowed accesses must do no harm: the linear address is chosen first, inside the arena, then the offset, near a
limit or a corner, and the base is what is left. Offsets near 4 GB in a 4 GB segment are left out: there the
manual lets each processor do as it likes.
"""

import random
import struct

from tests.vm.machine.segmentation.image import ARENA, A, B, C, Case, address_of

__all__ = ["random_cases"]

READS = ("8a03", "668b03", "8b03", "0fb603", "660fb703", "0fbf03", "0303", "3a03", "663b03", "3b03", "8403", "8503",
         "a803", "f70344332211", "f60301", "0fa30b", "0fba2303", "dd03", "d903", "db2b", "df2b", "df23", "d92b",
         "dc03", "da03", "de03", "6b0307", "0faf03", "0f4403", "0fbc03", "f723", "6203", "ff33", "66ff33",
         "8e1b", "0f001b", "0f0023", "0f02c3", "0f0203", "0f0303")  # fmt: skip
WRITES = ("8803", "668903", "8903", "c60311", "66c7031111", "c70344332211", "0f9403", "8c03", "0f9203", "dd1b",
          "d91b", "db3b", "df3b", "dd3b", "d93b", "db13", "dd13", "d933", "66d933", "df33", "dd33", "0f0103",
          "0fc303")  # fmt: skip
BOTH = ("0003", "660103", "0103", "830301", "660fba2b02", "ff03", "fe0b", "f713", "d103", "66c10303", "8703",
        "8603", "0fb10b", "0fb00b", "0fc103", "0fc70b", "0fab0b", "f00103", "66f7db", "f71b", "1103", "2903",
        "0fa40303", "0fac0b05", "6303")  # fmt: skip
STRINGS = ("ac", "ad", "66ad", "aa", "ab", "66ab", "a4", "a5", "66a5", "a6", "a7", "ae", "af", "f3a4", "f3a5",
           "f3ab", "f3aa", "f3a6", "f2ae", "f3ad", "f366ab")  # fmt: skip
PUSHES = ("50", "6650", "6a01", "6844332211", "666a01", "60", "6660", "9c", "669c", "1e", "661e", "0fa0", "c8100000",
          "c8100001", "c8100003", "e800000000", "ff33")  # fmt: skip
POPS = ("58", "6658", "61", "6661", "9d", "669d", "c9", "66c9", "8f03", "8f0424", "8f4424fc")  # fmt: skip
STACK_OPERANDS = ("8b0424", "890424", "8a4500", "894500", "0fb60424", "014500", "8b442404", "8b45fc")


def _mov(register: int, value: int) -> bytes:
    return bytes([0xB8 + register]) + struct.pack("<I", value & 0xFFFFFFFF)


def _load(segment: int, selector: int) -> bytes:
    """Load a segment register by way of AX."""
    through = b"\x66\xb8" + struct.pack("<H", selector)
    return through + bytes([0x8E, 0xC0 | segment << 3])


class _Descriptor:
    """A random descriptor without a base yet."""

    def __init__(self, rng: random.Random, kinds: tuple[int, ...]) -> None:
        self.kind = rng.choice(kinds)
        self.granular, self.big = rng.random() < 0.4, rng.random() < 0.7
        limit = rng.choice((0, 1, 3, 7, 0xF, 0xFF, 0xFFF, 0x1000, 0xFFFE, 0xFFFF, 0x10000, 0xFFFFE, 0xFFFFF))
        self.limit = rng.randrange(1 << 20) if rng.random() < 0.4 else limit
        self.dpl = 3 if rng.random() < 0.9 else rng.randrange(4)
        self.present = rng.random() < 0.95
        self.system = rng.random() < 0.03

    @property
    def last(self) -> int:
        return self.limit << 12 | 0xFFF if self.granular else self.limit

    def offset(self, rng: random.Random) -> int:
        corners = [self.last, self.last + 1, self.last + 1, 0, 0xFFFF]
        if self.last != 0xFFFFFFFF:
            corners.append(0xFFFFFFFF)
        found = rng.choice(corners) + rng.randrange(-12, 5)
        if rng.random() < 0.2:
            found = rng.randrange(self.last + 2)
        if self.last == 0xFFFFFFFF and self.kind & 12 != 4:
            found = min(found & 0xFFFFFFFF, 0xFFFFF000)
        return found & 0xFFFFFFFF

    def words(self, base: int) -> tuple[int, int]:
        base &= 0xFFFFFFFF
        high = base & 0xFF000000 | base >> 16 & 0xFF | self.limit & 0xF0000
        high |= self.granular << 23 | self.big << 22 | self.present << 15 | self.dpl << 13
        high |= (not self.system) << 12 | self.kind << 8
        return (base & 0xFFFF) << 16 | self.limit & 0xFFFF, high


def _linear(rng: random.Random) -> int:
    return ARENA + 0x10000 + rng.randrange(0xA0000)


APART = 0xC0000
"""What the two may store differently (a segment register's upper half, an FPU image) is nobody's operand."""
IMAGES = ("d933", "66d933", "dd33", "db3b", "df33")
"""FSTENV, FSAVE; FSTP and FBSTP of ten bytes, of which Bochs stores eight before the last two fault."""
FROM_REGISTER = ("d91b", "db13", "db3b", "dd13", "dd1b", "df33", "df3b")
"""Stores of ST(0). Of an empty one the processor stores the indefinite, Unicorn what was in it: so it gets a zero."""
FLDZ = b"\xd9\xee"
DATA = tuple(range(16))
WRITABLE = (2, 3, 6, 7)
MOSTLY_DATA = (*WRITABLE * 3, *DATA)


def _data(rng: random.Random, _number: int) -> Case:
    """One instruction with a memory operand, by way of one segment register."""
    code = bytes.fromhex(rng.choice(rng.choice((READS, WRITES, BOTH))))
    made, segment = _Descriptor(rng, MOSTLY_DATA), rng.choice((0, 3, 3, 3, 4, 5))
    offset = made.offset(rng)
    prefix = b"" if segment == 3 else bytes([(0x26, 0, 0, 0x3E, 0x64, 0x65)[segment]])
    words = made.words(_linear(rng) + APART * (code.hex() in IMAGES) - offset)
    if rng.random() < 0.15:  # 16-bit addressing: [bx + si + 0], [bx + displacement]
        offset &= 0xFFFF
        code = code if code[0] != 0x0F else b"\x8b\x03"
        prefix, code = prefix + b"\x67", b"\x8b\x47\x00" if rng.random() < 0.5 else b"\x89\x07"
    start = _load(segment, A | 3 if rng.random() < 0.93 else rng.randrange(4)) + _mov(3, offset)
    cpl = 0 if rng.random() < 0.2 else 3
    before = FLDZ if code.hex() in FROM_REGISTER else b""
    return Case((words, words, words), start + b"\x31\xc0\x31\xc9\x99" + before + prefix + code, cpl)


def _string(rng: random.Random, _number: int) -> Case:
    source, target = _Descriptor(rng, MOSTLY_DATA), _Descriptor(rng, MOSTLY_DATA)
    si, di = source.offset(rng), target.offset(rng)
    code = _load(3, A | 3) + _load(0, B | 3) + _mov(6, si) + _mov(7, di) + _mov(1, rng.randrange(9))
    text = bytes.fromhex(rng.choice(STRINGS))
    words = source.words(_linear(rng) - si), target.words(_linear(rng) - di)
    return Case((*words, words[0]), code + b"\x31\xc0\xfc" + text)


def _stack(rng: random.Random, _number: int) -> Case:
    made = _Descriptor(rng, WRITABLE)
    made.present, made.dpl, made.system = True, 3, False
    offset = made.offset(rng)
    if not made.big:
        offset &= 0xFFFF
    which = rng.choice((PUSHES, PUSHES, POPS, STACK_OPERANDS))
    code = bytes.fromhex(rng.choice(which))
    if made.last == 0xFFFFFFFF and not made.kind & 4:
        offset = max(offset, 0x100)
    words = made.words(_linear(rng) + APART * (which is PUSHES) - offset)
    start = _load(2, A | 3) + _mov(4, offset) + _mov(5, offset)
    return Case((words, words, words), start + _mov(3, ARENA + 0x100) + code)


def _near(rng: random.Random, number: int) -> Case:
    """A near transfer in a code segment whose limit lies about its target."""
    start = address_of(number)
    head = 7  # the far jump into segment C
    kind = rng.choice(("jmp8", "jmp32", "call32", "jcc8", "jcc32", "loop", "jecxz", "reg", "callreg", "ret", "run"))
    base = start - rng.choice((0, 0, 0x100, 0x10000))
    first = start - base + head
    body = {
        "jmp8": b"\xeb\x08", "jmp32": b"\xe9\x08\0\0\0", "call32": b"\xe8\x08\0\0\0",
        "jcc8": bytes([0x70 + rng.randrange(16), 8]), "jcc32": bytes([0x0F, 0x80 + rng.randrange(16), 8, 0, 0, 0]),
        "loop": bytes([0xE0 + rng.randrange(3), 8]), "jecxz": b"\xe3\x08", "reg": b"\xff\xe0",
        "callreg": b"\xff\xd0", "ret": b"\x50\xc3", "run": b"\x90\x90\xb8\x01\x02\x03\x04\x90\x90\x90",
    }[kind]  # fmt: skip
    flags = rng.choice((b"\x31\xd2", b"\xf9\x90", b"\x83\xfa\x01", b"\x42\x90\x90"))
    pre = _mov(1, rng.randrange(3)) + flags
    if kind in ("reg", "callreg", "ret"):
        pre += _mov(0, first + len(pre) + 5 + len(body) + 8)
    target = first + len(pre) + len(body) + 8
    made = _Descriptor(rng, (0xA, 0xB, 8, 9, 0xE, 0xF))
    made.granular, made.big, made.present, made.dpl, made.system = False, True, True, 3, False
    made.limit = min(max(rng.choice((target, first + len(pre))) + rng.randrange(-4, 12), 0), 0xFFFFF)
    words = made.words(base)
    code = b"\xea" + struct.pack("<IH", first, C | 3) + pre + body
    return Case((words, words, words), code + b"\xcc" * 12)


def _far(rng: random.Random, number: int) -> Case:
    """A far transfer to any descriptor, by jump, call or return."""
    made = _Descriptor(rng, (*range(8, 16), *range(16)))
    head = address_of(number)
    base = head - rng.choice((0, 0x40, 0x1000))
    offset = head - base + 40
    if rng.random() < 0.6:
        made.granular, made.limit = False, min(max(offset + rng.randrange(-3, 4), 0), 0xFFFFF)
    made.big = True
    if made.system:
        made.kind = rng.choice((0, 2, 8, 10, 13))
    selector = C | rng.choice((3, 3, 3, 0, 1, 2)) if rng.random() < 0.9 else rng.choice((0, 3, 0x48, 0x4B, 0x1000, 4))
    far = struct.pack("<IH", offset, selector)
    retf = b"\x6a" + bytes([min(selector, 127)]) + b"\x68" + far[:4] + b"\xcb"
    code = rng.choice((b"\xea" + far, b"\x9a" + far, retf))
    words = made.words(base)
    return Case((words, words, words), code)


def _selectors(rng: random.Random, _number: int) -> Case:
    """A load of any selector into any segment register."""
    made = _Descriptor(rng, DATA)
    made.dpl = rng.randrange(4)
    made.present = rng.random() < 0.8
    made.system = rng.random() < 0.15
    words = made.words(_linear(rng))
    if made.system:
        words = words[0], words[1] & ~0xF00 | rng.choice((0, 2, 8, 9, 10, 12, 13, 14)) << 8
    selector = rng.choice((A, A, A, A, 0x48, 0x100, 4, 0, 0x28, 0x18)) | rng.randrange(4)
    cpl = 3 if rng.random() < 0.7 else 0
    segment = rng.choice((0, 2, 3, 4, 5) if cpl else (0, 3, 4, 5))  # the kernel needs its stack for the exception
    load = rng.choice((_load(segment, selector), b"\x66\x68" + struct.pack("<H", selector) + b"\x66\x07"))
    return Case((words, words, words), load, cpl)


MAKERS = (_data, _data, _data, _data, _string, _stack, _stack, _near, _far, _selectors)


def random_cases(seed: int, count: int) -> list[Case]:
    """That many cases, the same for the same seed; each fits its place in the image."""
    rng = random.Random(seed)
    return [rng.choice(MAKERS)(rng, number) for number in range(count)]
