"""Lab 4: event log, recorder, replayer; and the timeline, which is record and replay plus checkpoints.

The one idea: a run is its initial state plus the few things that came from outside, so any moment of it can
be had again. Entry object: `Timeline`. Read first: `timeline.py`, then `search.py`.
"""

from labkit.vm.replay.breakpoints import Breakpoint, Breakpoints, Hit, Watchpoint
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.event_log import EventLog
from labkit.vm.replay.outside import Divergence
from labkit.vm.replay.recipe import Source
from labkit.vm.replay.recorder import Recorder
from labkit.vm.replay.recording import Recording, RecordingError
from labkit.vm.replay.replayer import Replayer
from labkit.vm.replay.search import Write
from labkit.vm.replay.timeline import Timeline

__all__ = [
    "Breakpoint", "Breakpoints", "Divergence", "EventLog", "Hit", "Recorder", "Recording", "RecordingError",
    "Replayer", "Source", "Timeline", "TimelineError", "Watchpoint", "Write",
]  # fmt: skip
