"""The cells' numbers: no two share one, and all lie in the array."""

import ast
from collections import Counter
from pathlib import Path

from labkit.vm.machine.probes import cells


def numbered() -> dict[str, int]:
    """Names that index the array somewhere in the machine."""
    source = ast.parse(Path(cells.__file__).read_text("utf-8"))
    values = set()
    for path in Path(cells.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Subscript):
                for part in ast.walk(node.slice):
                    if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "c":
                        values.add(part.attr)
    names = {t.id for s in source.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
    # addresses (c.ABOVE) stand in subscripts of other things
    return {name: getattr(cells, name) for name in values & names if getattr(cells, name) < cells.ABOVE}


def test_each_cell_has_one_meaning():
    found = numbered()
    assert len(found) > 60
    taken = Counter(found.values())
    taken.update(cells.MMIO + k for k in range(1, 2 * cells.MMIO_RANGES))
    shared = {number: [n for n, v in found.items() if v == number] for number, count in taken.items() if count > 1}
    assert not shared
    assert all(0 <= number < cells.CELLS for number in taken)
