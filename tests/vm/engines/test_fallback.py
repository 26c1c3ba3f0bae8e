"""What is not translated (levels 1 and 2, 16-bit code, real mode, code with a base) runs as under the other engine."""

import pytest

from labkit.vm.monitor.events import EventKind

CODE, GDT, STACK, THERE = 0x10000, 0x1000, 0x9000, 0x11000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def descriptor(base: int, kind: int, flags: int = 0xC) -> bytes:
    return word(0xFFFF | (base & 0xFFFF) << 16) + word(base >> 16 & 0xFF | kind << 8 | 0xF0000 | flags << 20)


def with_segments(*extra: bytes):
    def prepare(bare) -> None:
        bare.put(GDT + 0x38, b"".join(extra))
        bare.registers.segments[8].limit = 0x37 + 8 * len(extra)
        bare.put(THERE, b"\x40\x43\x8c\xc8\x90\x90\xb9\x05\0\0\0\x49\x75\xfd\xfa\xf4")

    return prepare


def heard(both, code: bytes, prepare):
    ran = both(code, prepare)
    assert ran.engine.counts["fallbacks"]
    return ran


@pytest.mark.parametrize("level", [1, 2])
def test_an_inner_level_of_the_guests_own(both, level: int) -> None:
    code = descriptor(0, 0x9B | level << 5)
    data = descriptor(0, 0x93 | level << 5)
    stack = bytes((0x6A, 0x40 | level, 0x68)) + word(0x7000)
    target = b"\x6a\x02" + bytes((0x6A, 0x38 | level, 0x68)) + word(THERE)
    heard(both, stack + target + b"\xcf", with_segments(code, data))


def test_16_bit_code_of_the_kernel(both) -> None:
    far = b"\xea" + word(0x100) + b"\x38\0"
    heard(both, far, with_segments(descriptor(THERE - 0x100, 0x9B, 0x0)))


def test_code_in_a_segment_with_a_base(both) -> None:
    far = b"\xea" + word(0x1000) + b"\x38\0"
    heard(both, far, with_segments(descriptor(CODE, 0x9B)))


def test_real_mode(both) -> None:
    # mov eax, cr0; and al, FEh; mov cr0, eax; jmp far 1100:0      and at THERE, in 16 bits: inc ax; ...; cli; hlt
    leave = b"\x0f\x20\xc0\x24\xfe\x0f\x22\xc0\xea" + word(0) + b"\0\x11"

    def prepare(bare) -> None:
        with_segments()(bare)
        bare.put(THERE, b"\x40\x43\xb9\x05\0\x49\x75\xfd\xfa\xf4")

    heard(both, leave, prepare)


def test_virtual_8086_mode(both) -> None:
    # GS FS DS ES SS ESP EFLAGS(VM) CS EIP; the program counts, and an INT 20h that its gate refuses ends it
    segments, stack = b"\x6a\0" * 4, b"\x6a\x20\x68" + word(0x1000)
    frame = segments + stack + b"\x68" + word(0x20002) + b"\x68" + word(0x1100) + b"\x6a\0"

    def prepare(bare) -> None:
        bare.put(THERE, b"\x40\x43\xb9\x05\0\x49\x75\xfd\xcd\x20")

    both(frame + b"\xcf", prepare)


def test_an_event_says_so(make_bare) -> None:
    from tests.vm.engines.conftest import Both

    ran = Both(make_bare, b"\xea" + word(0x1000) + b"\x38\0", with_segments(descriptor(CODE, 0x9B)))
    events = []
    ran.bt.monitor.on_event.append(events.append)
    ran.finish()
    assert [str(event.what) for event in events if event.kind is EventKind.FALLBACK] == [
        "kernel code in a segment with a base is not translated: it runs as under the hw engine"
    ]


def test_physical_address_extension(both) -> None:
    def prepare(bare) -> None:
        tables = 0x100000
        bare.put(tables, word(tables + 0x1000 | 1) + bytes(28))
        bare.put(tables + 0x1000, word(0x83) + word(0) + word(tables + 0x2000 | 3) + word(0))
        bare.put(tables + 0x2000, word(0x5000 | 3) + word(0) + word(0x30000 | 3) + word(0))
        bare.put(0x5000, b"\x43\xc3")
        bare.registers.cr3, bare.registers.cr4 = tables, 0x20
        bare.registers.cr0 |= 0x80000000

    # L: call 200000h; mov [201000h], ebx; mov cr3, cr3; invlpg [200000h]; cmp ebx, 5; jb L; cli; hlt
    call = b"\xe8" + word(0x200000 - (CODE + 5))
    flush = b"\x0f\x20\xd8\x0f\x22\xd8\x0f\x01\x3d" + word(0x200000)
    loop = call + b"\x89\x1d" + word(0x201000) + flush + b"\x83\xfb\x05"
    code = loop + b"\x72" + bytes((0xFE - len(loop),)) + b"\xfa\xf4"
    ran = both(code, prepare)
    assert int(ran.bt.registers.general[3]) == 5
    assert ran.bt.number(0x30000) == 5
