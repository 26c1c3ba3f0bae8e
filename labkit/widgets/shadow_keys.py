"""Keys stand in for rights: the guest's entry and its shadow, the key registers, and the gates of one access."""

from textwrap import wrap

from labkit.vm.keys import KeyVirtualizer, class_of
from labkit.vm.machine.access_rights import ALL, LEVELS, NAMES, Access, allowed, letters
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault, Verdict
from labkit.widgets import svg
from labkit.widgets.notation import hexadecimal
from labkit.widgets.picture import Picture

__all__ = ["GATES", "draw", "key_registers", "rights_table", "shadow_keys"]

WIDTH, LEFT, ROW = 640, 8, 20
COLUMNS = 74  # of text, which a narrow notebook shows unbroken
MOST = 16
"""Entries that are drawn."""
GATES = (
    (Fault.MISS, "in the TLB"), (Fault.NOT_PRESENT, "present"), (Fault.KEY_MISS, "has the key"),
    (Fault.KEY_PERMISSION, "key allows"), (Fault.ACCESS_RIGHTS, "rights allow"), (Fault.DIRTY_BIT, "dirty"),
    (Fault.ACCESS_BIT, "accessed"),
)  # fmt: skip


def shadow_keys(unit: KeyVirtualizer, page: int, access: Access) -> Picture:
    """Draw what the unit holds, and the check of an access to `page`; makes the access, as the guest would.

    So a missing shadow entry or key register is put in first.
    """
    seen = unit.access(page, access)
    return draw(unit, page, access, unit.hardware.check(page, access), seen)


def draw(
    unit: KeyVirtualizer, page: int, access: Access, verdict: Verdict | None, seen: Fault | None
) -> Picture:
    """Draw what the unit holds, and the hardware's verdict on an access, where there is one; changes nothing.

    `seen` is what the guest sees of it; None where it sees nothing, because the access is tried again.
    """
    what = "not tried yet" if verdict is None else f"{verdict}, hidden" if seen is None else str(seen)
    title = f"{access} at level {unit.level} to {hexadecimal(page << 12)}: {what}"
    entries = _around(sorted(unit.translations.values(), key=lambda entry: entry.page), page)
    gates = [] if verdict is None else _gate_lines(verdict, seen)
    text = "\n".join([title, *_entry_lines(unit, entries, page), *_register_lines(unit), *gates])
    parts = [svg.text(LEFT, 16, title, "fault" if seen else "ink", bold=True)]
    y = _tables(parts, unit, entries, page)
    y = _registers(parts, unit, y + 24)
    if verdict is not None:
        y = _gates(parts, verdict, seen, y + 24)
    return Picture(title, text, svg.document(WIDTH, y + 8, title, text, parts))


