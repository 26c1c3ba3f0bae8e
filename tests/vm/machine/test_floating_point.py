"""The floating-point unit as firmware leaves it, for guests that use it without FNINIT."""

import struct


def test_the_fpu_starts_empty_and_with_extended_precision(bare):
    bare.run(bytes.fromhex("d93500050000 f4"))  # fnstenv [500h]; hlt
    control, status, tags = (bare.number(0x500 + 4 * i) & 0xFFFF for i in range(3))
    assert (control, status, tags) == (0x37F, 0, 0xFFFF)


def test_a_third_is_a_double_without_any_set_up(bare):
    bare.put(0x600, struct.pack("<d", 3.0))
    bare.run(bytes.fromhex("d9e8 dc3500060000 dd1d08060000 f4"))  # fld1; fdiv qword [600h]; fstp qword [608h]
    assert struct.unpack("<d", bare.get(0x608, 8))[0] == 1 / 3


def test_mxcsr_starts_with_all_exceptions_masked(bare):
    # mov eax, cr4; or eax, 600h; mov cr4, eax; stmxcsr [500h]; fxsave [600h]; hlt
    bare.run(bytes.fromhex("0f20e0 0d00060000 0f22e0 0fae1d00050000 0fae0500060000 f4"))
    assert bare.number(0x500) == bare.number(0x600 + 24) == 0x1F80
