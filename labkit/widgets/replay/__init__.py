"""Views of lab 4: a recording's log, the design of an expansion, the place where a replay goes another way."""

from labkit.widgets.replay.designer import ExpansionDesigner
from labkit.widgets.replay.divergence import divergence_view
from labkit.widgets.replay.log import RecordingLog

__all__ = ["ExpansionDesigner", "RecordingLog", "divergence_view"]
