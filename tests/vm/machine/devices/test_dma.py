"""8237A latches."""

from labkit.vm.machine.devices.dma import Dma


def test_words_are_written_and_read_byte_by_byte() -> None:
    dma = Dma()
    for port, clear, step in ((0x02, 0x0C, 1), (0xC4, 0xD8, 2)):
        dma.write(clear, 1, 0)
        for value in (0x34, 0x12):
            dma.write(port, 1, value)
        assert [dma.read(port, 1), dma.read(port, 1)] == [0x34, 0x12]
        dma.read(port, 1)
        dma.write(clear, 1, 0)
        assert dma.read(port, 1) == 0x34
        assert dma.read(port + step, 1) == 0


def test_pages_and_masks() -> None:
    dma = Dma()
    dma.write(0x87, 1, 0xAB)
    assert dma.read(0x87, 1) == 0xAB
    dma.write(0x0A, 1, 2)
    assert dma.read(0x0F, 1) & 15 == 0b1011
