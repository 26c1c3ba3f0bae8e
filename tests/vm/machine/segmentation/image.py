"""The program that runs many cases in one boot, the same on Bochs and on labkit.

    BASE   | program | descriptor tables, TSS | cases, 128 bytes each | ...     ARENA ... | RESULTS, 32 bytes each

    case    0        24                     127       result  vector, error code, EIP, EAX, ESP, ECX, ESI, EDI
           |A | B | C | code, then INT3 ... |CPL|

Each case gets its three descriptors at selectors A, B and C, flat segments and zeroed registers, and runs at
CPL 3 or 0 until an exception, INT3 for the end. All 32 handlers write a result and go on with the next case.
"""

import struct
from dataclasses import dataclass

__all__ = [
    "ARENA", "BASE", "CODE_AT", "MEMORY", "MOST_CASES", "RESULTS", "RESULT_SIZE", "A", "B", "C", "Case",
    "address_of", "build", "rom",
]  # fmt: skip

MEMORY = 128 << 20
BASE, ARENA, ARENA_SIZE, RESULTS = 0x100000, 0x4000000, 0x200000, 0x5000000
CODE_AT, CASE_SIZE, RESULT_SIZE, ROOM = 24, 128, 32, 103
A, B, C = 0x30, 0x38, 0x40
WITH_ERROR = frozenset((8, 10, 11, 12, 13, 14, 17))
USER_STACK, STACK = ARENA - 0x1000, ARENA - 0x2000
FLAT = ((0, 0), (0xFFFF, 0xCF9B00), (0xFFFF, 0xCF9300), (0xFFFF, 0xCFFB00), (0xFFFF, 0xCFF300))
TABLES = 0x1000  # offset of GDT, IDT, TSS and variables behind the program
GDT, IDT, TSS, VARIABLES, CASES = TABLES, TABLES + 0x100, TABLES + 0x400, TABLES + 0x500, TABLES + 0x600
CASE_POINTER, CASE_END, RESULT_POINTER, ON_BOCHS, GDTR, IDTR, SHUTDOWN_WORD = (
    BASE + VARIABLES + 8 * i for i in range(7)
)
ROM, ROM_SIZE = 0xFFE00000, 2 << 20
MOST_BYTES = ROM_SIZE - 0x10000
MOST_CASES = (MOST_BYTES - CASES) // CASE_SIZE
SHUTDOWN = b"Shutdown"  # to port 8900h it ends Bochs


@dataclass(frozen=True, slots=True)
class Case:
    """Three descriptors (two words each), code of at most 103 bytes, and the level it runs at."""

    descriptors: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    code: bytes
    cpl: int = 3

    def encode(self) -> bytes:
        """Its 128 bytes."""
        words = b"".join(struct.pack("<II", *words) for words in self.descriptors)
        if len(self.code) > ROOM:
            raise ValueError(f"a case has room for {ROOM} bytes of code, not {len(self.code)}")
        return words + self.code.ljust(ROOM, b"\xcc") + bytes([self.cpl == 0])


class _Program:
    """Bytes with labels: `{name}` stands for the 32-bit distance to a label."""

    def __init__(self) -> None:
        self.code, self.labels = bytearray(), dict[str, int]()
        self._open: list[tuple[int, str]] = []

    def put(self, text: str, *words: int) -> None:
        """Hexadecimal bytes, `W` for the next of `words`, `>name` for a distance."""
        left = iter(words)
        for part in text.split():
            if part == "W":
                self.code += struct.pack("<I", next(left))
            elif part.startswith(">"):
                self._open.append((len(self.code), part[1:]))
                self.code += bytes(4)
            else:
                self.code += bytes.fromhex(part)

    def label(self, name: str) -> None:
        """Here."""
        self.labels[name] = len(self.code)

    def finish(self) -> bytes:
        """All distances filled in."""
        for at, name in self._open:
            struct.pack_into("<i", self.code, at, self.labels[name] - at - 4)
        return bytes(self.code)