def _around(entries: list[Entry], page: int) -> list[Entry]:
    """As many as are drawn, around a page."""
    at = next((i for i, entry in enumerate(entries) if entry.page >= page), len(entries))
    first = max(0, min(at - MOST // 2, len(entries) - MOST))
    return entries[first : first + MOST]


def _too_much(unit: KeyVirtualizer, entry: Entry) -> int:
    return class_of(entry.rights, entry.level).denied(unit.level)


def _shadow(unit: KeyVirtualizer, entry: Entry) -> str:
    held = unit.hardware.tlb.find(entry.page)
    if held is None:
        return "not filled yet"
    plus = f" + {letters(_too_much(unit, entry))}" if _too_much(unit, entry) else ""
    return f"{held.rights} {NAMES[held.rights]:<3} level {held.level} key {held.key:03x}{plus}"


def _virtual(entry: Entry) -> str:
    rights = f"{entry.rights} {NAMES[entry.rights]:<6}"
    return f"{hexadecimal(entry.page << 12)}  {rights} level {entry.level} key {entry.key:03x}"


def _entry_lines(unit: KeyVirtualizer, entries: list[Entry], page: int) -> list[str]:
    return [
        f"{'>' if entry.page == page else ' '} {_virtual(entry)}  ->  {_shadow(unit, entry)}"
        for entry in entries
    ]


def _register_lines(unit: KeyVirtualizer) -> list[str]:
    held = [str(unit.hardware.registers[i]) for i in range(len(unit.hardware.registers))]
    return ["  key registers: " + ", ".join(text for text in held if text != "free")]


def _outcome(verdict: Verdict, seen: Fault | None) -> str:
    if seen is None:
        return f"the hardware says {verdict.fault}, which the guest's own unit would not: hidden, and tried again"
    if seen is Fault.NONE:
        return "all gates let it pass: the access is made"
    if seen is verdict.fault:
        return f"the hardware's fault is the guest's: {seen}"
    return f"the hardware says {verdict.fault}; the guest's own unit would say {seen}, so that is reflected"


def _gate_lines(verdict: Verdict, seen: Fault | None) -> list[str]:
    passed = [name for fault, name in GATES if verdict.passed or fault < verdict.fault]
    said = f"passes: {', '.join(passed) or 'none'}", _outcome(verdict, seen)
    return [line for words in said for line in wrap(words, COLUMNS, initial_indent="  ", subsequent_indent="    ")]


def _tables(parts: list[str], unit: KeyVirtualizer, entries: list[Entry], page: int) -> int:
    y = 44
    parts.append(svg.text(LEFT, y, "Virtual TLB, what the guest set", "guest", bold=True))
    parts.append(svg.text(370, y, "Shadow TLB, + permits too much", "monitor", bold=True))
    for entry in entries:
        y += ROW
        if entry.page == page:
            parts.append(svg.rect(LEFT - 4, y - 14, WIDTH - 8, ROW, wash="guest"))
            parts.append(svg.text(LEFT, y, ">", bold=True))
        parts.append(svg.text(LEFT + 14, y, _virtual(entry), mono=True))
        parts.append(svg.line(f"M332 {y - 4}H362"))
        parts.append(svg.text(370, y, _shadow(unit, entry), "monitor", mono=True))
    return y


def _registers(parts: list[str], unit: KeyVirtualizer, y: int) -> int:
    counts = unit.counts
    words = f"{counts.key_writes} written, {counts.purges} TLB purges, {counts.rewritten} entries rewritten so far"
    parts.append(svg.text(LEFT, y, "Key registers", bold=True))
    parts.append(svg.text(LEFT + 100, y, words, "dim", small=True))
    columns, width = 8, (WIDTH - 2 * LEFT) / 8
    count = len(unit.hardware.registers)
    for i in range(count):
        x, top = LEFT + i % columns * width, y + 8 + i // columns * 40
        register = unit.hardware.registers[i]
        parts.append(svg.rect(x, top, width, 40, edge="hair"))
        parts.append(svg.text(x + 4, top + 14, str(i), "dim", small=True))
        parts.append(
            svg.text(x + 4, top + 32, str(register), "monitor" if register.valid else "dim", mono=True)
        )
    return y + 8 + (count + columns - 1) // columns * 40


def _gates(parts: list[str], verdict: Verdict, seen: Fault | None, y: int) -> int:
    parts.append(svg.text(LEFT, y, "The check", bold=True))
    step = (WIDTH - 2 * LEFT) / len(GATES)
    for number, (fault, name) in enumerate(GATES):
        x, line = LEFT + number * step, y + 26
        reached = verdict.passed or fault <= verdict.fault
        passes = verdict.passed or fault < verdict.fault
        ink = "ink" if passes else "fault" if reached else "line"
        end = f"M{x:.0f} {line}H{x + 24:.0f}" + (
            f"L{x + 50:.0f} {line}" if passes else f"L{x + 44:.0f} {line - 18}"
        )
        parts.append(
            svg.line(end + f"M{x + 50:.0f} {line}H{x + step:.0f}", ink, width=1.5, dashed=not reached)
        )
        parts.append(svg.text(x, line + 18, name, ink if reached else "dim", small=True))
        mark = "passes" if passes else "stops here" if reached else "not reached"
        parts.append(svg.text(x, line + 32, mark, ink if reached else "dim", small=True))
    parts.append(svg.text(LEFT, y + 82, _outcome(verdict, seen), "fault" if seen else "ink"))
    return y + 86


def rights_table(page_level: int, level: int) -> Picture:
    """Draw what each access right allows on a page of `page_level`, the guest's `level` marked; and the union.

    Raises `ValueError` for a level outside 0..3.
    """
    rows = []
    for rights, name in enumerate(NAMES):
        cells = [letters(allowed(rights, page_level, g)) for g in LEVELS]
        rows.append((f"{rights} {name}", cells, letters(class_of(rights, page_level).union)))
    title = f"rights on a page of level {page_level}; the guest is at level {level}"
    head = "  access right  " + " ".join(f"{'>' if g == level else ' '}{g} " for g in LEVELS) + "  any level"
    text = "\n".join(
        [title, head, *(f"  {name:<13} " + " ".join(cells) + f"  {union}" for name, cells, union in rows)]
    )
    parts = [svg.text(LEFT, 16, title, bold=True)]
    parts.append(svg.rect(124 + 60 * level, 26, 52, 18 + ROW * len(rows), edge="guest", wash="guest"))
    parts += [
        svg.text(132 + 60 * g, 40, f"{g} now" if g == level else str(g), "guest" if g == level else "dim")
        for g in LEVELS
    ]
    parts.append(svg.text(384, 40, "any level: the shadow", "monitor"))
    for i, (name, cells, union) in enumerate(rows):
        y = 40 + ROW * (i + 1)
        parts.append(svg.text(LEFT, y, name, mono=True))
        parts += [svg.text(132 + 60 * g, y, cells[g], mono=True, bold=g == level) for g in LEVELS]
        parts.append(svg.text(384, y, union, "monitor", mono=True))
    return Picture(title, text, svg.document(560, 40 + ROW * 9, title, text, parts))


def key_registers(unit: KeyVirtualizer) -> Picture:
    """Draw what the register of each shadow key lets pass at each guest level, side by side; changes nothing."""
    title = f"what each key register lets pass, by guest level; the guest is at level {unit.level}"
    rows = []
    for key, (guest_key, found) in list(unit.uses.items())[:MOST]:
        own = unit.keys.get(guest_key) if unit.keys_on else KeyRegister(guest_key)
        lets = [letters(ALL & ~(found.denied(g) | own.disabled)) if own else "???" for g in LEVELS]
        rows.append((f"{key:03x}", f"key {guest_key:03x} {found}", lets))
    wide = max((len(what) for _key, what, _lets in rows), default=20)
    head = f"  {'':3}  {'stands for':<{wide}}  " + " ".join(f"{'>' if g == unit.level else ' '}{g} " for g in LEVELS)
    lines = [f"  {key}  {what:<{wide}}  {' '.join(lets)}" for key, what, lets in rows]
    text = "\n".join([title, head, *lines, "" if rows else "  no shadow key is in use yet"]).rstrip()
    left, step = 56 + wide * svg.MONO_WIDTH + 16, 50
    parts = [svg.text(LEFT, 16, title, bold=True), svg.text(56, 40, "stands for", "dim", small=True)]
    parts.append(svg.rect(left + step * unit.level - 6, 26, step - 4, 18 + ROW * len(rows), edge="guest", wash="guest"))
    parts += [
        svg.text(left + step * g, 40, f"{g} now" if g == unit.level else str(g), "guest" if g == unit.level else "dim")
        for g in LEVELS
    ]
    for i, (number, what, lets) in enumerate(rows):
        y = 40 + ROW * (i + 1)
        parts += [svg.text(LEFT, y, number, "monitor", mono=True), svg.text(56, y, what, mono=True)]
        parts += [svg.text(left + step * g, y, lets[g], mono=True, bold=g == unit.level) for g in LEVELS]
    width = max(560, round(left + 4 * step))
    return Picture(title, text, svg.document(width, 52 + ROW * max(1, len(rows)), title, text, parts))
