"""What a binary translator holds: guest code beside its translation, and the translations as a graph of jumps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.replay.disassembly import Line, disassemble
from labkit.widgets.graph import Graph, graph
from labkit.widgets.theme import tokens

__all__ = ["Translation", "beside", "cache_graph", "translations"]

ENDS = ("hlt", "jmp", "ret", "iretd", "retf")


@dataclass(frozen=True, slots=True)
class Translation:
    """One translation: the guest's EIP, its linear address in the cache, and the EIPs that its jumps are linked to."""

    eip: int
    address: int
    linked: tuple[int, ...]
    asks: tuple[int, ...]
    """EIPs that it still asks the monitor for."""


def _inside(engine: BinaryTranslator) -> tuple[Any, Any]:
    """The translator and its cache: the engine shows neither, and nothing here changes them."""
    return engine._translator, engine._cache  # noqa: SLF001


def translations(engine: BinaryTranslator) -> list[Translation]:
    """All that are in the cache now, by guest EIP."""
    translator, cache = _inside(engine)
    places, jumps = translator._places, translator._jumps  # noqa: SLF001  (as above)
    starts = sorted((place, eip) for eip, place in places.items())
    linked: dict[int, list[int]] = {eip: [] for _, eip in starts}
    asks: dict[int, list[int]] = {eip: [] for _, eip in starts}
    for target, sites in jumps.items():
        for site, stub in sites:
            owner = max((start for start in starts if start[0] <= site), default=None)
            if owner is None:
                continue
            now = cache.memory[site : site + 4]
            unlinked = (stub - site - 4 & 0xFFFFFFFF).to_bytes(4, "little")
            (asks if now == unlinked else linked)[owner[1]].append(target)
    return sorted(
        (
            Translation(eip, cache.BASE + place, tuple(dict.fromkeys(linked[eip])), tuple(dict.fromkeys(asks[eip])))
            for place, eip in starts
        ),
        key=lambda one: one.eip,
    )


def cache_graph(found: Sequence[Translation], *, most: int = 24) -> Graph:
    """Draw translations and the jumps between them; dashed: a jump that still asks the monitor, and where it leads."""
    shown = list(found)[:most]
    known = {one.eip for one in shown}
    guest, dim = tokens()["guest"], tokens()["dim"]
    rows = ["digraph cache {", "  nodesep=0.2; ranksep=0.35;"]
    rows += [f'  "{one.eip:x}" [label="{one.eip:08x}\\nat {one.address:08x}", color="{guest}"];' for one in shown]
    missing = sorted({eip for one in shown for eip in (*one.linked, *one.asks)} - known)
    rows += [f'  "{eip:x}" [label="{eip:08x}", style=dashed, color="{dim}", fontcolor="{dim}"];' for eip in missing]
    for one in shown:
        rows += [f'  "{one.eip:x}" -> "{eip:x}" [color="{guest}"];' for eip in one.linked]
        rows += [f'  "{one.eip:x}" -> "{eip:x}" [style=dashed, color="{dim}"];' for eip in one.asks]
    rows.append("}")
    lines = [f"{len(found)} translations, {sum(len(one.linked) for one in found)} jumps linked"]
    for one in shown:
        ways = [f"{eip:08x}" for eip in one.linked] + [f"({eip:08x})" for eip in one.asks]
        lines.append(f"  {one.eip:08x} at {one.address:08x}  -> {', '.join(ways) or 'no jump of its own'}")
    if len(found) > most:
        lines.append(f"  and {len(found) - most} more")
    return graph("\n".join(rows), title="the translation cache", text="\n".join(lines))


def beside(machine: Machine, engine: BinaryTranslator, eip: int, count: int = 8) -> str:
    """Guest code at an EIP (paging off, flat) beside its translation. Raises `ValueError` where there is none."""
    one = next((one for one in translations(engine) if one.eip == eip), None)
    if one is None:
        raise ValueError(f"the code at {eip:x}h is not translated")
    cache = _inside(engine)[1]
    memory, base = cache.memory, cache.BASE
    ours = disassemble(machine.memory.read, eip, 0, count)
    theirs = disassemble(lambda at, size: memory[at - base : at - base + size], one.address, 0, count)
    rows = [f"{'guest':44}translation"]
    for guest, made in zip(ours, theirs, strict=False):
        callout = "  <- the monitor is asked" if made.mnemonic == "int3" else ""
        rows.append(f"{_short(guest):44}{_short(made)}{callout}")
        if guest.mnemonic in ENDS:
            break
    return "\n".join(rows)


def _short(line: Line) -> str:
    return f"{line.address:08x}  {line.mnemonic} {line.operands}".rstrip()
