"""The translator: guest kernel code into the translation cache, kept until the guest changes it.

    guest EIP -> place of its translation       by linear address; which frame it was is checked once after
    linear page -> its translations             each change of address space (probes/translated.py)
    frame -> linear pages                       a store to the frame drops them
    guest EIP -> jumps that may be linked to it

What is dropped stays in the cache, unreachable, until that is full and begun anew.
"""

import numpy as np

from labkit.vm.engines.decode import decode
from labkit.vm.engines.emit import Emitted, emit
from labkit.vm.machine.translated_code import Operation, Place, TranslatedCode

__all__ = ["Translator"]

PAGE = 4096
LONGEST_INSTRUCTION = 15
ROOM = 16384
"""Bytes that a translation may take at most, stubs included."""
HASH_BITS = 18


class Translator:
    """Translates the code of one guest."""

    def __init__(self, cache: TranslatedCode) -> None:
        self._cache = cache
        self._places: dict[int, int] = {}
        self._of_page: dict[int, set[int]] = {}
        self._of_frame: dict[int, set[int]] = {}
        self._jumps: dict[int, list[tuple[int, int]]] = {}
        self._end = 16
        self._retired = 0
        self.counts = {
            "translations": 0, "translated instructions": 0, "dropped translations": 0, "cache flushes": 0,
        }  # fmt: skip
        cache.on_release(self.drop_frame)

    def place(self, eip: int) -> int | None:
        """Place of the translation of the code at a guest EIP; None where it cannot be translated."""
        found = self._places.get(eip)
        if found is None:
            return self._translate(eip)
        slot = _slot(eip)
        cache = self._cache
        if cache.keys[slot] != eip or not cache.values[slot]:
            cache.keys[slot], cache.values[slot] = eip, found
        return found

    def _translate(self, eip: int) -> int | None:
        cache = self._cache
        if eip >= cache.BASE - PAGE:
            return None
        if self._end + ROOM > cache.BYTES:
            self._flush()
        frame = cache.frame_for(eip)
        if frame is None:
            return None
        room = PAGE - eip % PAGE
        pieces = decode(eip, cache.fetch(frame, eip % PAGE, min(room, 4 * LONGEST_INSTRUCTION * 4)))
        frames = {eip >> 12: frame}
        if not pieces:  # an instruction on two pages, alone
            second = cache.frame_for(eip + room)
            if second is None:
                return None
            code = cache.fetch(frame, eip % PAGE, room) + cache.fetch(second, 0, LONGEST_INSTRUCTION)
            pieces = decode(eip, code)[:1]
            frames[(eip >> 12) + 1] = second
        made = emit(pieces, self._end, self._retired)
        if len(frames) > 1:
            made.flags.append((0, Place.CROSSES))
        self._store(made)
        self._register(made, frames)
        self.counts["translations"] += 1
        self.counts["translated instructions"] += len(pieces)
        return made.base

    def _store(self, made: Emitted) -> None:
        cache, base, size = self._cache, made.base, len(made.code)
        cache.memory[base : base + size] = bytes(made.code)
        cache.sums[base : base + size + 1] = np.array(made.sums, np.uint64)
        cache.guest[base : base + size + 1] = np.array(made.guest, np.uint32)
        cache.flags[base : base + size + 1] = 0
        cache.operations[base : base + size + 1] = Operation.CALLOUT
        for at, bit in made.flags:
            cache.flags[base + at] |= bit
        for at, number, first, second in made.operations:
            cache.operations[base + at] = number
            cache.arguments[2 * (base + at)] = first
            cache.arguments[2 * (base + at) + 1] = second
        self._end = (base + size + 16) & ~15
        self._retired = made.retired

    def _register(self, made: Emitted, frames: dict[int, int]) -> None:
        cache = self._cache
        for eip, at in made.entries:
            if at and eip in self._places:
                continue
            self._places[eip] = made.base + at
            slot = _slot(eip)
            cache.keys[slot], cache.values[slot] = eip, made.base + at
            for page in frames:
                self._of_page.setdefault(page, set()).add(eip)
        for page, frame in frames.items():
            self._of_frame.setdefault(frame, set()).add(page)
        for site, (stub, target) in made.stubs.items():
            self._jumps.setdefault(target, []).append((site, stub))

    # --- forgetting

    def _flush(self) -> None:
        """The cache is full: begin anew."""
        self.counts["cache flushes"] += 1
        for table in (self._places, self._of_page, self._of_frame, self._jumps):
            table.clear()
        self._end, self._retired = 16, 0
        self._cache.forget_all()

    def drop_frame(self, frame: int) -> None:
        """The code in a frame may change."""
        for page in self._of_frame.pop(frame, ()):
            self.drop_page(page)

    def drop_page(self, page: int) -> None:
        """The code of a linear page (a number) is another now, or may be."""
        cache = self._cache
        cache.forget_seen(page)
        for eip in self._of_page.pop(page, ()):
            place = self._places.pop(eip, None)
            if place is None:
                continue
            self.counts["dropped translations"] += 1
            slot = _slot(eip)
            if cache.keys[slot] == eip:
                cache.keys[slot] = cache.values[slot] = 0
            for site, stub in self._jumps.get(eip, ()):
                self._unlink(site, stub)

    def _unlink(self, site: int, stub: int) -> None:
        cache = self._cache
        wanted = (stub - site - 4 & 0xFFFFFFFF).to_bytes(4, "little")
        if cache.memory[site : site + 4] != wanted:
            cache.memory[site : site + 4] = wanted
            cache.forget_code(site, 4)


def _slot(eip: int) -> int:
    return (eip ^ eip >> HASH_BITS) & (1 << HASH_BITS) - 1