def _program() -> _Program:
    p = _Program()
    p.put("fa 0f0115 W 0f011d W", GDTR, IDTR)  # cli; lgdt; lidt
    p.put("ea W 0800", BASE + len(p.code) + 7)
    p.put("66b81000 8ed8 8ec0 8ed0 bc W 66b82800 0f00d8 dbe3", STACK)  # ltr; fninit
    p.put("bf W b9 W 893f 83c704 49 75f8", ARENA, ARENA_SIZE // 4)  # each word of the arena is its address
    p.label("next")
    p.put("66b81000 8ed8 8ec0 8ed0 8b1d W 3b1d W 0f83 >done", CASE_POINTER, CASE_END)
    p.put("fc 89de bf W b906000000 f3a5", BASE + GDT + A)  # its descriptors
    p.put("8105 W W 31c0 8ee0 8ee8 bc W", CASE_POINTER, CASE_SIZE, STACK)
    p.put("dbe3 8d4318 807b7f00 750d")  # fninit; lea eax, [ebx + 24]; kernel or user?
    p.put("6a23 68 W 6a02 6a1b eb04", USER_STACK)
    p.put("6a02 6a08 50 66b82300 8ed8 8ec0 31c0 31c9 31d2 31db 31ed 31f6 31ff cf")
    p.label("common")
    p.put("50 51 57 66b81000 8ed8 8ec0 8b3d W fc", RESULT_POINTER)
    for at in (12, 16, 20, 8):  # vector, error code, EIP, EAX
        p.put(f"8b4424{at:02x} ab")
    p.put("f644241803 8d442420 7404 8b442420 ab 8b442404 ab 89f0 ab 8b0424 ab 893d W", RESULT_POINTER)
    p.put("e9 >next")
    p.label("done")
    p.put("833d W 00 0f84 >end be W 8b0d W 29f1", ON_BOCHS, RESULTS, RESULT_POINTER)
    p.put("ac ba78030000 ee ba7a030000 b00d ee b00c ee 49 75eb")  # each byte to the printer, by strobe
    p.put("be W b908000000 ba00890000 f36e", SHUTDOWN_WORD)
    p.label("end")
    p.put("fa f4 e9 >end")
    for vector in range(32):
        p.label(f"vector {vector}")
        p.put(("" if vector in WITH_ERROR else "6a00 ") + f"6a{vector:02x} e9 >common")
    return p


def _gate(offset: int) -> bytes:
    return struct.pack("<HHHH", offset & 0xFFFF, 8, 0xEE00, offset >> 16)


def build(cases: list[Case], *, bochs: bool) -> bytes:
    """The image of these cases, to be put at BASE and entered there, in flat protected mode."""
    program = _program()
    image = bytearray(program.finish().ljust(CASES, b"\0"))
    tss = BASE + TSS
    table = [*FLAT, (tss << 16 & 0xFFFF0000 | 0x67, tss >> 16 & 0xFF | 0x8900 | tss & 0xFF000000)]
    for i, words in enumerate(table):
        struct.pack_into("<II", image, GDT + 8 * i, *words)
    for vector in range(32):
        at = IDT + 8 * vector
        image[at : at + 8] = _gate(BASE + program.labels[f"vector {vector}"])
    struct.pack_into("<II", image, TSS + 4, STACK, 0x10)
    end = BASE + CASES + len(cases) * CASE_SIZE
    for address, value in ((CASE_POINTER, BASE + CASES), (CASE_END, end), (RESULT_POINTER, RESULTS)):
        struct.pack_into("<I", image, address - BASE, value)
    struct.pack_into("<I", image, ON_BOCHS - BASE, bochs)
    struct.pack_into("<HI", image, GDTR - BASE, 9 * 8 - 1, BASE + GDT)
    struct.pack_into("<HI", image, IDTR - BASE, 32 * 8 - 1, BASE + IDT)
    image[SHUTDOWN_WORD - BASE : SHUTDOWN_WORD - BASE + 8] = SHUTDOWN
    return bytes(image) + b"".join(case.encode() for case in cases)


def address_of(number: int) -> int:
    """Where the code of a case lies."""
    return BASE + CASES + number * CASE_SIZE + CODE_AT


def rom(image: bytes) -> bytes:
    """2 MB of ROM for Bochs: the image, and what copies it to BASE and enters it in flat protected mode."""
    if len(image) > MOST_BYTES:
        raise ValueError(f"a ROM has room for {MOST_CASES} cases")
    code = bytearray(0x10000)
    gdt = b"".join(struct.pack("<II", *words) for words in FLAT)
    code[0x100 : 0x100 + len(gdt)] = gdt
    code[0x80:0x86] = struct.pack("<HI", len(gdt) - 1, 0xF0100)
    start = bytes.fromhex("fa 2e 66 0f01168000 0f20c0 0c01 0f22c0 66ea") + struct.pack("<IH", 0xF0040, 8)
    code[: len(start)] = start
    flat = _Program()
    flat.put("66b81000 8ed8 8ec0 8ed0 fc be W bf W b9 W f3a5", ROM, BASE, -(-len(image) // 4))
    flat.put("b8 W ffe0", BASE)
    code[0x40 : 0x40 + len(flat.code)] = flat.code
    code[0xFFF0:0xFFF5] = bytes.fromhex("ea000000f0")
    return image.ljust(ROM_SIZE - len(code), b"\0") + bytes(code)
