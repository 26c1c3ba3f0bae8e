from labkit.vm.machine.probes import cells

NO_CELLS = ("CELLS", "MMIO_RANGES", "FRAME_", "ATTENTION_")


def test_no_two_things_share_a_cell():
    numbers = {
        name: number
        for name, number in vars(cells).items()
        if isinstance(number, int) and number < cells.CELLS and not name.startswith(NO_CELLS)
    }
    for i in range(1, 2 * cells.MMIO_RANGES):
        numbers[f"MMIO + {i}"] = cells.MMIO + i
    shared = [name for name, number in numbers.items() if list(numbers.values()).count(number) > 1]
    assert len(numbers) > 80
    assert not shared
