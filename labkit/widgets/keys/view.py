"""The session's moment -> one frozen view. Nothing here changes the unit."""

from dataclasses import asdict
from typing import Any

import msgspec

from labkit.vm.keys import KeyVirtualizer, class_of
from labkit.vm.machine.access_rights import LEVELS, NAMES, allowed, letters
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault, Verdict
from labkit.widgets.keys.model import Counter, Gate, Register, RightsRow, Row, View
from labkit.widgets.keys.rules import guest_key_bits, register_bits, shadow_bits, virtual_bits
from labkit.widgets.keys.session import KeysSession, Moment
from labkit.widgets.notation import hexadecimal
from labkit.widgets.shadow_keys import GATES

__all__ = ["as_json", "look", "outcome"]

ROWS, REGISTERS, GUEST_KEYS = 12, 32, 16
COUNTED = (
    ("TLB purges", "purges"), ("TLB entries rewritten", "rewritten"), ("key registers written", "key_writes"),
    ("TLB refills", "refills"), ("key misses, hidden", "key_misses"), ("purges spared", "level_changes"),
)  # fmt: skip


def look(session: KeysSession) -> View:
    """The view of a session where it stands."""
    now, before, unit = session.now, session.before, session.unit
    entry = unit.translations[now.page]
    held = unit.hardware.tlb.find(now.page)
    owed = unit.expected(now.page, now.access).fault
    rows, more = _rows(session, now.page)
    return View(
        status=f"step {session.at} of {len(session.moments) - 1}: {now.what}",
        level=unit.level, access=str(now.access), keys_on=unit.hardware.keys_on, rows=rows, more=more,
        guest_keys=guest_key_bits([
            (n, register) for n, register in enumerate(unit.keys) if register.valid
        ][:GUEST_KEYS]),
        registers=_registers(session, held), changes=_changes(now, before),
        rights_title=f"on a page of level {entry.level}; the guest is at level {unit.level}",
        rights=tuple(_rights_row(rights, entry) for rights in range(8)),
        gates=_gates(unit, now.verdict), path=now.path,
        outcome=outcome(now, owed), outcome_kind=_kind(now, owed), counters=_counters(now, before),
        step=session.at, steps=len(session.moments) - 1, message=session.message,
    )  # fmt: skip


def as_json(view: View) -> dict[str, Any]:
    """The view as plain data for the front-end."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    return plain


def _rows(session: KeysSession, selected: int) -> tuple[tuple[Row, ...], str]:
    pages = session.pages
    at = pages.index(selected)
    first = max(0, min(at - ROWS // 2, len(pages) - ROWS))
    shown = pages[first : first + ROWS]
    hidden = len(pages) - len(shown)
    return tuple(_row(session, page, selected) for page in shown), f"{hidden} more pages" if hidden > 0 else ""


def _row(session: KeysSession, page: int, selected: int) -> Row:
    unit = session.unit
    entry, held = unit.translations[page], unit.hardware.tlb.find(page)
    was = next((old for old in session.before.unit.hardware.entries if old.page == page), None)
    shadow = shadow_bits(unit, entry, held) if held else ()
    changed = session.at > 0 and held != was
    return Row(
        page, session.names.get(page, ""), hexadecimal(page << 12), virtual_bits(entry), shadow,
        page == selected, changed,
    )  # fmt: skip


def _registers(session: KeysSession, held: Entry | None) -> tuple[Register, ...]:
    unit, shown = session.unit, []
    old: tuple[KeyRegister | None, ...] = session.before.unit.hardware.registers
    if session.at == 0:
        old = (None,) * len(old)
    for number, register in enumerate(unit.hardware.registers):
        if number >= REGISTERS:
            break
        was = old[number]
        changed = was is not None and was != register
        use = unit.uses.get(register.key) if register.valid else None
        what = f"key {use[0]:03x} class {use[1].number}" if use else "free"
        selected = held is not None and register.valid and register.key == held.key
        shown.append(Register(number, register_bits(unit, register, was), what, selected, changed))
    return tuple(shown)


def _changes(now: Moment, before: Moment) -> str:
    if now is before:
        return "nothing has changed yet"
    new, old = now.unit.hardware, before.unit.hardware
    registers = sum(a != b for a, b in zip(new.registers, old.registers, strict=True))
    entries = len(set(new.entries) ^ set(old.entries))
    what = f"{_count(registers, 'key register')} and {_count(entries, 'TLB entry', 'TLB entries')}"
    return f"≠ the last step changed {what}"


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def _rights_row(rights: int, entry: Entry) -> RightsRow:
    cells = tuple(letters(allowed(rights, entry.level, level)) for level in LEVELS)
    union = letters(class_of(rights, entry.level).union)
    return RightsRow(f"{rights} {NAMES[rights]}", cells, union, rights == entry.rights)


def _gates(unit: KeyVirtualizer, verdict: Verdict | None) -> tuple[Gate, ...]:
    shown = []
    for fault, name in GATES:
        skipped = fault in (Fault.KEY_MISS, Fault.KEY_PERMISSION) and not unit.hardware.keys_on
        if verdict is None or (not verdict.passed and fault > verdict.fault):
            state = "not reached"
        elif fault is verdict.fault:
            state = "stops"
        else:
            state = "passes"
        shown.append(Gate(name, state, "not checked" if skipped else _detail(fault, verdict, state)))
    return tuple(shown)


def _detail(fault: Fault, verdict: Verdict | None, state: str) -> str:
    if verdict is None or state == "not reached":
        return ""
    entry, register = verdict.entry, verdict.register
    if fault is Fault.KEY_MISS and entry is not None:
        return f"key {entry.key:03x}"
    if fault is Fault.KEY_PERMISSION and register is not None:
        return str(register)
    if fault is Fault.ACCESS_RIGHTS and entry is not None:
        return f"{entry.rights} {NAMES[entry.rights]}"
    return ""


def _kind(now: Moment, owed: Fault) -> str:
    if now.verdict is None:
        return ""
    if now.verdict.passed:
        return "fault" if owed else "passes"
    return "hidden" if now.seen is None else "fault"


def outcome(now: Moment, owed: Fault) -> str:
    """What came of the last attempt, in a sentence; `owed` is what the guest's own unit says to the access."""
    verdict, seen = now.verdict, now.seen
    if verdict is None:
        return "press → for one attempt at the access, or Enter for the whole of it"
    if verdict.passed and owed:
        return f"all gates let it pass, though the guest's own unit would say {owed}: too much is permitted"
    if verdict.passed:
        return "all gates let it pass: the access is made"
    if seen is None:
        what = "puts the shadow entry in" if verdict.fault is Fault.MISS else "loads the shadow key's register"
        return f"{verdict.fault}, which the guest's own unit would not raise: the monitor hides it and {what}"
    if seen is verdict.fault:
        return f"the hardware says {verdict.fault}, and so would the guest's own unit: reflected"
    return f"the hardware says {verdict.fault}; the guest's own unit would say {seen}, so that is reflected"


def _counters(now: Moment, before: Moment) -> tuple[Counter, ...]:
    new, old = asdict(now.unit.counts), asdict(before.unit.counts)
    return tuple(Counter(name, new[field], new[field] - old[field]) for name, field in COUNTED)
