"""An append-only byte string that a checkpoint can name without copying it.

Every saved state refers to the text printed so far. Copying it at each checkpoint would be quadratic, and a
length alone would lose the text of a timeline that one leaves backward and enters again; so each state holds
a link to the piece appended last, and pieces are shared.
"""

__all__ = ["EMPTY", "History"]


class History:
    """Bytes as a chain of pieces, newest first; immutable, compares by content."""

    __slots__ = ("length", "parent", "piece")

    def __init__(self, parent: "History | None", piece: bytes) -> None:
        self.parent = parent
        self.piece = piece
        self.length: int = len(piece) + (parent.length if parent is not None else 0)

    def extended(self, piece: bytes) -> "History":
        """This text with `piece` after it."""
        return History(self, piece) if piece else self

    def whole(self) -> bytes:
        """All bytes."""
        return self.after(0)

    def after(self, start: int) -> bytes:
        """The bytes from position `start` on; walks no further back than needed."""
        pieces: list[bytes] = []
        node: History | None = self
        while node is not None and node.length > start:
            pieces.append(node.piece)
            node = node.parent
        kept = node.length if node is not None else 0
        return b"".join(reversed(pieces))[start - kept :]

    def common(self, other: "History") -> int:
        """A length up to which both texts are surely equal: where the newest piece they share ends, or 0."""
        mine: History | None = self
        theirs: History | None = other
        while mine is not None and theirs is not None and mine is not theirs:
            if mine.length >= theirs.length:
                mine = mine.parent
            else:
                theirs = theirs.parent
        return mine.length if mine is not None and mine is theirs else 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return self is other or (self.length == other.length and self.whole() == other.whole())

    def __hash__(self) -> int:
        return hash(self.length)

    def __repr__(self) -> str:
        return f"History({self.length} bytes)"


EMPTY = History(None, b"")
