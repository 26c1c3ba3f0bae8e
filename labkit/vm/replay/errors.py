"""What goes wrong when a timeline is asked for what it does not have."""

from operator import index

__all__ = ["TimelineError", "whole"]


class TimelineError(ValueError):
    """A place, an address or a name that the timeline does not have; says which there are."""


def whole(number: object, what: str) -> int:
    """The number, where it is a whole one. Raises `TimelineError` for half an instruction, or a word."""
    try:
        return index(number)  # type: ignore[arg-type]
    except TypeError:
        raise TimelineError(f"{what} {number!r}: give a whole number, such as timeline.end // 2") from None
