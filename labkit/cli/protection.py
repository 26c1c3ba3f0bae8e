"""`--protection`: how a guest's privilege levels are kept apart, and what that has cost.

paging         x86 paging, as every PC guest expects it
keyed-paging   the same to the guest; user and supervisor are told apart by keys alone
shadow-keys, purge, entry-per-level, none
for `rings`, whose machine has a protection unit: the ways to virtualize it, or the real unit
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labkit.cli.errors import CommandError

__all__ = ["PROTECTIONS", "counts", "engine_for", "mmu_for"]

_PC = {"paging": "labkit", "keyed-paging": "keyed paging"}
_UNITS = ("shadow-keys", "purge", "entry-per-level", "none")
PROTECTIONS = (*_PC, *_UNITS)
_NAMES = {"key_misses": "hidden_key_misses", "key_writes": "key_register_writes"}
_LEFT_OUT = {"accesses"}  # counted by the unit alone, which no guest drives


def mmu_for(protection: str, image: Any) -> str:
    """The `mmu` of the machine for a boot image. Raises CommandError where they do not go together."""
    if image.mmu == "keys":
        if protection in _PC:
            raise CommandError(f"{image.name} has a protection unit, not paging: --protection {', '.join(_UNITS)}")
        return "keys"
    if protection in _UNITS:
        raise CommandError(f"--protection {protection} is for the guest rings; for others: {', '.join(_PC)}")
    return _PC[protection or "paging"]


def engine_for(protection: str, machine: Any) -> Any:
    """The engine of a machine whose mmu is "keys"."""
    from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
    from labkit.vm.keys.engine import KeysEngine

    ways = (KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization)
    return KeysEngine(machine, dict(zip(_UNITS, ways, strict=True))[protection or _UNITS[0]]())


def counts(machine: Any, engine: Any) -> Mapping[str, int | str]:
    """The way, and what it has counted; empty for plain paging.

    In the JSON of a run it is `protection`: of a protection unit all of `Counts` (vm/keys/unit.py); of keyed paging

    level_changes_seen     those that a TLB fill has met: the registers are set at a fill, and what both levels have
                           filled, Unicorn's TLB of each ring keeps apart by itself
    key_register_writes    of the four
    stopped_by_a_key       accesses
    stale_keys             that forbade what is allowed: there should be none
    """
    if machine.processor.mmu == "keyed paging":
        from labkit.vm.machine.keyed_paging import keyed_paging

        told = keyed_paging(machine.processor)
        return {
            "way": "keyed paging", "level_changes_seen": told.level_changes,
            "key_register_writes": told.register_writes, "stopped_by_a_key": told.forbidden, "stale_keys": told.stale,
        }  # fmt: skip
    unit = getattr(engine, "unit", None)
    if unit is None:
        return {}
    counted = {_NAMES.get(name, name): count for name, count in asdict(unit.counts).items() if name not in _LEFT_OUT}
    return {"way": unit.name, **counted}
