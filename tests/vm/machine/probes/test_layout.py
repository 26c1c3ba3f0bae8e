"""The private layout is found where it is, whatever the allocator has put beside it."""

import struct

import pytest
import unicorn

from labkit.vm.machine.probes import layout

KEY = struct.pack("<8Q", *layout.PATTERN)
ENGINE, PROCESSOR, GAP = 0x10_0000, 0x20_8000, 0x3000


class Reader(layout.SafeReader):
    """Memory of a process in which the engine, a stranger and the processor lie as told."""

    def __init__(self, stranger: int):
        engine = bytearray(0x1000)
        struct.pack_into("<Q", engine, 0x40, stranger)
        struct.pack_into("<Q", engine, 0x1B8, PROCESSOR)
        processor = bytearray(GAP) + KEY
        struct.pack_into("<Q", processor, 0x100, ENGINE)
        self.memory = {ENGINE: engine, PROCESSOR: processor}

    def read(self, address: int, size: int) -> bytes:
        out = bytearray(size)
        for start, data in self.memory.items():
            low, high = max(address, start), min(address + size, start + len(data))
            if low < high:
                out[low - address : high - address] = data[low - start : high - start]
        return bytes(out)


@pytest.mark.parametrize("distance", [8, 0x1000, 0x8000, -0x200, -GAP])
def test_the_processor_is_found_beside_strangers(monkeypatch: pytest.MonkeyPatch, distance: int):
    """A pointer to what lies in front of the processor was taken for it: one start in thirty crashed."""
    monkeypatch.setattr(layout, "_known", None)
    assert layout._search(ENGINE, Reader(PROCESSOR - distance)) == (PROCESSOR, PROCESSOR + GAP)


def test_every_engine_has_it_at_the_same_distance(monkeypatch: pytest.MonkeyPatch):
    found = set()
    for _ in range(20):
        monkeypatch.setattr(layout, "_known", None)
        place = layout.find_layout(unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32))
        found.add(place.registers - place.processor)
    assert len(found) == 1
