"""What a binary translator holds: guest code beside its translation, and the translations as a graph of jumps."""

from collections.abc import Sequence

from labkit.vm.engines import BinaryTranslator, Translation
from labkit.vm.machine import Machine
from labkit.vm.replay.disassembly import Line, disassemble
from labkit.widgets.graph import Graph, graph
from labkit.widgets.theme import tokens

__all__ = ["Translation", "beside", "cache_graph", "translations"]

ENDS = ("hlt", "jmp", "ret", "iretd", "retf")


def translations(engine: BinaryTranslator) -> list[Translation]:
    """All that are in the cache now, by guest EIP."""
    return list(engine.snapshot().translations)


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
    held = engine.snapshot()
    one = held.find(eip)
    if one is None:
        raise ValueError(f"the code at {eip:x}h is not translated")
    ours = disassemble(machine.memory.read, eip, 0, count)
    theirs = disassemble(held.read, one.address, 0, count)
    rows = [f"{'guest':44}translation"]
    for guest, made in zip(ours, theirs, strict=False):
        callout = "  <- the monitor is asked" if made.mnemonic == "int3" else ""
        rows.append(f"{_short(guest):44}{_short(made)}{callout}")
        if guest.mnemonic in ENDS:
            break
    return "\n".join(rows)


def _short(line: Line) -> str:
    return f"{line.address:08x}  {line.mnemonic} {line.operands}".rstrip()
