"""The translator: guest kernel code into the translation cache, kept until the guest changes it.

    guest EIP -> place of its translation       by linear address; which frame it was is checked once after
    linear page -> its translations             each change of address space (probes/translated.py)
    frame -> linear pages                       a store to the frame drops them
    guest EIP -> jumps that may be linked to it

Most code is translated by the dispatcher, where it is first come to (probes/translate.py); it keeps a log, which is
read here when something is to be forgotten. What is dropped stays in the cache, unreachable, until that is full and
begun anew.
"""

from bisect import bisect_right

from labkit.vm.engines.emit import emit
from labkit.vm.engines.snapshot import Snapshot, Translation
from labkit.vm.machine.translated_code import Place, TranslatedCode

__all__ = ["Translator"]

PAGE = 4096
LONGEST_INSTRUCTION = 15


class Translator:
    """Translates the code of one guest."""

    def __init__(self, cache: TranslatedCode) -> None:
        self._cache = cache
        self._places: dict[int, int] = {}
        self._of_page: dict[int, set[int]] = {}
        self._of_frame: dict[int, set[int]] = {}
        self._jumps: dict[int, list[tuple[int, int]]] = {}
        self.counts = {"dropped translations": 0, "cache flushes": 0}
        cache.on_release(self.drop_frame)

    def place(self, eip: int) -> int | None:
        """Place of the translation of the code at a guest EIP; None where it cannot be translated."""
        cache = self._cache
        found: int | None = cache.making.find(eip)
        if not found:
            self._read_log()
            found = self._places.get(eip)
        if found is not None and not cache.is_seen(eip >> 12):
            self.drop_page(eip >> 12)
            found = None
        if found is None:
            return cache.making.translate(eip) or self._translate(eip)
        cache.making.note(eip, found)
        return found

    def _translate(self, eip: int) -> int | None:
        cache = self._cache
        if eip >= cache.BASE - PAGE:
            return None
        self._read_log()
        if cache.making.full:
            self._flush()
        if not cache.still(eip):  # the page leads to another frame now
            self.drop_page(eip >> 12)
        frame = cache.frame_for(eip)
        if frame is None:
            return None
        room = PAGE - eip % PAGE
        source = cache.fetch([(frame, eip % PAGE, room)])
        made = emit(cache.making, source, room, eip, frame, cache.shadows)
        return made if made is not None else self._translate_crossing(eip, frame, room)

    def _translate_crossing(self, eip: int, frame: int, room: int) -> int | None:
        """An instruction on two pages, alone."""
        cache, page = self._cache, (eip >> 12) + 1
        if not cache.still(eip + room):
            self.drop_page(page)
        second = cache.frame_for(eip + room)
        if second is None:
            return None
        source = cache.fetch([(frame, eip % PAGE, room), (second, 0, LONGEST_INSTRUCTION)])
        place = emit(cache.making, source, cache.making.length_of(source), eip, frame, cache.shadows)
        assert place is not None  # noqa: S101  (there is a whole instruction)
        cache.flags[place] |= Place.CROSSES
        self._read_log()
        self._of_page.setdefault(page, set()).add(eip)
        self._of_frame.setdefault(second, set()).add(page)
        return place

    def _read_log(self) -> None:
        """Note what has been translated."""
        entries, jumps = self._cache.making.take_log()
        for eip, place, frame, number in entries:
            if number and eip in self._places:
                continue
            page = eip >> 12
            self._places[eip] = place
            self._of_page.setdefault(page, set()).add(eip)
            self._of_frame.setdefault(frame - 1, set()).add(page)
        for target, site, stub in jumps:
            self._jumps.setdefault(target, []).append((site, stub))

    def snapshot(self) -> Snapshot:
        """What there is now."""
        self._read_log()
        cache = self._cache
        code = bytes(cache.memory[: cache.making.end])
        starts = sorted((place, eip) for eip, place in self._places.items())
        linked: dict[int, dict[int, None]] = {eip: {} for _, eip in starts}
        asks: dict[int, dict[int, None]] = {eip: {} for _, eip in starts}
        for target, sites in self._jumps.items():
            for site, stub in sites:
                owner = bisect_right(starts, (site, 1 << 32)) - 1
                if owner >= 0:
                    now = code[site : site + 4]
                    kind = asks if now == _distance(site, stub) else linked
                    kind[starts[owner][1]][target] = None
        made = (
            Translation(eip, cache.BASE + place, tuple(linked[eip]), tuple(asks[eip])) for place, eip in starts
        )
        return Snapshot(tuple(sorted(made, key=lambda one: one.eip)), cache.BASE, code)

    # --- forgetting

    def _flush(self) -> None:
        """The cache is full: begin anew."""
        self.counts["cache flushes"] += 1
        for table in (self._places, self._of_page, self._of_frame, self._jumps):
            table.clear()
        self._cache.forget_all()

    def drop_frame(self, frame: int) -> None:
        """The code in a frame may change."""
        self._read_log()
        for page in self._of_frame.pop(frame, ()):
            self.drop_page(page)

    def drop_page(self, page: int) -> None:
        """The code of a linear page (a number) is another now, or may be."""
        self._read_log()
        cache = self._cache
        cache.forget_seen(page)
        for eip in self._of_page.pop(page, ()):
            place = self._places.pop(eip, None)
            if place is None:
                continue
            self.counts["dropped translations"] += 1
            if cache.making.find(eip):
                cache.making.note(eip, 0)
            for site, stub in self._jumps.get(eip, ()):
                self._unlink(site, stub)

    def _unlink(self, site: int, stub: int) -> None:
        cache, wanted = self._cache, _distance(site, stub)
        if cache.memory[site : site + 4] != wanted:
            cache.memory[site : site + 4] = wanted
            cache.forget_code(site, 4)


def _distance(site: int, stub: int) -> bytes:
    """What a jump holds whose distance lies at `site`, while it leads to its stub."""
    return (stub - site - 4 & 0xFFFFFFFF).to_bytes(4, "little")
