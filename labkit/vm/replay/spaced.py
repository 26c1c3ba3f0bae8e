"""Large numbers for people: digits in groups of three."""

__all__ = ["spaced"]


def spaced(number: int) -> str:
    """1234567 as "1 234 567"."""
    return f"{number:,}".replace(",", " ")
