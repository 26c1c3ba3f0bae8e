"""Today's x86 once more: the scheme on protection keys for supervisor pages (PKS).

    user page         its key is looked up in PKRU     which WRPKRU writes at any level
    supervisor page   ... in the MSR IA32_PKRS         which WRMSR writes, a general protection fault above level 0

So the guest runs at real level 1, on supervisor pages: there it is stopped by its keys, and cannot give itself any.
What else differs from Itanium stays: sixteen keys, and none that stops execution. And to x86's paging levels 0 to 2
are one: the monitor's own pages must be kept from the guest by other means (nested page tables, or segment limits).
Source: Intel SDM volume 3A, sections 4.6.1 and 4.6.2, with CR0.WP = 1.
"""

from dataclasses import replace

from labkit.vm.keys.today import PKU_KEYS, PkuUnit, PkuVirtualizer, write_rights
from labkit.vm.keys.unit import VirtualState
from labkit.vm.machine.protection_keys import KeyRegisters
from labkit.vm.machine.tlb import Entry

__all__ = ["IA32_PKRS", "PksUnit", "PksVirtualizer"]

IA32_PKRS = 0x6E1
GUEST_LEVEL = 1
"""Its accesses are a supervisor's, and it may not execute WRMSR; 2 would do as well."""
USER = 3


class PksUnit(PkuUnit):
    """Page tables, IA32_PKRS (`registers`) and PKRU (`user_registers`): by a page's level one or the other counts."""

    def __init__(self, entries: int = 128) -> None:
        self.user_registers = KeyRegisters(PKU_KEYS)
        super().__init__(entries)
        write_rights(self.registers, 0)

    def registers_for(self, entry: Entry) -> KeyRegisters:
        """PKRU for a user page, IA32_PKRS for a supervisor's."""
        return self.user_registers if entry.level == USER else self.registers

    def wrpkru(self, value: int) -> None:
        """The instruction WRPKRU, which any code may execute: of no effect on supervisor pages."""
        write_rights(self.user_registers, value)

    def wrmsr(self, index: int, value: int) -> None:
        """The instruction WRMSR, for IA32_PKRS alone.

        Raises `PermissionError`, the general protection fault, above level 0, and `ValueError` for another MSR.
        """
        if index != IA32_PKRS:
            raise ValueError(f"MSR {index:x}: this unit has {IA32_PKRS:x} alone")
        if self.level:
            raise PermissionError(f"WRMSR at level {self.level}: general protection fault")
        write_rights(self.registers, value)


class PksVirtualizer(PkuVirtualizer):
    """The guest's four levels by PKS: as by PKU, at real level 1 and on supervisor pages."""

    name = "PKS"
    hardware: PksUnit

    def real_unit(self, entries: int) -> PksUnit:
        """The hardware, at a level where PKS counts and WRMSR is refused."""
        unit = PksUnit(entries)
        unit.level = GUEST_LEVEL
        return unit

    def save(self) -> VirtualState:
        """All that it holds, with PKRU, which the guest may write."""
        saved = super().save()
        return replace(saved, own=(saved.own, tuple(self.hardware.user_registers)))

    def load(self, saved: VirtualState) -> None:
        """Exact inverse of `save`."""
        own, user = saved.own
        self.hardware.user_registers.load(user)
        super().load(replace(saved, own=own))
