"""The architecture's rules a second time, written to be held against a unit: nothing here is the unit's own code.

Not `check` and not `allowed` (vm/machine), but a literal table; a dict and a list of the guest's own, filled beside
the unit's. So a unit that forgets a purge or drops a bit of a key is found, and not asked whether it is right.

Source: Itanium architecture manual, volume 2, table 4-2 and sections 4.1.1 and 4.1.3.
"""

from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

__all__ = ["RULES", "Reference"]

# Row: access rights. Column: page level 0..3. In it: what levels 0, 1, 2, 3 may do.
_TABLE = """
0  r--,---,---,---  r--,r--,---,---  r--,r--,r--,---  r--,r--,r--,r--
1  r-x,---,---,---  r-x,r-x,---,---  r-x,r-x,r-x,---  r-x,r-x,r-x,r-x
2  rw-,---,---,---  rw-,rw-,---,---  rw-,rw-,rw-,---  rw-,rw-,rw-,rw-
3  rwx,---,---,---  rwx,rwx,---,---  rwx,rwx,rwx,---  rwx,rwx,rwx,rwx
4  rw-,---,---,---  rw-,r--,---,---  rw-,rw-,r--,---  rw-,rw-,rw-,r--
5  rwx,---,---,---  rwx,r-x,---,---  rwx,r-x,r-x,---  rwx,r-x,r-x,r-x
6  rw-,---,---,---  rw-,rwx,---,---  rw-,rw-,rwx,---  rw-,rw-,rw-,rwx
7  r-x,--x,--x,--x  r-x,--x,--x,--x  r-x,--x,--x,--x  r-x,--x,--x,--x
"""
RULES = [[cell.split(",") for cell in row.split()[1:]] for row in _TABLE.strip().splitlines()]
"""`RULES[access rights][page level][level]`: what is allowed, as three letters."""
LETTERS = {Access.READ: "r", Access.WRITE: "w", Access.EXECUTE: "x"}


class Reference:
    """What a guest on a real unit of `registers` key registers would see.

    It starts at level 0, addresses translated and keys checked.
    """

    def __init__(self, registers: int) -> None:
        self.translations: dict[int, Entry] = {}
        self.registers = [KeyRegister(0, 0, valid=False)] * registers
        self.level = 0
        self.keys_on = True
        self.translate = True

    def insert(self, entry: Entry) -> None:
        """ITC."""
        self.translations[entry.page] = entry

    def purge(self, page: int) -> None:
        """PTC."""
        self.translations.pop(page, None)

    def set_register(self, index: int, register: KeyRegister) -> None:
        """MOV PKR: a key is in one valid register at most; the other one's valid bit is cleared, no other bit."""
        if register.valid:
            self.registers = [
                KeyRegister(held.key, held.disabled, held.valid and held.key != register.key) for held in self.registers
            ]
        self.registers[index] = register

    def key_of(self, page: int) -> int:
        """TAK: bits 8 to 31 are the page's key; 1 where it has no present translation."""
        entry = self.translations.get(page)
        return entry.key * 256 if entry and entry.present else 1

    def set_level(self, level: int) -> None:
        """An interruption, or RFI."""
        self.level = level

    def set_keys_on(self, on: bool) -> None:
        """PSR.pk."""
        self.keys_on = on

    def set_translate(self, on: bool) -> None:
        """PSR.it and PSR.dt."""
        self.translate = on

    def promote(self, page: int) -> int:
        """EPC on a page: the level afterwards."""
        entry = self.translations.get(page)
        if not self.translate:
            self.level = 0
        elif entry is not None and entry.rights == 7 and entry.level < self.level:
            self.level = entry.level
        return self.level

    def demote(self, level: int) -> int:
        """BR.RET, which gives no privilege: the level afterwards."""
        self.level = max(self.level, level)
        return self.level

    def own_key(self, page: int) -> KeyRegister | None:
        """The register that a check of a page meets."""
        entry = self.translations.get(page)
        if entry is None or not self.keys_on:
            return None
        return next((held for held in self.registers if held.valid and held.key == entry.key), None)

    def access(self, page: int, access: Access) -> Fault:
        """The first gate that is shut, or `NONE`."""
        return self._at(self.level, page, access) if self.translate else Fault.NONE

    def probe(self, page: int, access: Access, level: int) -> bool | Fault:
        """PROBE, for the less privileged of two levels: a plain no where key or rights deny."""
        found = self._at(max(level, self.level), page, access)
        if found in (Fault.KEY_PERMISSION, Fault.ACCESS_RIGHTS):
            return False
        return found if found in (Fault.MISS, Fault.NOT_PRESENT, Fault.KEY_MISS) else True

    def _at(self, level: int, page: int, access: Access) -> Fault:
        entry, register = self.translations.get(page), self.own_key(page)
        if entry is None:
            return Fault.MISS
        if not entry.present:
            return Fault.NOT_PRESENT
        if self.keys_on and register is None:
            return Fault.KEY_MISS
        if register and register.disabled & {"r": 1, "w": 2, "x": 4}[LETTERS[access]]:
            return Fault.KEY_PERMISSION
        if LETTERS[access] not in RULES[entry.rights][entry.level][level]:
            return Fault.ACCESS_RIGHTS
        if access is Access.WRITE and not entry.dirty:
            return Fault.DIRTY_BIT
        return Fault.NONE if entry.accessed else Fault.ACCESS_BIT
