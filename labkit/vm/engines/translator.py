"""The translator: guest kernel code into the translation cache, kept until the guest changes it.

    guest EIP -> place of its translation       by linear address; which frame it was is checked once after
    linear page -> its translations             each change of address space (probes/translated.py)
    frame -> linear pages                       a store to the frame drops them
    guest EIP -> jumps that may be linked to it

What is dropped stays in the cache, unreachable, until that is full and begun anew.
"""

from labkit.vm.engines.emit import Emitted, emit
from labkit.vm.machine.translated_code import Place, TranslatedCode

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
        found, cache = self._places.get(eip), self._cache
        if found is not None and not cache.is_seen(eip >> 12):
            self.drop_page(eip >> 12)
            found = None
        if found is None:
            return self._translate(eip)
        slot = _slot(eip)
        if cache.keys[slot] != eip or not cache.values[slot]:
            cache.keys[slot], cache.values[slot] = eip, found
        return found

    def _translate(self, eip: int) -> int | None:
        cache = self._cache
        if eip >= cache.BASE - PAGE:
            return None
        if self._end + ROOM > cache.CODE_BYTES:
            self._flush()
        frame = cache.frame_for(eip)
        if frame is None:
            return None
        room = PAGE - eip % PAGE
        frames = {eip >> 12: frame}
        source = cache.fetch([(frame, eip % PAGE, room)])
        made = emit(cache, source, room, eip, self._end, self._retired)
        if made is None:  # an instruction on two pages, alone
            second = cache.frame_for(eip + room)
            if second is None:
                return None
            source = cache.fetch([(frame, eip % PAGE, room), (second, 0, LONGEST_INSTRUCTION)])
            size = cache.length_of(source)
            made = emit(cache, source, size, eip, self._end, self._retired)
            frames[(eip >> 12) + 1] = second
        assert made is not None  # noqa: S101  (there is a whole instruction)
        if len(frames) > 1:
            cache.flags[made.entries[0][1]] |= Place.CROSSES
        self._end = (made.at + 17) & ~15
        self._retired = made.retired
        self._register(made, frames)
        self.counts["translations"] += 1
        self.counts["translated instructions"] += made.instructions
        return made.entries[0][1]

    def _register(self, made: Emitted, frames: dict[int, int]) -> None:
        cache = self._cache
        for eip, place in made.entries:
            if place != made.entries[0][1] and eip in self._places:
                continue
            self._places[eip] = place
            slot = _slot(eip)
            cache.keys[slot], cache.values[slot] = eip, place
            for page in frames:
                self._of_page.setdefault(page, set()).add(eip)
        for page, frame in frames.items():
            self._of_frame.setdefault(frame, set()).add(page)
        for site, stub, target in made.stubs:
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
