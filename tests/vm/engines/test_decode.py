"""What becomes of each instruction: two decoders must agree, and nothing sensitive may be copied."""

import ctypes
import random

from labkit.vm.engines.decode import Kind, classify
from labkit.vm.machine.probes import scan

ROUNDS = 40
PREFIXES = (b"", b"", b"\x66", b"\x67", b"\xf3", b"\xf2", b"\x64", b"\xf0", b"\x2e\x66")
MUST_NOT_BE_COPIED = (
    b"\xfa", b"\xfb", b"\xf4", b"\x9d", b"\xcf", b"\xc3", b"\xc2\x04\x00", b"\xcd\x80", b"\xcc", b"\x0f\x01\x17",
    b"\x0f\x01\x1f", b"\x0f\x01\x38", b"\x0f\x22\xc0", b"\x0f\x22\xd8", b"\x0f\x20\xc0", b"\x0f\x23\xf8", b"\x8e\xd8",
    b"\x8e\x18", b"\x07", b"\x1f", b"\x0f\xa1", b"\x0f\xb2\x20", b"\xea\0\0\0\0\x08\0", b"\xff\x18", b"\xff\x28",
    b"\xff\xe0", b"\xff\x10", b"\x0f\x30", b"\x0f\x32", b"\x0f\x06", b"\x0f\x35", b"\x0f\x09", b"\x0f\x02\xc0",
    b"\x0f\x00\xd8", b"\x0f\x00\xd0", b"\x0f\x01\xf0", b"\xe8\0\0\0\0", b"\x75\x10",
    b"\xe2\xfe", b"\xc4\x00", b"\xca\x04\x00",
)  # fmt: skip


def scanned(code: bytes) -> int:
    """What the compiled scan says of the first instruction."""
    padded, out = ctypes.create_string_buffer(code, len(code) + 16), ctypes.create_string_buffer(1)
    assert scan.scan(ctypes.addressof(padded), len(code), 1, ctypes.addressof(out)) == 1
    return out.raw[0]


def test_what_is_simply_copied_is_a_copy_for_the_other_decoder() -> None:
    choose = random.Random(5)
    copied = 0
    for escape in (b"", b"\x0f"):
        for opcode in range(256):
            for _ in range(ROUNDS):
                code = choose.choice(PREFIXES) + escape + bytes((opcode,)) + choose.randbytes(11)
                found = scanned(code)
                if found < scan.SPECIAL:
                    assert classify(0x1000, code[:found]).kind is Kind.COPY, code[:found].hex(" ")
                    copied += 1
    assert copied > 5000


def test_what_must_not_be_copied_is_not() -> None:
    for code in MUST_NOT_BE_COPIED:
        assert scanned(code + bytes(12)) & scan.SPECIAL, code.hex(" ")
        assert classify(0x1000, code).kind is not Kind.COPY, code.hex(" ")


def test_prefixes_that_change_nothing(both) -> None:
    # call f; mov ecx, 3; again: f2 loop again; 2e jnz (hint) end; 2e jmp +1; nop; end: hlt; f: cmp eax, eax; rep ret
    code = bytes.fromhex("e8 14000000 b9 03000000 f2e2fd 2e 0f85 03000000 2e eb01 90 90 f4")
    code = code.ljust(0x19, b"\xf4") + bytes.fromhex("39c0 f3c3")
    ran = both(code)
    assert ran.engine.counts["callouts"] <= 1  # the HLT
    assert ran.bt.machine.registers.ecx == 0
