"""How numbers look in every face: hexadecimal in fours, decimal in threes, sizes in binary units."""

__all__ = ["binary", "decimal", "hexadecimal", "hexh", "size"]


def hexadecimal(value: int, digits: int = 8) -> str:
    """An address or a register, all digits, in groups of four: `c010 4a1f`."""
    text = f"{value:0{digits}x}"
    first = len(text) % 4
    groups = [text[:first]] * bool(first) + [text[i : i + 4] for i in range(first, len(text), 4)]
    return " ".join(groups)


def hexh(value: int) -> str:
    """A small number, marked as hexadecimal: `300h`; below ten the h says nothing and is left out."""
    return f"{value:x}h" if value > 9 else str(value)


def decimal(value: int) -> str:
    """A count: `338 214 006`."""
    return f"{value:,}".replace(",", " ")


def binary(value: int, bits: int) -> str:
    """The lowest bits of a number as digits, highest first."""
    return f"{value & ((1 << bits) - 1):0{bits}b}"


def size(count: int) -> str:
    """A number of bytes in the largest unit that divides it: `4 KB`; a long one is rounded: `2.9 GB`."""
    units = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))
    for unit, name in units:
        if count >= unit and count % unit == 0 and count // unit < 10_000:
            return f"{decimal(count // unit)} {name}"
    for unit, name in units:
        if count >= unit and count >= 10_000:
            return f"{count / unit:.1f} {name}"
    return f"{decimal(count)} byte" + "s" * (count != 1)
