"""The rule behind each bit of a shadow entry and of a shadow key register, in a sentence."""

from labkit.vm.keys import KeyVirtualizer, class_of
from labkit.vm.machine.access_rights import EXECUTE, LEVELS, NAMES, READ, WRITE, allowed, letters
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry
from labkit.widgets.keys.model import Bit

__all__ = ["guest_key_bits", "register_bits", "shadow_bits", "virtual_bits"]

KINDS = (("r", READ, "read"), ("w", WRITE, "write"), ("x", EXECUTE, "execute"))
FLAGS = (("p", "present"), ("d", "dirty"), ("a", "accessed"))


def _levels(found: list[int]) -> str:
    if not found:
        return "no level"
    if len(found) == len(LEVELS):
        return "every level"
    return f"level {found[0]}" if len(found) == 1 else f"levels {', '.join(map(str, found[:-1]))} and {found[-1]}"


def _rights(entry: Entry) -> str:
    return f"{entry.rights} {NAMES[entry.rights]} on a page of level {entry.level}"


def _flags(entry: Entry, rule: str) -> tuple[Bit, ...]:
    return tuple(
        Bit(name, letter if getattr(entry, name) else "-", rule.format(name)) for letter, name in FLAGS
    )


def virtual_bits(entry: Entry) -> tuple[Bit, ...]:
    """The guest's entry: all that it has set itself."""
    by = "the guest set {} when it inserted this translation"
    return (
        Bit("rights", f"{entry.rights} {NAMES[entry.rights]}", by.format(f"access rights {entry.rights}")),
        Bit("level", str(entry.level), by.format(f"page level {entry.level}")),
        Bit("key", f"{entry.key:03x}", by.format(f"key {entry.key:03x}")),
        *_flags(entry, by),
    )


def shadow_bits(unit: KeyVirtualizer, entry: Entry, held: Entry) -> tuple[Bit, ...]:
    """The hardware's entry for a guest's: three rights, level, key, flags."""
    found = class_of(entry.rights, entry.level)
    bits = []
    for letter, bit, verb in KINDS:
        who = [g for g in LEVELS if found.vector[g] & bit]
        rule = f"{_levels(who)} may {verb} by {_rights(entry)}"
        if not who:
            rule += f", so the shadow rights do not permit it ({held.rights} {NAMES[held.rights]})"
        elif found.denied(unit.level) & bit:
            rule += ", so the shadow rights permit it at all"
            rule += f": too much for level {unit.level}, which key {held.key:03x} must stop"
        else:
            rule += f", so the shadow rights permit it at all; level {unit.level} is one of them"
        mark = "+" if found.denied(unit.level) & bit else ""
        bits.append(Bit(verb, letter if _allows(held, bit) else "-", rule, mark))
    vector = " ".join(letters(mask) for mask in found.vector)
    return (
        *bits,
        Bit("level", str(held.level), f"all four levels of the guest run at the one real level {held.level}"),
        Bit(
            "key", f"{held.key:03x}",
            f"stands for the guest's key {entry.key:03x} with rights {vector} at levels 0 to 3, class {found.number}",
        ),
        *_flags(held, "{} is copied from the guest's entry"),
    )  # fmt: skip


def _allows(held: Entry, bit: int) -> bool:
    """Do the access rights of a hardware entry permit it at the hardware's level?"""
    return bool(allowed(held.rights, held.level, held.level) & bit)


def register_bits(
    unit: KeyVirtualizer, register: KeyRegister, before: KeyRegister | None
) -> tuple[Bit, ...]:
    """A hardware key register: its key, and what it lets pass; marked where `before` was another value."""
    if not register.valid:
        return (Bit("key", "···", "free: no shadow key has been needed here"),)
    use = unit.uses.get(register.key)
    if use is None:
        return (Bit("key", f"{register.key:03x}", "stands for nothing any more"),)
    key, found = use
    own = unit.keys.get(key) if unit.keys_on else None
    same = before is not None and before.valid and before.key == register.key
    bits = [
        Bit(
            "key", f"{register.key:03x}",
            f"register for the guest's key {key:03x} with the rights of class {found.number}; "
            "loaded by the monitor when the hardware missed it",
            "" if same else "≠" if before is not None else "",
        )
    ]  # fmt: skip
    for letter, bit, verb in KINDS:
        why = []
        if found.denied(unit.level) & bit:
            why.append(f"the class denies it to level {unit.level}, though the shadow rights permit it")
        if own is not None and own.disabled & bit:
            why.append(f"the guest's own register for key {key:03x} disables it")
        stopped = bool(register.disabled & bit)
        expected = bool(why)
        rule = f"{verb} {'disabled' if stopped else 'lets pass'}: "
        if stopped:
            rule += " and ".join(why) or "nothing asks for this: the register is stale"
        elif expected:
            rule += f"but {why[0]}: the register is stale"
        elif not found.union & bit:
            rule += "the shadow rights forbid it already"
        else:
            rule += f"level {unit.level} may {verb}, and the guest's own register for key {key:03x} does not disable it"
        changed = same and before is not None and bool((before.disabled ^ register.disabled) & bit)
        bits.append(Bit(verb, "-" if stopped else letter, rule, "≠" if changed else ""))
    return tuple(bits)


def guest_key_bits(registers: list[tuple[int, KeyRegister]]) -> tuple[Bit, ...]:
    """The guest's own key registers, those in use."""
    return tuple(
        Bit(f"register {number}", str(register), f"the guest wrote key {register.key:03x} into its register {number}")
        for number, register in registers
    )
