"""A translation that is being made, word by word (probes/translate.py), and where those that were made lie."""

import ctypes
from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import operations, scan, translate, translated
from labkit.vm.machine.probes import translate_words as words

__all__ = ["BRANCH", "NO_REGISTER", "Translating"]

NO_REGISTER, BRANCH = operations.NO_REGISTER, words.BRANCH
FIRST = 16
"""Place of the first translation: none has place 0."""
TABLES = (
    words.LENGTHS, words.EXIT_LIST, words.ENTRY_LIST, words.ENTRY_LOG, words.JUMP_LOG,
)  # fmt: skip


class Translating:
    """Makes one translation after another; `words` is its state."""

    def __init__(self, cells: Any, memory: Any) -> None:
        self._cells, self._memory = cells.ctypes.data, memory
        self._places = np.zeros(1 << translated.HASH_BITS, np.uint64)
        self._work = np.zeros(words.WORDS, np.uint64)
        self._entry_log = np.zeros((words.ENTRY_ROWS, 4), np.uint32)
        self._jump_log = np.zeros((words.JUMP_ROWS, 4), np.uint32)
        self._lists = np.zeros((3, 2 * words.ROWS), np.uint32)
        lists = (self._lists[0], self._lists[1], self._lists[2], self._entry_log, self._jump_log)
        for word, table in zip(TABLES, lists, strict=True):
            self._work[word] = table.ctypes.data
        self.words = (ctypes.c_uint64 * words.WORDS).from_address(self._work.ctypes.data)
        self.words[words.NEXT] = FIRST
        cells[c.TC_PLACES], cells[c.TC_WORK] = self._places.ctypes.data, self._work.ctypes.data

    def length_of(self, source: int) -> int:
        """Bytes of one instruction of 32-bit code."""
        return int(translate.length_of(source))

    def translate(self, eip: int) -> int:
        """Translate the code at a guest EIP: its place, 0 where that takes `begin`, `go_on` and `finish`."""
        return int(translate.translate(self._cells, eip))

    def begin(self, source: int, size: int, eip: int) -> bool:
        """Begin to translate the guest's code in `size` bytes at a host address; False where nothing is whole."""
        return bool(translate.begin(self._cells, source, size, eip))

    def go_on(self) -> bool:
        """Translate to the end, which is True, or up to an instruction that is not done here."""
        return bool(translate.go_on(self._cells))

    def finish(self, frame: int) -> int:
        """Keep what has been translated from a frame; its place."""
        return int(translate.finish(self._cells, frame))

    def put(self, place: int, code: bytes, eip: int, retired: int, flags: int) -> None:
        """Code that stands for the instruction at a guest EIP; `flags` (`Place`) are of its first byte."""
        self._memory[place : place + len(code)] = code
        scan.mark(self._cells, place, len(code), eip, retired, flags)

    def put_operation(
        self, place: int, eip: int, retired: int, flags: int, number: int, first: int, second: int
    ) -> None:
        """An INT3 that stands for an operation, with its arguments."""
        scan.operation(self._cells, place, eip, retired, flags, number, first, second)

    def take_log(self) -> tuple[list[list[int]], list[list[int]]]:
        """What has been translated since the last time.

        Entries: guest EIP, place, frame, number in its translation. Jumps: guest target, place of the distance,
        place of the stub.
        """
        entries = self._entry_log[: self.words[words.LOGGED_ENTRIES]].tolist()
        jumps = self._jump_log[: self.words[words.LOGGED_JUMPS], :3].tolist()
        self.words[words.LOGGED_ENTRIES] = self.words[words.LOGGED_JUMPS] = 0
        return entries, jumps

    def find(self, eip: int) -> int:
        """Place of the translation of the code at a guest EIP, 0 where it is not known at once."""
        return int(translated.find_place(self._cells, eip))

    def note(self, eip: int, place: int) -> None:
        """From now on `find` knows it, as the dispatcher does."""
        translated.note_place(self._cells, eip, place)

    @property
    def end(self) -> int:
        """Place behind the last translation."""
        return int(self.words[words.NEXT])

    @property
    def full(self) -> bool:
        """Is there no room for another translation?"""
        return bool(self.words[words.NEXT] + words.ROOM > c.TC_CODE_BYTES)

    def forget_all(self) -> None:
        """There are none any more."""
        self._places[:] = 0
        self.take_log()
        self.words[words.NEXT], self.words[words.SUM] = FIRST, 0
