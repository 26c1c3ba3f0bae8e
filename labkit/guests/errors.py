"""GuestError: a guest image cannot be used; says in a line or two what was found and what to do."""

__all__ = ["GuestError"]


class GuestError(Exception):
    """A guest image, initrd or package cannot be used.

    The message is for the person at the keyboard: what was found (with the offset in the file where that
    helps) and what to do about it.
    """
