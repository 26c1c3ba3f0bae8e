import random

from labkit.vm.replay.disassembly import Line, disassemble

CODE = bytes.fromhex("55 89e5 83ec10 8b4508 e811223344 90 c9 c3") * 40


def reader(base: int, code: bytes, holes: range = range(0)):
    def read(linear: int, size: int) -> bytes | None:
        inside = base <= linear and linear + size <= base + len(code)
        if not inside or any(at in holes for at in range(linear, linear + size)):
            return None
        return code[linear - base : linear - base + size]

    return read


def test_lines_before_meet_the_cursor():
    base, starts, at = 0x1000, [], 0
    for line in disassemble(reader(base, CODE), base, 0, 1000):
        starts.append(line.address)
        assert CODE[line.address - base :].startswith(line.bytes)
    for start in random.Random(1).sample(starts[40:-40], 30):
        at = starts.index(start)
        lines = disassemble(reader(base, CODE), start, 8, 4)
        assert [line.address for line in lines] == starts[at - 8 : at + 4]


def test_the_edge_of_what_is_mapped():
    read = reader(0x2000, CODE)
    assert disassemble(read, 0x2000, 8, 2)[0].address == 0x2000
    assert [line.address for line in disassemble(read, 0x2003, 8, 1)] == [0x2000, 0x2001, 0x2003]
    last = 0x2000 + len(CODE) - 1
    assert [line.mnemonic for line in disassemble(read, last, 0, 9)] == ["ret"]
    assert disassemble(read, 0x9000, 8, 8) == []
    assert disassemble(reader(0, CODE), 0, 8, 1)[0].address == 0


def test_bad_bytes_are_lines_too():
    lines = disassemble(reader(0, b"\x0f\x0a\xff\x90" + bytes(40)), 0, 0, 2)
    assert lines[0].mnemonic == "(bad)"
    assert str(lines[0]).split() == ["00000000", "0f", "(bad)", "0fh"]


def test_text():
    assert str(Line(0x1000, b"\x90", "nop", "")) == "00001000  90                        nop"


def test_16_bit_code():
    read = reader(0, bytes.fromhex("b83412") + bytes(20))
    assert disassemble(read, 0, 0, 1, wide=False)[0].operands == "ax, 0x1234"
