import random
import struct
import time
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.guests import kallsyms
from labkit.vm.machine.boot import Symbol

LETTERS = b"abcdefghijklmnopqrstuvwxyz_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PAIRS = [b"re", b"on", b"_s", b"er", b"init", b"sys_", b"T", b"D"]


# The text of each token: characters stand for themselves, a few pairs take unused numbers.
TOKENS = [*PAIRS, *(bytes([n]) if n in LETTERS else b"" for n in range(len(PAIRS), 256))]


def packed(name):
    """The name, with its type letter, in tokens; pairs first."""
    left, numbers = b"T" + name.encode(), b""
    while left:
        pair = next((n for n, text in enumerate(PAIRS) if left.startswith(text)), left[0])
        numbers += bytes([pair])
        left = left[len(TOKENS[pair]) :]
    size = len(numbers)
    return (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + numbers


def pad(data):
    return data + bytes(-len(data) % 4)


def table(symbols, base, *, newer, seqs):
    """What scripts/kallsyms.c writes for (address, name) pairs."""
    entries = [packed(name) for _, name in symbols]
    places = [0, *accumulate(len(entry) for entry in entries)]
    addresses = struct.pack(f"<{len(symbols)}I", *(address - base for address, _ in symbols))
    addresses += struct.pack("<I", base)
    markers = places[:-1:256]
    texts = b"".join(text + b"\0" for text in TOKENS)
    starts = [0, *accumulate(len(text) + 1 for text in TOKENS)][:256]
    parts = (
        struct.pack("<I", len(symbols)) + pad(b"".join(entries)) + struct.pack(f"<{len(markers)}I", *markers)
    )
    parts += (pad(random.Random(1).randbytes(3 * len(symbols))) if seqs else b"") + pad(texts)
    parts += struct.pack("<256H", *starts)
    return parts + addresses if newer else addresses + parts


def some_symbols(count, seed):
    rng = random.Random(seed)
    names = ["".join(chr(rng.choice(LETTERS)) for _ in range(rng.randint(1, 60))) for _ in range(count)]
    addresses = sorted([0xC100_0000, *(0xC100_0000 + rng.randrange(1 << 24) for _ in range(count - 1))])
    return list(zip(addresses, names, strict=True))


@given(
    count=st.integers(1025, 3000),
    seed=st.integers(0, 1000),
    newer=st.booleans(),
    seqs=st.booleans(),
    before=st.binary(max_size=64),
)
@settings(max_examples=30)
def test_what_went_in_comes_out(count, seed, newer, seqs, before):
    symbols = some_symbols(count, seed)
    data = (
        pad(before)
        + b"0\0001\0002\0"
        + bytes(2)
        + table(symbols, 0xC100_0000, newer=newer, seqs=seqs)
        + before
    )
    assert kallsyms.find(data) == tuple(Symbol(address, name) for address, name in symbols)


WHOLE = table(some_symbols(1100, 1), 0xC100_0000, newer=False, seqs=True)


@given(damage=st.data())
def test_damage_gives_symbols_or_none(make, damage):
    for symbol in kallsyms.find(damage.draw(make.damages)(WHOLE)):
        assert 0 <= symbol.address < 1 << 32


@given(st.binary(max_size=500), st.integers(0, 300))
def test_noise_has_no_symbols(noise, many):
    assert kallsyms.find(noise + kallsyms._DIGITS * many + noise) == ()


def test_a_file_full_of_beginnings_takes_no_time():
    start = WHOLE.index(struct.pack("<I", 1100)) + 4
    hostile = WHOLE[:start] + struct.pack("<I", 1100) * 4000 + bytes(1 << 20) + WHOLE[start:]
    begun = time.process_time()
    kallsyms.find(hostile * 4)
    assert time.process_time() - begun < 5


@pytest.mark.guest("linux")
def test_debians_kernel_names_itself():
    from labkit import guests

    image = guests.boot("linux")
    names = {symbol.name: symbol.address for symbol in image.symbols}
    assert len(image.symbols) > 30_000
    assert list(image.symbols) == sorted(image.symbols, key=lambda symbol: symbol.address)
    assert names["startup_32"] == 0xC100_0000  # what vmlinux.lds.S says: it is the entry point, and _text
    assert names["startup_32"] - 0xC000_0000 == image.start.eip
    assert {
        "start_kernel",
        "schedule",
        "do_syscall_64" if "do_syscall_64" in names else "entry_INT80_32",
    } <= set(names)


def test_symbols_are_looked_for_once_and_only_when_asked_for(monkeypatch):
    looked = []

    def find(data: bytes):
        looked.append(data)
        return (Symbol(1, "a"), Symbol(2, "b"))[: len(data)]

    monkeypatch.setattr(kallsyms, "find", find)
    symbols = kallsyms.Symbols([b"", b"xx", b"x"])
    assert not looked
    assert symbols == (Symbol(1, "a"), Symbol(2, "b"))
    assert symbols[1].name == "b"
    assert [symbol.name for symbol in symbols] == ["a", "b"]
    assert looked == [b"", b"xx", b"x"]
    assert not kallsyms.Symbols([])
