"""The histories that one view knows: the one that it shows, and another one where a fork has made it.

    first  ----+------------ end          an edit or typing in the past leaves this one as it was
               +---- fork                 and goes on in this one; a key changes over

At most two are kept: the first one, and the latest fork. More would be whole machines that nobody looks at.
"""

from labkit.vm.replay import Timeline
from labkit.widgets.notation import decimal

__all__ = ["Histories"]


class Histories:
    """`shown` is looked at; `other` is the one to change over to, or None."""

    def __init__(self, timeline: Timeline) -> None:
        self.first = self.shown = timeline
        self.other: Timeline | None = None
        self._ours = True

    def forked(self, fork: Timeline) -> str:
        """This view has forked: it shows the fork, and the first history is the other one.

        What is said of the fork that it knew until then, and lets go; empty where there was none.
        """
        known = self.shown if self.shown is not self.first else self.other
        self.shown, self.other, self._ours = fork, self.first, True
        return "" if known is None else f"; it takes the place of the fork that began at {decimal(known.start)}"

    def offered(self, fork: Timeline) -> None:
        """Another view of the history that is shown has forked it, and went over."""
        self.other, self._ours = fork, False

    def switch(self) -> bool:
        """Show the other one; False where there is none."""
        if self.other is None:
            return False
        self.shown, self.other = self.other, self.shown
        return True

    @property
    def words(self) -> str:
        """What there is besides what is shown; empty where there is nothing."""
        if self.other is None:
            return ""
        if self.other is self.first:
            return f"a fork is shown, which began at {decimal(self.shown.start)}; the first history is as it was"
        who = "this view's" if self._ours else "another view's"
        return f"there is {who} fork, which began at {decimal(self.other.start)}; shown is the history before it"
