"""Lab 2, shadow access rights and shadow protection keys: US 7,278,030 (seed 7) on an Itanium-like protection unit.

The idea: rights that depend on the privilege level are made out of keys that do not. Entries in the TLB permit what
any level of the guest may do; key registers take back what its present level may not. A change of level then
rewrites key registers, never the TLB.

Entry object: `KeyVirtualizer`. Read first: classes.py (rights as classes), then shadow.py. Guests of the unit run by
engine.py; reference.py and foretold.py say what is right; today.py and supervisor_keys.py are about today's x86.
"""

from labkit.vm.keys.baselines import DuplicateEntries, NoVirtualization, Retranslation
from labkit.vm.keys.classes import CLASSES, RightsClass, class_of, shadow_rights
from labkit.vm.keys.shadow import KeyVirtualizer
from labkit.vm.keys.unit import Counts, VirtualUnit

__all__ = [
    "CLASSES", "Counts", "DuplicateEntries", "KeyVirtualizer", "NoVirtualization", "Retranslation", "RightsClass",
    "VirtualUnit", "class_of", "shadow_rights",
]  # fmt: skip
