"""What goes wrong when a timeline is asked for what it does not have."""

__all__ = ["TimelineError"]


class TimelineError(ValueError):
    """A place, an address or a name that the timeline does not have; says which there are."""
